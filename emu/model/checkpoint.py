"""Trained checkpoints: every dimension is derived from the tensors, and what does not fit is rejected by name.

Dimensions, as in ``config.py``: F features, M d_model, D d_inner, N d_state, K d_conv, R dt_rank, C outputs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from emu.errors import InputError
from emu.model.config import ModelConfig, Pooling
from emu.model.naming import Layout, recognise
from emu.model.tensor_file import Tensors, read_tensors

_Shapes = dict[str, tuple[str, ...]]
"""The dimensions of each tensor as symbols, such as ("R+2N", "D")."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model's shape and its trained weights, whatever the file called them."""

    config: ModelConfig
    weights: dict[str, NDArray[np.float32]]
    """The names, order and shapes of ``MambaClassifier(config).state_dict()``; every value is finite."""


def load_checkpoint(path: Path, pooling: Pooling | None = None) -> Checkpoint:
    """Read a .safetensors, .pt, .pth or .bin checkpoint.

    Accepted are our own classifier, a bare ``Mamba`` block, the published ``linear_in``/``mamba``/``classifier``
    layout, and the language models of mamba_ssm and transformers, whose embedding becomes a linear layer over one-hot
    rows.

    ``pooling`` wins over the safetensors metadata key "pooling", which wins over the default: "last" for a language
    model, "mean" for the others. The key "norm_epsilon" gives RMSNorm's epsilon, which no tensor shows.

    Raises:
        InputError: the file cannot be read, or a tensor is missing, unexpected, misshapen or not finite.
        MissingToolError: the file is in PyTorch's format and PyTorch is not installed.

    """
    tensors, metadata = read_tensors(path)
    try:
        return _interpret(tensors, metadata, pooling)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _interpret(in_file: Tensors, metadata: Mapping[str, str], pooling: Pooling | None) -> Checkpoint:
    _refuse_mamba2(in_file)
    layout = recognise(in_file)
    tensors = _rename(in_file, layout)
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
    weights = _embedding_as_linear(tensors, layout) if layout.embedding else tensors
    config = ModelConfig(
        n_features=dimensions.get("F", dimensions["M"]),
        n_outputs=weights["head.weight"].shape[0] if "head.weight" in weights else dimensions["M"],
        d_model=dimensions["M"],
        d_inner=dimensions["D"],
        d_state=dimensions["N"],
        d_conv=dimensions["K"],
        dt_rank=dimensions["R"],
        n_blocks=_count_layers(tensors, layout),
        block="residual" if "norm_f.weight" in weights else "plain",
        pooling=pooling or _pooling(metadata, default="last" if layout.embedding else "mean"),
        linear_in="linear_in.weight" in weights,
        head="head.weight" in weights,
        projection_bias="layers.0.mixer.in_proj.bias" in weights,
        conv_bias="layers.0.mixer.conv1d.bias" in weights,
        norm_epsilon=_norm_epsilon(metadata),
    )
    return Checkpoint(config, weights)


def _refuse_mamba2(in_file: Tensors) -> None:
    for name, tensor in in_file.items():
        part = name.rpartition(".")[2]
        if part == "dt_bias" or (part == "A_log" and tensor.ndim == 1):
            raise InputError(f"tensor {name!r} with shape {tensor.shape} is Mamba-2's; only Mamba-1 is supported")


def _rename(in_file: Tensors, layout: Layout) -> Tensors:
    tensors: Tensors = {}
    for name, tensor in in_file.items():
        canonical = layout.canonical(name)
        if canonical is None:
            raise InputError(f"tensor {name!r} is unexpected: no such part is known")
        tensors[canonical] = tensor
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

    If any tensor of an optional part is there, all of the part is wanted: half a part shows as a missing tensor.
    """

    def has(pattern: str) -> bool:
        return any(re.fullmatch(pattern, name) for name in tensors)

    residual = layout.embedding or has(r"layers\.\d+\.norm\.weight|norm_f\.weight")
    projection_bias = has(r"layers\.\d+\.mixer\.(in|out)_proj\.bias")
    conv_bias = has(r"layers\.\d+\.mixer\.conv1d\.bias")

    shapes: _Shapes = {}
    if layout.embedding:
        shapes["embedding.weight"] = ("F", "M")
    elif has(r"linear_in\..*"):
        shapes |= {"linear_in.weight": ("M", "F"), "linear_in.bias": ("M",)}
    for number in range(max(1, _count_layers(tensors, layout))):
        if residual:
            shapes[f"layers.{number}.norm.weight"] = ("M",)
        block: _Shapes = {"A_log": ("D", "N"), "D": ("D",), "in_proj.weight": ("2D", "M")}
        if projection_bias:
            block["in_proj.bias"] = ("2D",)
        block["conv1d.weight"] = ("D", "group width", "K")
        if conv_bias:
            block["conv1d.bias"] = ("D",)
        block |= {"x_proj.weight": ("R+2N", "D"), "dt_proj.weight": ("D", "R"), "dt_proj.bias": ("D",)}
        block["out_proj.weight"] = ("M", "D")
        if projection_bias:
            block["out_proj.bias"] = ("M",)
        shapes |= {f"layers.{number}.mixer.{name}": shape for name, shape in block.items()}
    if residual:
        shapes["norm_f.weight"] = ("M",)
    if has(r"head\..*"):
        shapes["head.weight"] = ("C", "M")
        if not layout.embedding or "head.bias" in tensors:  # language models mostly have none
            shapes["head.bias"] = ("C",)
    return shapes


def _check_shapes(tensors: Tensors, shapes: _Shapes, layout: Layout) -> dict[str, int]:
    """Return the value of every dimension, after comparing every tensor with them."""
    mixer = "layers.0.mixer."
    defining = {  # dimension: the tensor and the axis that show it
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


def _embedding_as_linear(tensors: Tensors, layout: Layout) -> Tensors:
    """Express a language model as a classifier over one-hot rows that predicts the next token."""
    weights = dict(tensors)
    embedding = weights.pop("embedding.weight")  # (F, M)
    head_weight = weights.pop("head.weight", embedding if layout.tied_head else None)
    head_bias = weights.pop("head.bias", None)
    linear_in = {
        "linear_in.weight": np.ascontiguousarray(embedding.T),
        "linear_in.bias": np.zeros(embedding.shape[1], np.float32),
    }
    head: Tensors = {}
    if head_weight is not None:
        head["head.weight"] = head_weight
        head["head.bias"] = np.zeros(head_weight.shape[0], np.float32) if head_bias is None else head_bias
    return linear_in | weights | head


def _pooling(metadata: Mapping[str, str], default: Pooling) -> Pooling:
    named = metadata.get("pooling", default)
    for pooling in get_args(Pooling):
        if named == pooling:
            return pooling
    raise InputError(f"the metadata's pooling is {named!r}, expected one of {', '.join(get_args(Pooling))}")


def _norm_epsilon(metadata: Mapping[str, str]) -> float:
    text = metadata.get("norm_epsilon", str(ModelConfig.norm_epsilon))
    try:
        epsilon = float(text)
    except ValueError:
        epsilon = 0.0
    if not 0.0 < epsilon < 1.0:
        raise InputError(f"the metadata's norm_epsilon is {text!r}, expected a number between 0 and 1")
    return epsilon
