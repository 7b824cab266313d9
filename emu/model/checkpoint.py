"""Trained checkpoints: every dimension is derived from the tensors, and a tensor that does not fit is rejected by name.

Dimensions, as in ``config.py``: F features, M d_model, D d_inner, N d_state, K d_conv, R dt_rank, C outputs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from emu.errors import InputError
from emu.model.choices import not_computed
from emu.model.config import ModelConfig
from emu.model.config_json import NAME, read_config_json
from emu.model.naming import Layout, recognise, refuse_other_models
from emu.model.stated import Stated, file_beside, read_stated
from emu.model.statements import Facts, Source, choose, shape_statements
from emu.model.tensor_file import Tensors, find_weights, read_tensors
from emu.reading import complaint
from emu.record import Statement

_INNER_NORM = re.compile(r"\.(dt|b|c|B|C)_(?:layer)?norm\.")
"""The names of the norms on dt, B and C inside a block: those of Jamba, and of mamba.py."""

_Shapes = dict[str, tuple[str, ...]]
"""The dimensions of each tensor as symbols, such as ("R+2N", "D")."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model's shape and its trained weights, under their canonical names."""

    config: ModelConfig
    weights: dict[str, NDArray[np.float32]]
    """The names, order and shapes of ``MambaClassifier(config).state_dict()``, with ``norm.bias`` after the weight of a
    LayerNorm; every value is finite."""
    reading: tuple[Statement, ...] = ()
    """emu's reading of the model, and how each part of the reading is known."""


def load_checkpoint(path: Path, stated: Stated | None = None) -> Checkpoint:
    """Read a checkpoint: a file of weights, an index of several, or a directory of transformers.

    Accepted are classifiers of Mamba blocks, a bare ``Mamba`` block, and the language models of mamba_ssm and
    transformers, whose inputs are tokens. ``naming.py`` finds the parts.

    A choice that no tensor shows comes from the first of these that states it: ``stated``, the user's file next to the
    checkpoint, ``config.json``, the metadata, emu's assumption.

    Raises:
        InputError: the file cannot be read, or a tensor is missing, unexpected, misshapen or not finite, or the model
            has a part that the engine does not compute.
        MissingToolError: the file is in PyTorch's format and PyTorch is not installed.

    """
    path = find_weights(path)
    beside, config_json = read_stated(path), read_config_json(path)
    said = beside if stated is None else stated.over(beside)
    tensors, metadata = read_tensors(path, said.state_dict)
    try:
        facts = Facts(tensors=Stated(), stated=said, config_json=config_json.stated, metadata=_stated_in(metadata))
        return _interpret(tensors, facts, config_json.tied_head)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def files_beside(path: Path) -> list[Path]:
    """Return the files that say what a checkpoint computes, whether they exist or not."""
    path = find_weights(path)
    return [file_beside(path), path.with_name(NAME)]


def _interpret(in_file: Tensors, facts: Facts, tied_head: bool | None) -> Checkpoint:
    refuse_other_models({name: tensor.shape for name, tensor in in_file.items()})
    layout = recognise({name: tensor.shape for name, tensor in in_file.items()}, facts.stated.names)
    tensors = _rename(in_file, layout)
    for bias, weight in (("linear_in.bias", "linear_in.weight"), ("head.bias", "head.weight")):
        if weight in tensors and bias not in tensors and tensors[weight].ndim == 2 and not layout.embedding:
            tensors[bias] = np.zeros(len(tensors[weight]), np.float32)  # a layer without one
    shapes = _expected_shapes(tensors, layout)
    for name in shapes:
        if name not in tensors:
            raise InputError(f"tensor {layout.in_file(name)!r} is missing")
    for name in tensors:
        if name not in shapes:
            raise InputError(f"tensor {layout.in_file(name)!r} is unexpected: no such part is known")
    tensors = {name: tensors[name] for name in shapes}
    dimensions = _check_shapes(tensors, shapes, layout)
    for name, tensor in tensors.items():
        _check_finite(layout.in_file(name), tensor)
    head, head_statement = _head(tensors, layout, tied_head)
    weights = _with_head(tensors, head) if layout.embedding else tensors
    shape = ModelConfig(
        n_features=1 if layout.embedding else dimensions.get("F", dimensions["M"]),
        n_tokens=dimensions["F"] if layout.embedding else 0,
        n_outputs=weights["head.weight"].shape[0] if "head.weight" in weights else dimensions["M"],
        d_model=dimensions["M"],
        d_inner=dimensions["D"],
        d_state=dimensions["N"],
        d_conv=dimensions["K"],
        dt_rank=dimensions["R"],
        n_blocks=_count_layers(tensors, layout),
        block="residual" if "layers.0.norm.weight" in weights else "plain",
        final_norm="norm_f.weight" in weights or "layers.0.norm.weight" not in weights,
        pooling="none" if layout.embedding else "mean",
        linear_in="linear_in.weight" in weights,
        head="head.weight" in weights,
        projection_bias="layers.0.mixer.in_proj.bias" in weights,
        conv_bias="layers.0.mixer.conv1d.bias" in weights,
    )
    shown: dict[str, str] = {}
    if any(name.endswith(".norm.bias") for name in weights):
        shown["norm"] = "layer"
    if any(name.endswith("dt_norm.weight") for name in weights):
        shown["inner_norm"] = "rms"
    config, choices = choose(shape, replace(facts, tensors=Stated.model_validate(shown)))
    if (missing := not_computed(config)) is not None:
        choice, value = missing
        raise InputError(
            f"{choice.key} is {value!r} ({choice.values[value]}): the engine computes "
            f"{', '.join(repr(each) for each in choice.values if each in choice.computed)} only"
        )
    return Checkpoint(config, weights, (*shape_statements(config), *choices, head_statement))


def _rename(in_file: Tensors, layout: Layout) -> Tensors:
    tensors: Tensors = {}
    for name, tensor in in_file.items():
        canonical = layout.canonical(name)
        if canonical is None:
            raise InputError(f"tensor {name!r} is unexpected: no such part is known")
        tensors[_INNER_NORM.sub(lambda match: f".{match[1].lower()}_norm.", canonical)] = tensor
    return tensors


def _count_layers(tensors: Tensors, layout: Layout) -> int:
    numbers = {int(match[1]) for name in tensors if (match := re.match(r"layers\.(0|[1-9][0-9]{0,8})\.", name))}
    for number in range(len(numbers)):
        if number not in numbers:
            present, absent = (layout.in_file(f"layers.{n}") for n in (max(numbers), number))
            raise InputError(f"layer {absent!r} is missing, but {present!r} is there")
    return len(numbers)


def _expected_shapes(tensors: Tensors, layout: Layout) -> _Shapes:
    """Return the tensors that belong to the model, in ``state_dict`` order.

    If any tensor of an optional part is there, all of its tensors are wanted: half a part is a missing tensor.
    """

    def has(pattern: str) -> bool:
        return any(re.fullmatch(pattern, name) for name in tensors)

    norms = has(r"layers\.\d+\.norm\..*")
    norm_biases = has(r"(layers\.\d+\.norm|norm_f)\.bias")
    projection_bias = has(r"layers\.\d+\.mixer\.(in|out)_proj\.bias")
    conv_bias = has(r"layers\.\d+\.mixer\.conv1d\.bias")
    inner_norms = has(r"layers\.\d+\.mixer\.(dt|b|c)_norm\.weight")

    shapes: _Shapes = {}
    if layout.embedding:
        shapes["embedding.weight"] = ("F", "M")
    elif has(r"linear_in\..*"):
        shapes |= {"linear_in.weight": ("M", "F"), "linear_in.bias": ("M",)}
    for number in range(max(1, _count_layers(tensors, layout))):
        if norms or layout.embedding or has(r"norm_f\..*"):
            shapes |= _norm_shapes(f"layers.{number}.norm", bias=norm_biases)
        block: _Shapes = {"A_log": ("D", "N"), "D": ("D",), "in_proj.weight": ("2D", "M")}
        if projection_bias:
            block["in_proj.bias"] = ("2D",)
        block["conv1d.weight"] = ("D", "group width", "K")
        if conv_bias:
            block["conv1d.bias"] = ("D",)
        block |= {"x_proj.weight": ("R+2N", "D"), "dt_proj.weight": ("D", "R"), "dt_proj.bias": ("D",)}
        if inner_norms:
            block |= {"dt_norm.weight": ("R",), "b_norm.weight": ("N",), "c_norm.weight": ("N",)}
        block["out_proj.weight"] = ("M", "D")
        if projection_bias:
            block["out_proj.bias"] = ("M",)
        shapes |= {f"layers.{number}.mixer.{name}": shape for name, shape in block.items()}
    if layout.embedding or has(r"norm_f\..*"):
        shapes |= _norm_shapes("norm_f", bias=norm_biases)
    if has(r"head\..*"):
        shapes["head.weight"] = ("C", "M")
        if not layout.embedding or "head.bias" in tensors:  # language models mostly have none
            shapes["head.bias"] = ("C",)
    return shapes


def _norm_shapes(name: str, *, bias: bool) -> _Shapes:
    return {f"{name}.weight": ("M",), **({f"{name}.bias": ("M",)} if bias else {})}


def _check_shapes(tensors: Tensors, shapes: _Shapes, layout: Layout) -> dict[str, int]:
    """Return the value of every dimension, after comparing every tensor with them."""
    mixer = "layers.0.mixer."
    defining = {  # dimension: its tensor and axis
        "D": (f"{mixer}A_log", 0),
        "N": (f"{mixer}A_log", 1),
        "M": (f"{mixer}in_proj.weight", 1),
        "K": (f"{mixer}conv1d.weight", 2),
        "R": (f"{mixer}dt_proj.weight", 1),
        "F": ("embedding.weight", 0) if layout.embedding else ("linear_in.weight", 1),
        "C": ("head.weight", 0),
    }
    dimensions = {"group width": 1}
    origin = {"group width": "the depthwise convolution"}
    for symbol, (name, axis) in defining.items():
        if name not in shapes:
            continue
        found = tensors[name].shape
        if len(found) != len(shapes[name]) or 0 in found:
            expected = ", ".join(shapes[name])
            raise InputError(
                f"tensor {layout.in_file(name)!r} has shape {found}, expected ({expected}), none of them 0"
            )
        dimensions[symbol] = found[axis]
        origin[symbol] = repr(layout.in_file(name))
    dimensions |= {"2D": 2 * dimensions["D"], "R+2N": dimensions["R"] + 2 * dimensions["N"]}
    origin |= {"2D": origin["D"], "R+2N": f"{origin['R']} and {origin['N']}"}

    for name, symbols in shapes.items():
        found, expected = tensors[name].shape, tuple(dimensions[symbol] for symbol in symbols)
        if found == expected:
            continue
        same_rank = len(found) == len(expected)
        reasons = [
            f"{symbol} = {dimensions[symbol]} comes from {origin[symbol]}"
            for axis, symbol in enumerate(symbols)
            if not same_rank or found[axis] != expected[axis]
        ]
        raise InputError(
            f"tensor {layout.in_file(name)!r} has shape {found}, expected {expected}: {', '.join(reasons)}"
        )
    if dimensions["K"] < 2:
        raise InputError(f"tensor {layout.in_file(f'{mixer}conv1d.weight')!r} has 1 tap; d_conv must be at least 2")
    return dimensions


def _check_finite(name: str, tensor: NDArray[np.float32]) -> None:
    finite = np.isfinite(tensor)
    if not finite.all():
        index = np.unravel_index(int(np.argmin(finite)), tensor.shape)
        raise InputError(
            f"tensor {name!r} is {tensor[index]} at index {tuple(map(int, index))}; weights must be finite in float32"
        )


def _head(tensors: Tensors, layout: Layout, tied: bool | None) -> tuple[NDArray[np.float32] | None, Statement]:
    """Return the head's weight, or None, and how it is known; ``tied`` is what ``config.json`` says."""
    own, embedding = tensors.get("head.weight"), tensors.get("embedding.weight")
    source: Source = "tensors" if tied is None or not layout.tied_head else "config.json"
    if layout.tied_head and embedding is not None and (tied or own is None):
        if tied is False:
            raise InputError(f"tensor {layout.in_file('head.weight')!r} is missing, and config.json ties no head")
        if own is not None and not np.array_equal(own, embedding):
            raise InputError(
                f"config.json ties the head to the embedding, but tensor {layout.in_file('head.weight')!r} has other "
                f"values: set tie_word_embeddings to false if the head is its own"
            )
        return embedding, Statement(what="head", value="the embedding, tied", source=source if tied else "assumed")
    if own is None:
        return None, Statement(what="head", value="none", source="tensors")
    return own, Statement(what="head", value=f"linear {own.shape[1]} -> {own.shape[0]}", source="tensors")


def _with_head(tensors: Tensors, head_weight: NDArray[np.float32] | None) -> Tensors:
    """Return a language model's tensors with its head, which may be the embedding, and the head's bias."""
    weights = {name: tensor for name, tensor in tensors.items() if not name.startswith("head.")}
    if head_weight is None:
        return weights
    bias = tensors.get("head.bias")  # (C,)
    zeros = np.zeros(head_weight.shape[0], np.float32)
    return weights | {"head.weight": head_weight, "head.bias": zeros if bias is None else bias}


def _stated_in(metadata: Mapping[str, str]) -> Stated:
    """Return what the weights' metadata states; keys of other programs are ignored."""
    table = {key: metadata[key] for key in ("pooling", "norm_epsilon") if key in metadata}
    try:
        return Stated.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        raise InputError(f"the metadata's {key} is {metadata[key]!r}: {complaint(first)}") from error
