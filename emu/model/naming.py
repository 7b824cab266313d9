"""The names that different codebases give to a tensor.

The canonical names are those of ``MambaClassifier.state_dict()``, and ``embedding.*`` for a language model's embedding.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from emu.errors import InputError

Shapes = Mapping[str, tuple[int, ...]]
"""The shapes of a file's tensors by name."""

_FIRST_MIXER = "layers.0.mixer."


@dataclass(frozen=True)
class Layout:
    """One family of checkpoints."""

    marks: tuple[str, ...]
    """Prefixes by which a checkpoint of this family is recognised."""
    prefixes: tuple[tuple[str, str], ...]
    """Each prefix of a name in the file, with its canonical prefix."""
    embedding: bool = False
    """Whether inputs are tokens; such models are always residual."""
    tied_head: bool = False
    """Whether the embedding serves as the head if the head is missing; else the model has no head."""

    def inside(self, wrapper: str) -> "Layout":
        """Return this family with ``wrapper`` before every name."""
        return replace(self, prefixes=tuple((wrapper + in_file, canonical) for in_file, canonical in self.prefixes))

    def canonical(self, name: str) -> str | None:
        """Return the canonical name of a tensor in the file, or None if the family has no such tensor."""
        for in_file, canonical in self.prefixes:
            if name.startswith(in_file):
                return canonical + name.removeprefix(in_file)
        return None

    def in_file(self, name: str) -> str:
        """Return this family's name of the tensor with a canonical name."""
        for in_file, canonical in self.prefixes:
            if name.startswith(canonical):
                return in_file + name.removeprefix(canonical)
        return name


def _causal_language_model(mark: str, embedding: str) -> Layout:
    backbone = (("layers.", "layers."), ("norm_f.", "norm_f."), (embedding, "embedding."))
    prefixes = (*((f"backbone.{in_file}", canonical) for in_file, canonical in backbone), ("lm_head.", "head."))
    return Layout((mark,), prefixes, embedding=True, tied_head=True)


def _headless_language_model(embedding: str) -> Layout:
    prefixes = (("layers.", "layers."), ("norm_f.", "norm_f."), (embedding, "embedding."))
    return Layout((embedding,), prefixes, embedding=True)


_LAYOUTS = (
    _causal_language_model("backbone.embedding.", "embedding."),  # mamba_ssm's MambaLMHeadModel
    _causal_language_model("backbone.", "embeddings."),  # transformers' MambaForCausalLM
    _headless_language_model("embedding."),  # mamba_ssm's MixerModel
    _headless_language_model("embeddings."),  # transformers' MambaModel
    # the published keyword-spotting classifiers: one block
    Layout(
        marks=("mamba.",),
        prefixes=(("linear_in.", "linear_in."), ("mamba.", _FIRST_MIXER), ("classifier.", "head.")),
    ),
    # our own MambaClassifier
    Layout(
        marks=("layers.",),
        prefixes=tuple((prefix, prefix) for prefix in ("linear_in.", "layers.", "norm_f.", "head.")),
    ),
    # a bare mamba_ssm Mamba block
    Layout(
        marks=("A_log", "in_proj.", "conv1d.", "x_proj.", "dt_proj.", "out_proj."),
        prefixes=(("", _FIRST_MIXER),),
    ),
)


_WRAPPERS = ("module.", "_orig_mod.", "model.", "net.")
"""Prefixes that DataParallel, torch.compile and training programs put before every name."""

_OTHERS = (
    (r"(.*\.)?(B_bias|C_bias|B_norm\..*|C_norm\..*)", "is Mamba-3's; only Mamba-1 is supported"),
    (r"(.*\.)?dt_bias", "is Mamba-2's; only Mamba-1 is supported"),
    (
        r".*(A_b_log|_b\.(weight|bias)|\bD_b|A_log_b|_bwd|_backward|_rev|attention_r)\b.*",
        "belongs to a second direction; bidirectional blocks are not computed",
    ),
    (
        r".*\b(dt|b|c|B|C)_(layer)?norm\.(weight|bias)",
        "is a norm on dt, B or C inside a block, which is not computed",
    ),
)
"""Tensors of models that emu does not support, and what to say of each."""


def refuse_other_models(shapes: Shapes) -> None:
    """Raise InputError if a tensor shows that the model is of another kind, whatever else is wrong with the file."""
    for pattern, what in _OTHERS:
        for name, shape in shapes.items():
            if re.fullmatch(pattern, name):
                raise InputError(f"tensor {name!r} with shape {shape} {what}")
    for name, shape in shapes.items():
        if name.rpartition(".")[2] == "A_log" and len(shape) == 1:
            raise InputError(f"tensor {name!r} with shape {shape} is Mamba-2's; only Mamba-1 is supported")


def recognise(shapes: Shapes, stated: Mapping[str, str]) -> Layout:
    """Return the layout that a file's tensors follow, by their names or else by their shapes and places.

    ``stated`` is the prefixes of the parts' tensors that the user states, by the part. Raises InputError if
    the file holds no Mamba block, or if the user names a part that the file does not have.
    """
    if stated:
        return _stated_layout(shapes, stated)
    wrapper = common_wrapper(shapes)
    names = [name.removeprefix(wrapper) for name in shapes]
    known = [layout for layout in _LAYOUTS if any(name.startswith(layout.marks) for name in names)]
    for layout in known[:1]:
        if all(layout.canonical(name) is not None for name in names):
            return layout.inside(wrapper)
    found = _by_shape(shapes)
    if found is not None:
        return found
    if known:
        return known[0].inside(wrapper)
    first = f"its first tensor is {next(iter(shapes))!r}" if shapes else "it has no tensor at all"
    raise InputError(f"holds no Mamba block ({first})")


def common_wrapper(names: Collection[str]) -> str:
    """Return the prefixes of wrappers that all names of tensors have."""
    wrapper = ""
    while True:
        inner = next((each for each in _WRAPPERS if all(name.startswith(wrapper + each) for name in names)), None)
        if inner is None or not names:
            return wrapper
        wrapper += inner


def _stated_layout(shapes: Shapes, stated: Mapping[str, str]) -> Layout:
    for part, prefix in stated.items():
        if not any(name.startswith(f"{prefix}.") for name in shapes):
            raise InputError(f"names.{part} is stated as {prefix!r}, but no tensor's name begins with that")
    return Layout((), _longest_first((f"{prefix}.", f"{part}.") for part, prefix in stated.items()))


def _by_shape(shapes: Shapes) -> Layout | None:
    """Return the layout of a classifier whose parts have any names, or None if a tensor has no clear place.

    Blocks are found by their ``A_log``. A vector next to a block is its norm, and another vector the final norm. If
    there are two matrices, the matrix with M rows leads in, and the matrix with M columns is the head.
    """
    mixers = sorted((name.removesuffix("A_log") for name in shapes if name.endswith(".A_log")), key=_natural)
    widths = {shapes[f"{mixer}in_proj.weight"][-1:] for mixer in mixers if f"{mixer}in_proj.weight" in shapes}
    if not mixers or len(widths) != 1:
        return None
    (width,) = widths
    layers = [_parent(mixer) for mixer in mixers]
    prefixes = [(mixer, f"layers.{number}.mixer.") for number, mixer in enumerate(mixers)]
    for name, shape in shapes.items():
        if name.startswith(tuple(mixers)) or not name.endswith(".weight"):
            continue
        part = name.removesuffix("weight")
        inside = [number for number, layer in enumerate(layers) if layer and part.startswith(layer)]
        if shape == width:
            numbered = len(set(layers)) == len(layers) and len(inside) == 1
            prefixes.append((part, f"layers.{inside[0]}.norm." if numbered else "norm_f."))
        elif len(shape) == 2 and (shape[:1] == width) != (shape[1:] == width):
            prefixes.append((part, "linear_in." if shape[:1] == width else "head."))
        elif len(shape) == 2 and shape == width * 2:
            before = list(shapes).index(name) < list(shapes).index(f"{mixers[0]}A_log")
            prefixes.append((part, "linear_in." if before else "head."))
        else:
            return None
    parts = [part for _, part in prefixes]
    layout = Layout((), _longest_first(prefixes))
    if len(set(parts)) != len(parts) or any(layout.canonical(name) is None for name in shapes):
        return None
    return layout


def _parent(mixer: str) -> str:
    """Return the prefix of the layer around a mixer: ``blocks.0.`` for ``blocks.0.mamba.``."""
    head, _, _ = mixer.removesuffix(".").rpartition(".")
    return f"{head}." if head else ""


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that puts ``layers.10`` after ``layers.9``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _longest_first(prefixes: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(prefixes, key=lambda pair: -len(pair[0])))
