"""The model image (``.mamba``): what the exporter writes and the C engine reads in place from flash.

``runtime/src/image.h`` describes it for the engine, and ``ops.py`` the tensors of each operation. Layout,
little-endian, every tensor at a multiple of 16 bytes::

    header (64 bytes) | offsets of the model's tensors | offsets of each block's tensors | tensors

Matrices are float32, float16 or int8 with a float32 scale for each row; everything else is float32, and so is all
arithmetic.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from emu.errors import InputError
from emu.model.config import ModelConfig
from emu.model.graph import Graph
from emu.model.ops import Add, Array, Fork, Layer, Linear, Mixer, Norm, Operation, Pool, Slot, pad_rows, padded
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
_CHECKED_FROM = 16  # the checksum covers everything after itself

_MODEL_LAYERS, _BLOCK_LAYERS = (Linear, Norm, Linear), (Norm, Mixer, Linear)
_MODEL_TENSORS = sum(len(layer.slots) for layer in _MODEL_LAYERS)  # entries of the tables of offsets
_BLOCK_TENSORS = sum(len(layer.slots) for layer in _BLOCK_LAYERS)

_LARGEST_INT8 = 127


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
    """False if it is folded into the first block, or the model has none."""
    has_last_out_proj: bool
    """False if it is folded into the head."""


def write_image(graph: Graph, matrix_type: MatrixType = "f32") -> bytes:
    """Return the image of ``graph``, its matrices stored as ``matrix_type``.

    Raises InputError for a dimension beyond the format, or a value beyond the type.
    """
    c = graph.config
    d_state, dt_rank = padded(c.d_state), padded(c.dt_rank)
    dimensions = (c.n_features, c.n_outputs, c.d_model, c.d_inner, d_state, c.d_conv, dt_rank, c.n_blocks)
    if max(dimensions) > LARGEST_DIMENSION:
        raise InputError(f"a dimension of {max(dimensions)} is beyond the image format's {LARGEST_DIMENSION}")
    stack = _Stack.of(graph)

    offsets: list[int] = []
    body = bytearray()
    tensors = stack.tensors()
    start = _aligned(_HEADER.size + 4 * len(tensors))
    for slot, tensor in tensors:
        offsets.append(0 if tensor is None else start + len(body))
        if tensor is not None:
            data = _encode(tensor, slot, matrix_type)
            body += data + bytes(-len(data) % ALIGNMENT)
    table = struct.pack(f"<{len(offsets)}I", *offsets)
    table += bytes(start - _HEADER.size - len(table))

    flags = (_FLAG_LAST if c.pooling == "last" else 0) | (_FLAG_RESIDUAL if c.block == "residual" else 0)
    tail = (*dimensions, flags, c.norm_epsilon, _arena_bytes(graph.config, stack), _MATRIX_TYPES.index(matrix_type))
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
class _Block:
    norm: Norm | None
    mixer: Mixer
    out_proj: Linear | None


@dataclass(frozen=True, eq=False)
class _Stack:
    """The one order of operations that format 1 can hold."""

    linear_in: Linear | None
    blocks: list[_Block]
    norm_f: Norm | None
    head: Linear | None

    @classmethod
    def of(cls, graph: Graph) -> "_Stack":
        """Sort a graph's operations into the places of the format; raises InputError if one has no place."""
        left: tuple[Operation, ...] = graph.operations
        linear_in, norm_f, head, blocks = None, None, None, list[_Block]()
        match left:
            case (Linear() as linear_in, *rest):
                left = tuple(rest)
        while True:
            match left:
                case (Fork(), Norm() as norm, Mixer() as mixer, Linear() as out_proj, Add(), *rest):
                    blocks.append(_Block(norm, mixer, out_proj))
                case (Mixer() as mixer, Linear() as out_proj, *rest):
                    blocks.append(_Block(None, mixer, out_proj))
                case (Mixer() as mixer, *rest):
                    blocks.append(_Block(None, mixer, None))
                case _:
                    break
            left = tuple(rest)
        match left:
            case (Norm() as norm_f, *rest):
                left = tuple(rest)
        match left:
            case (Pool(), Linear() as head):
                whole = True
            case (Pool(),):
                whole = True
            case _:
                whole = False
        if not whole or not blocks or any(block.out_proj is None for block in blocks[:-1]):
            names = ", ".join(type(operation).__name__ for operation in graph.operations)
            raise InputError(f"image format {FORMAT_VERSION} has no place for these operations in this order: {names}")
        return cls(linear_in, blocks, norm_f, head)

    def tensors(self) -> list[tuple[Slot, Array | None]]:
        """Return what is stored in each entry of the tables of offsets."""
        stored = _stored(_MODEL_LAYERS, (self.linear_in, self.norm_f, self.head))
        for block in self.blocks:
            stored += _stored(_BLOCK_LAYERS, (block.norm, block.mixer, block.out_proj))
        return stored


def _stored(places: tuple[type[Layer], ...], layers: tuple[Layer | None, ...]) -> list[tuple[Slot, Array | None]]:
    stored: list[tuple[Slot, Array | None]] = []
    for place, layer in zip(places, layers, strict=True):
        tensors = [None] * len(place.slots) if layer is None else layer.stored()
        stored += zip(place.slots, tensors, strict=True)
    return stored


def _encode(tensor: Array, slot: Slot, matrix_type: MatrixType) -> bytes:
    """Return the bytes of a tensor: a bias or table as it is, a matrix in groups of eight rows.

    A group is (columns, 8), the last one (columns, 4) if four rows are left. With int8, its
    rows' scales precede it.
    """
    if slot.storage == "floats":
        return _rounded(tensor, "<f4").tobytes()
    rows = pad_rows(tensor, padded(len(tensor)))
    if slot.storage == "bias":
        return _rounded(rows, "<f4").tobytes()
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


def _aligned(count: int) -> int:
    return (count + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def _rounded(tensor: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        rounded = np.ascontiguousarray(tensor, dtype=dtype)
    if not np.isfinite(rounded).all():
        name = rounded.dtype.name
        raise InputError(f"a weight of {np.abs(tensor).max():.3g} is beyond {name}; try --dtype f32, or --no-fold")
    return rounded


def _arena_bytes(c: ModelConfig, stack: _Stack) -> int:
    """Return the RAM of one sequence: the sum of ``mamba_layout`` in ``runtime/src/image.c``, which checks it."""
    folded = stack.blocks[-1].out_proj is None
    buffers = [
        c.n_blocks * c.d_inner * padded(c.d_state),
        c.n_blocks * c.d_inner * (c.d_conv - 1),
        c.d_inner,
        padded(c.dt_rank) + 2 * padded(c.d_state),
    ]
    if stack.linear_in is not None or c.n_blocks > 1 or not folded:
        buffers.append(c.d_model)  # hidden
    if c.block == "residual":
        buffers.append(c.d_model)  # normed
    if c.pooling == "mean":
        buffers.append(c.d_inner if folded else c.d_model)  # pooled
    return sum(4 * padded(floats) for floats in buffers)
