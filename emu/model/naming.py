"""What different codebases call the same tensors.

The canonical names are those of ``MambaClassifier.state_dict()``, and ``embedding.*`` for a language model's embedding.
"""

from collections.abc import Collection
from dataclasses import dataclass

from emu.errors import InputError

_FIRST_MIXER = "layers.0.mixer."


@dataclass(frozen=True)
class Layout:
    """One family of checkpoints."""

    marks: tuple[str, ...]
    """Prefixes by which a checkpoint of this family is recognised."""
    prefixes: tuple[tuple[str, str], ...]
    """Each prefix of a name in the file, with the canonical prefix that it stands for."""
    embedding: bool = False
    """Whether inputs are tokens; such models are always residual."""
    tied_head: bool = False
    """Whether a missing head means that the embedding serves as the head, and not that there is none."""

    def canonical(self, name: str) -> str | None:
        """Return the canonical name of a tensor in the file, or None if the family has no such tensor."""
        for in_file, canonical in self.prefixes:
            if name.startswith(in_file):
                return canonical + name.removeprefix(in_file)
        return None

    def in_file(self, name: str) -> str:
        """Return what this family calls the tensor of a canonical name."""
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


def recognise(names: Collection[str]) -> Layout:
    """Return the layout that the names in a file follow; raises InputError if they follow none."""
    for layout in _LAYOUTS:
        if any(name.startswith(layout.marks) for name in names):
            return layout
    found = f"its first tensor is {next(iter(names))!r}" if names else "it has no tensor at all"
    raise InputError(f"holds no Mamba block ({found})")
