"""The model image (``.mamba``): what the exporter writes and the C engine reads in place from flash.

``runtime/src/image.h`` holds the same description for the engine. Layout, little-endian, every tensor at a
multiple of 16 bytes::

    header (64 bytes) | offsets of the model's tensors | offsets of each block's tensors | tensors

Matrices are float32, float16 or int8 with a float32 scale for each row; everything else is float32, and so is all
arithmetic.
"""

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from emu.errors import InputError
from emu.model.graph import Block, Graph, Linear
from emu.reading import read_bytes

MatrixType = Literal["f32", "f16", "int8"]

MAGIC = b"MAMB"
FORMAT_VERSION = 1
ALIGNMENT = 16
LARGEST_DIMENSION = 0xFFFF
LARGEST_ARENA = 1 << 26
"""Bytes: more than any microcontroller's RAM, and little enough for a linker to say so."""

_FLAG_LAST, _FLAG_RESIDUAL = 1, 2
_MATRIX_TYPES: tuple[MatrixType, ...] = ("f32", "f16", "int8")  # by their number in the image
_HEADER = struct.Struct("<4sIII" + "8I" + "IfII")
_CHECKED_FROM = 16  # the checksum covers everything behind itself

_MODEL_TENSORS, _BLOCK_TENSORS = 5, 15  # entries of the tables of offsets

_LARGEST_INT8 = 127
_EXP_STEPS_PER_OCTAVE = 64
_EXP_STEPS_LIMIT = 7900.0  # 2^(-7900 / 64) is the smallest decay that the engine's table makes


@dataclass(frozen=True)
class ImageInfo:
    """What a reader outside the engine needs to know about an image."""

    n_features: int
    n_outputs: int
    d_model: int
    d_inner: int
    d_state: int
    """Padded to a multiple of four, as the engine stores it."""
    d_conv: int
    dt_rank: int
    """Padded to a multiple of four, as the engine stores it."""
    n_blocks: int
    arena_bytes: int
    """RAM that one sequence needs."""
    has_linear_in: bool
    """False where it is folded into the first block, or the model has none."""
    has_last_out_proj: bool
    """False where it is folded into the head."""


def write_image(graph: Graph, matrix_type: MatrixType = "f32") -> bytes:
    """Return the image of ``graph``, its matrices stored as ``matrix_type``.

    Raises InputError for a dimension beyond the format, or a value beyond the type.
    """
    c = graph.config
    d_state, dt_rank = _padded(c.d_state), _padded(c.dt_rank)
    dimensions = (c.n_features, c.n_outputs, c.d_model, c.d_inner, d_state, c.d_conv, dt_rank, c.n_blocks)
    if max(dimensions) > LARGEST_DIMENSION:
        raise InputError(f"a dimension of {max(dimensions)} is beyond the image format's {LARGEST_DIMENSION}")
    tensors = _model_tensors(graph)
    for block in graph.blocks:
        tensors += _block_tensors(block, d_state, dt_rank)

    offsets: list[int] = []
    body = bytearray()
    start = _aligned(_HEADER.size + 4 * len(tensors))
    for tensor in tensors:
        offsets.append(0 if tensor is None else start + len(body))
        if tensor is not None:
            data = _encode(tensor, matrix_type)
            body += data + bytes(-len(data) % ALIGNMENT)
    table = struct.pack(f"<{len(offsets)}I", *offsets)
    table += bytes(start - _HEADER.size - len(table))

    flags = (_FLAG_LAST if c.pooling == "last" else 0) | (_FLAG_RESIDUAL if c.block == "residual" else 0)
    tail = (*dimensions, flags, c.norm_epsilon, _arena_bytes(graph), _MATRIX_TYPES.index(matrix_type))
    image_bytes = start + len(body)
    unchecked = _HEADER.pack(MAGIC, FORMAT_VERSION, image_bytes, 0, *tail) + table + body
    checksum = zlib.crc32(unchecked[_CHECKED_FROM:])
    return _HEADER.pack(MAGIC, FORMAT_VERSION, image_bytes, checksum, *tail) + table + body


def read_image_info(path: Path) -> ImageInfo:
    """Read an image's header; raises InputError that says what is wrong with the file.

    The engine itself checks every offset when it opens the image.
    """
    data = read_bytes(path)
    if data[:4] != MAGIC:
        raise InputError(f"{path}: not a model image (it does not begin with {MAGIC.decode()})")
    if len(data) < _HEADER.size:
        raise InputError(f"{path}: truncated: {len(data)} bytes are less than an image's header")
    _, version, image_bytes, checksum, *rest = _HEADER.unpack_from(data)
    if version != FORMAT_VERSION:
        raise InputError(f"{path}: image format {version}; this emu reads {FORMAT_VERSION}: export the model again")
    if len(data) != image_bytes:
        raise InputError(f"{path}: truncated or padded: {len(data)} bytes, its header says {image_bytes}")
    if zlib.crc32(data[_CHECKED_FROM:]) != checksum:
        raise InputError(f"{path}: damaged: its checksum does not match; export the model again")
    if not all(1 <= dimension <= LARGEST_DIMENSION for dimension in rest[:8]):
        raise InputError(f"{path}: its header gives dimensions that no model has: {rest[:8]}")
    if not 0 < rest[10] <= LARGEST_ARENA:
        raise InputError(f"{path}: its header asks for {rest[10]:,} bytes of RAM, which no model on a board does")
    n_blocks: int = rest[7]
    linear_in, last_out_proj = 0, _MODEL_TENSORS + n_blocks * _BLOCK_TENSORS - 2
    if len(data) < _HEADER.size + 4 * (_MODEL_TENSORS + n_blocks * _BLOCK_TENSORS):
        raise InputError(f"{path}: truncated: {len(data)} bytes cannot hold {n_blocks} blocks")
    offsets = struct.unpack_from(f"<{_MODEL_TENSORS + n_blocks * _BLOCK_TENSORS}I", data, _HEADER.size)
    return ImageInfo(
        *rest[:8],
        arena_bytes=rest[10],
        has_linear_in=offsets[linear_in] != 0,
        has_last_out_proj=offsets[last_out_proj] != 0,
    )


def c_header(info: ImageInfo, image: bytes, name: str) -> str:
    """Return the image as a C header: an aligned array ``<name>_image`` and the sizes that a caller needs."""
    macro = name.upper()
    rows = [image[start : start + 16] for start in range(0, len(image), 16)]
    lines = "\n".join("    " + "".join(f"0x{byte:02x}," for byte in row) for row in rows)
    return (
        f"/* Model {name}, written by `emu export`. Open it with mamba_open({name}_image, sizeof {name}_image). */\n"
        f"#ifndef {macro}_MODEL_H\n#define {macro}_MODEL_H\n\n"
        f"#include <stdint.h>\n\n"
        f"#define {macro}_FEATURES {info.n_features}u\n"
        f"#define {macro}_OUTPUTS {info.n_outputs}u\n"
        f"#define {macro}_ARENA_BYTES {info.arena_bytes}u\n\n"
        f"static const uint8_t {name}_image[{len(image)}] __attribute__((aligned({ALIGNMENT}))) = {{\n{lines}\n}};\n\n"
        f"#endif\n"
    )


@dataclass(frozen=True, eq=False)
class _Matrix:
    """A matrix (rows, columns), in distinction to the tensors that are always float32."""

    values: np.ndarray


_Tensor = np.ndarray | _Matrix | None


def _model_tensors(graph: Graph) -> list[_Tensor]:
    return [*_matrix_and_bias(graph.linear_in), graph.norm_f, *_matrix_and_bias(graph.head)]


def _block_tensors(block: Block, d_state: int, dt_rank: int) -> list[_Tensor]:
    """Return a block's tensors in the order of ``runtime/src/image.h``; see there for the shapes."""
    channels, states = block.a.shape
    ranks = block.dt_proj.weight.shape[1]
    in_x, in_z = _halves(block.in_proj)
    low_rank_dt, b, c = np.split(block.x_proj, [ranks, ranks + states])
    x_proj = np.concatenate([_pad(low_rank_dt, dt_rank), _pad(b, d_state), _pad(c, d_state)])
    dt_proj = Linear(_pad(block.dt_proj.weight.T, dt_rank).T, block.dt_proj.bias)
    rate = np.zeros((channels, d_state))
    rate[:, :states] = block.a * (_EXP_STEPS_PER_OCTAVE / math.log(2))
    fastest = np.abs(rate).max(axis=1)
    dt_limit = np.minimum(_EXP_STEPS_LIMIT / np.maximum(fastest, 1e-30), 1e30)
    return [
        block.norm,
        *_matrix_and_bias(in_x),
        *_matrix_and_bias(in_z),
        block.conv_weight,
        block.conv_bias,
        _Matrix(x_proj),
        *_matrix_and_bias(dt_proj),
        rate,
        dt_limit,
        block.d,
        *_matrix_and_bias(block.out_proj),
    ]


def _halves(in_proj: Linear) -> tuple[Linear, Linear]:
    x, z = np.split(in_proj.weight, 2)
    if in_proj.bias is None:
        return Linear(x, None), Linear(z, None)
    x_bias, z_bias = np.split(in_proj.bias, 2)
    return Linear(x, x_bias), Linear(z, z_bias)


def _matrix_and_bias(linear: Linear | None) -> list[_Tensor]:
    if linear is None:
        return [None, None]
    bias = None if linear.bias is None else _pad(linear.bias, _padded(len(linear.bias)))
    return [_Matrix(linear.weight), bias]


def _encode(tensor: np.ndarray | _Matrix, matrix_type: MatrixType) -> bytes:
    """Return the bytes of a tensor: a vector or table as it is, a matrix in groups of eight rows.

    A group is (columns, 8), the last one (columns, 4) if four rows are left; with int8, behind the scales of its rows.
    """
    if isinstance(tensor, np.ndarray):
        return _rounded(tensor, "<f4").tobytes()
    rows = _pad(tensor.values, _padded(len(tensor.values)))
    groups = [rows[first : first + 8] for first in range(0, len(rows), 8)]
    if matrix_type != "int8":
        dtype = "<f4" if matrix_type == "f32" else "<f2"
        return b"".join(_rounded(group.T, dtype).tobytes() for group in groups)
    encoded = b""
    for group in groups:
        scale = _rounded(np.abs(group).max(axis=1) / _LARGEST_INT8, "<f4")
        steps = group / np.where(scale > 0, scale, 1)[:, np.newaxis]
        encoded += scale.tobytes() + np.rint(steps).clip(-_LARGEST_INT8, _LARGEST_INT8).astype(np.int8).T.tobytes()
    return encoded


def _pad(array: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]))])


def _padded(count: int) -> int:
    return (count + 3) // 4 * 4


def _aligned(count: int) -> int:
    return (count + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def _rounded(tensor: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        rounded = np.ascontiguousarray(tensor, dtype=dtype)
    if not np.isfinite(rounded).all():
        name = rounded.dtype.name
        raise InputError(f"a weight of {np.abs(tensor).max():.3g} is beyond {name}; try --dtype f32, or --no-fold")
    return rounded


def _arena_bytes(graph: Graph) -> int:
    """Return the RAM of one sequence: the same sum as ``mamba_layout`` in ``runtime/src/image.c``, which checks it."""
    c = graph.config
    last = graph.blocks[-1]
    buffers = [
        c.n_blocks * c.d_inner * _padded(c.d_state),
        c.n_blocks * c.d_inner * (c.d_conv - 1),
        c.d_inner,
        _padded(c.dt_rank) + 2 * _padded(c.d_state),
    ]
    if graph.linear_in is not None or c.n_blocks > 1 or last.out_proj is not None:
        buffers.append(c.d_model)  # hidden
    if c.block == "residual":
        buffers.append(c.d_model)  # normed
    if c.pooling == "mean":
        buffers.append(c.d_inner if last.out_proj is None else c.d_model)  # pooled
    return sum(4 * _padded(floats) for floats in buffers)
