"""The model image (``.mamba``): the exporter writes it, and the C engine reads it in place from flash.

``runtime/src/image.h`` describes it for the engine, and ``ops.py`` the operations and their tensors. Layout,
little-endian, every tensor at a multiple of 16 bytes::

    header (64 bytes) | operations, in the order in which they run | tensors

The record of an operation is uint32: kind, width in, width out, parameter, then the offset of each of its tensors.
Matrices are float32, float16 or int8 with a float32 scale for each row. All other tensors, and all arithmetic, are
float32. Tensors with the same bytes are stored once: an embedding and a head that is tied to it are one table.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emu.errors import InputError
from emu.model.config import MatrixType
from emu.model.graph import Graph
from emu.model.ops import (
    KINDS,
    Activation,
    Array,
    Buffer,
    Embedding,
    Fork,
    Linear,
    Mixer,
    Norm,
    Operation,
    Pool,
    Slot,
    pad_rows,
    padded,
)
from emu.reading import read_bytes

MAGIC = b"MAMB"
FORMAT_VERSION = 3
ALIGNMENT = 16
LARGEST_DIMENSION = 0xFFFF
LARGEST_ARENA = 1 << 26
"""Bytes: more than any microcontroller's RAM, and little enough for a linker to say so."""

_MATRIX_TYPES: tuple[MatrixType, ...] = ("f32", "f16", "int8")  # by their number in the image
_HEADER = struct.Struct("<4sIII" + "8I" + "IIII")
_RECORD = struct.Struct("<4I")  # kind, width in, width out, parameter
_CHECKED_FROM = 16  # the checksum covers everything after itself

_LARGEST_INT8 = 127
_MOST_PARAMETERS = 8
"""The values that the parameter of any operation can have, at most."""
_FIRST_TYPE = 56
"""The bit of the first type of matrix among the parts of the engine."""


@dataclass(frozen=True)
class ImageInfo:
    """The facts about an image that code outside the engine needs."""

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
    """The RAM that one sequence needs."""
    has_linear_in: bool
    """Whether the image has a first linear layer; False if it is folded into the first block, or the model has none."""
    has_last_out_proj: bool
    """Whether the image has the last out_proj; False if it is folded into the head."""
    each_step: bool
    """Whether the model has outputs at each step; False if it has outputs of a whole sequence."""
    n_tokens: int
    """V: the inputs are tokens less than this; 0 if they are rows of numbers."""
    parts: int
    """The parts of the engine that this image needs, by the bits of ``runtime/src/parts.h``."""


def write_image(graph: Graph, matrix_type: MatrixType = "f32") -> bytes:
    """Return the image of ``graph``, its matrices stored as ``matrix_type``.

    Raises InputError if a dimension exceeds the format, or a value exceeds the type.
    """
    c = graph.config
    d_state, dt_rank = padded(c.d_state), padded(c.dt_rank)
    n_blocks = _mixers(graph.operations)
    dimensions = (c.n_features, c.n_outputs, c.d_model, c.d_inner, d_state, c.d_conv, dt_rank, n_blocks)
    n_tokens = next((len(each.weight) for each in graph.operations if isinstance(each, Embedding)), 0)
    if max(*dimensions, n_tokens) > LARGEST_DIMENSION:
        largest = max(*dimensions, n_tokens)
        raise InputError(f"a dimension of {largest} is beyond the image format's {LARGEST_DIMENSION}")
    _require_order(graph.operations)

    table_bytes = sum(_record_bytes(type(operation)) for operation in graph.operations)
    start = _aligned(_HEADER.size + table_bytes)
    table, body = bytearray(), bytearray()
    stored: dict[bytes, int] = {}
    width = c.n_features
    for operation in graph.operations:
        takes, width = operation.widths(width)
        table += _RECORD.pack(KINDS.index(type(operation)), takes, width, operation.parameter)
        for slot, tensor in zip(operation.slots, operation.stored(), strict=True):
            if tensor is None:
                table += struct.pack("<I", 0)
                continue
            data = _encode(tensor, slot, matrix_type)
            if data not in stored:
                stored[data] = start + len(body)
                body += data + bytes(-len(data) % ALIGNMENT)
            table += struct.pack("<I", stored[data])
    table += bytes(start - _HEADER.size - len(table))

    n_operations, type_number = len(graph.operations), _MATRIX_TYPES.index(matrix_type)
    tail = (*dimensions, n_operations, n_tokens, _arena_bytes(graph), type_number)
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
        raise InputError(f"{path}: its header asks for {rest[10]:,} bytes of RAM; no board has as much")
    if rest[11] >= len(_MATRIX_TYPES):
        raise InputError(f"{path}: its matrices are of type {rest[11]}; this emu knows 0 to {len(_MATRIX_TYPES) - 1}")
    operations = _read_operations(path, data, count=rest[8])
    kinds = [kind for kind, _ in operations]
    if kinds.count(Mixer) != rest[7]:
        raise InputError(f"{path}: its header says {rest[7]} blocks, its operations have {kinds.count(Mixer)}")
    each_step = kinds[: kinds.index(Pool)] if Pool in kinds else kinds
    return ImageInfo(
        *rest[:8],
        arena_bytes=rest[10],
        has_linear_in=each_step[:1] == [Linear],
        has_last_out_proj=each_step[-1:] != [Mixer],
        each_step=(Pool, Pool("none").parameter) in operations,
        n_tokens=rest[9],
        parts=_parts(operations, matrix_type=rest[11]),
    )


def _parts(operations: list[tuple[type[Operation], int]], matrix_type: int) -> int:
    used = {_MOST_PARAMETERS * KINDS.index(kind) + parameter for kind, parameter in operations}
    return sum(1 << bit for bit in used) | 1 << _FIRST_TYPE + matrix_type


def _read_operations(path: Path, data: bytes, count: int) -> list[tuple[type[Operation], int]]:
    """Return the kind and the parameter of each of the ``count`` operations of an image."""
    found: list[tuple[type[Operation], int]] = []
    at = _HEADER.size
    for number in range(count):
        if len(data) < at + _RECORD.size:
            raise InputError(f"{path}: truncated: {len(data)} bytes cannot hold {count} operations")
        kind, _, _, parameter = _RECORD.unpack_from(data, at)
        if kind >= len(KINDS):
            raise InputError(f"{path}: operation {number} is of kind {kind}; this emu knows 0 to {len(KINDS) - 1}")
        if parameter >= _MOST_PARAMETERS:
            raise InputError(f"{path}: operation {number} has parameter {parameter}; none has one that large")
        found.append((KINDS[kind], parameter))
        at += _record_bytes(KINDS[kind])
    return found


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
        f"/* The engine has only what this model needs if it is compiled with -DMAMBA_PARTS={info.parts:#x}ull. */\n\n"
        f"static const uint8_t {name}_image[{len(image)}] __attribute__((aligned({ALIGNMENT}))) = {{\n{lines}\n}};\n\n"
        f"#endif\n"
    )


def _record_bytes(kind: type[Operation]) -> int:
    return _RECORD.size + 4 * len(kind.slots)


def _require_order(operations: tuple[Operation, ...]) -> None:
    """Raise InputError for an order that the engine cannot run, by the rules of ``runtime/src/image.c``."""
    at, forked, fits = "input", False, True
    for operation in operations:
        match at, operation:
            case (("pooled" | "output"), (Linear(adds=False) | Norm() | Activation())):
                at = "output"
                continue
            case (("pooled" | "output"), _):
                fits = False
            case _, Activation():
                fits = fits and at != "input" and not (at == "hidden" and forked)
                continue
            case _, Embedding():
                fits = fits and at == "input"
            case _, Fork():
                fits, forked = fits and not forked, True
            case _, Norm():
                pass
            case _, Linear():
                fits, forked = fits and at != "hidden" and operation.adds == forked, False
            case _:
                fits = fits and at != operation.writes and not (forked and isinstance(operation, Pool))
        at = operation.writes
    if not fits or at not in ("pooled", "output") or _mixers(operations) == 0:
        names = ", ".join(type(operation).__name__ for operation in operations)
        raise InputError(f"image format {FORMAT_VERSION} has no place for these operations in this order: {names}")


def _mixers(operations: tuple[Operation, ...]) -> int:
    return sum(isinstance(operation, Mixer) for operation in operations)


def _encode(tensor: Array, slot: Slot, matrix_type: MatrixType) -> bytes:
    """Return the bytes of a tensor: a bias or table unchanged, a matrix in groups of eight rows.

    A group is (columns, 8), the last group (columns, 4) if four rows are left. With int8, the scales of a group's rows
    precede the group.
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


def _head_buffers(operations: tuple[Operation, ...], width: int) -> list[int]:
    """Return the widths of the buffers inside the head, which takes a vector of ``width``.

    A result needs a buffer of its own if it is the first, or if a matrix makes it; two are enough. The last result is
    the outputs.
    """
    at = next(index for index, operation in enumerate(operations) if isinstance(operation, Pool))
    widest, vectors = 0, 0
    for operation in operations[at + 1 : -1]:
        _, width = operation.widths(width)
        widest = max(widest, width)
        vectors += vectors == 0 or isinstance(operation, Linear)
    return [widest] * min(vectors, 2)


def _arena_bytes(graph: Graph) -> int:
    """Return the RAM of one sequence: the sum of ``mamba_layout`` in ``runtime/src/image.c``, which checks it."""
    c, n_blocks = graph.config, _mixers(graph.operations)
    buffers = [
        n_blocks * c.d_inner * padded(c.d_state),
        n_blocks * c.d_inner * (c.d_conv - 1),
        c.d_inner,
        padded(c.dt_rank) + 2 * padded(c.d_state),
    ]
    width, written = c.n_features, set[Buffer]()
    for operation in graph.operations:
        _, width = operation.widths(width)
        if isinstance(operation, Pool):
            buffers += [] if operation.pooling in ("last", "none") else [width]
            break
        written.add(operation.writes)
    buffers += [c.d_model] * len(written & {"hidden", "normed"})
    buffers += _head_buffers(graph.operations, width)
    return sum(4 * padded(floats) for floats in buffers)
