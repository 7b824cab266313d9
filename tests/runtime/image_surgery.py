"""Small images of every kind, and ways to damage them that get past the checksum."""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from emu.model.checkpoint import Checkpoint
from emu.model.config import ModelConfig
from emu.model.graph import Graph, build_graph
from emu.model.image import MatrixType, write_image
from emu.model.ops import Activation, Embedding, InnerNorms, Linear, Mixer, Norm
from tests.model.samples import random_checkpoint

# The header's fields, in the order of runtime/src/image.h.
HEADER: tuple[str, ...] = (
    *("magic", "version", "image_bytes", "checksum"),
    *("n_features", "n_outputs", "d_model", "d_inner", "d_state", "d_conv", "dt_rank", "n_blocks"),
    *("n_operations", "n_tokens", "arena_bytes", "matrix_type"),
)
# The tensors of each kind of operation, by the kind's number: runtime/src/ops.def.
KINDS: dict[str, tuple[str, ...]] = {
    "Norm": ("weight", "bias", "epsilon"),
    "Mixer": (
        *("in_x.weight", "in_x.bias", "in_z.weight", "in_z.bias", "conv.weight", "conv.bias"),
        *("x_proj", "dt.weight", "dt.bias", "rate", "dt_limit", "skip", "inner_norm"),
    ),
    "Linear": ("weight", "bias"),
    "Fork": (),
    "Pool": (),
    "Activation": (),
    "Embedding": ("weight",),
}
# how many values a kind's parameter has
PARAMETERS = {"Norm": 2, "Mixer": 2, "Linear": 2, "Fork": 1, "Pool": 5, "Activation": 5, "Embedding": 1}
FIELDS = ("kind", "in", "out", "parameter")  # of an operation's record, before the offsets of its tensors

_PLAIN = ModelConfig(3, 2, d_model=4, d_inner=5, d_state=3, d_conv=4, dt_rank=1)
_BIASED = ModelConfig(3, 2, d_model=4, d_inner=5, d_state=3, d_conv=2, dt_rank=2, projection_bias=True)
_LAST = ModelConfig(3, 9, d_model=4, d_inner=9, d_state=4, d_conv=4, dt_rank=1, pooling="last")
_RESIDUAL = ModelConfig(3, 2, d_model=6, d_inner=5, d_state=1, d_conv=3, dt_rank=5, block="residual")
_BARE_RESIDUAL = ModelConfig(
    3, 3, d_model=3, d_inner=4, d_state=2, dt_rank=1, block="residual", linear_in=False, head=False
)
_SQUARE = ModelConfig(4, 4, d_model=4, d_inner=4, d_state=4, d_conv=4, dt_rank=4, n_blocks=2)
_TWO_BLOCKS = ModelConfig(2, 3, d_model=3, d_inner=6, d_state=2, dt_rank=1, n_blocks=2, projection_bias=True)


def small_images() -> dict[str, bytes]:
    """Return images of one to three kilobytes, which together have every operation, tensor and type."""
    return {
        "plain": _image(_PLAIN),
        "as trained": _image(_BIASED, fold=False),
        "last step": _image(_LAST),
        "residual": _image(_RESIDUAL),
        "bare residual": _image(_BARE_RESIDUAL),
        "layer norm": write_image(build_graph(_with_norm_biases(replace(_RESIDUAL, norm="layer", pooling="max")))),
        "two blocks": _image(_TWO_BLOCKS),
        "sum": _image(replace(_BIASED, pooling="sum")),
        "each step": _image(replace(_RESIDUAL, pooling="none")),
        "inner norms": write_image(_with_inner_norms(build_graph(random_checkpoint(_RESIDUAL, seed=3)))),
        "layers in the head": write_image(_with_head(build_graph(random_checkpoint(_PLAIN, seed=3)))),
        "tokens": write_image(_with_tokens(build_graph(random_checkpoint(_RESIDUAL, seed=3)))),
        "tokens in float16": write_image(_with_tokens(build_graph(random_checkpoint(_RESIDUAL, seed=3))), "f16"),
        "tokens in int8": write_image(_with_tokens(build_graph(random_checkpoint(_RESIDUAL, seed=3))), "int8"),
        "square": _image(_SQUARE, fold=False),
        "float16": _image(_BIASED, fold=False, matrix_type="f16"),
        "int8": _image(_LAST, matrix_type="int8"),
    }


def _image(config: ModelConfig, fold: bool = True, matrix_type: MatrixType = "f32") -> bytes:
    return write_image(build_graph(random_checkpoint(config, seed=3), fold), matrix_type)


def _with_inner_norms(graph: Graph) -> Graph:
    """Return a graph whose mixers have norms on dt, B and C."""
    norms = InnerNorms(np.linspace(0.5, 1.5, 5), np.ones(1), np.full(1, 0.7), epsilon=1e-5)
    mixers = {each: replace(each, inner_norms=norms) for each in graph.operations if isinstance(each, Mixer)}
    return replace(graph, operations=tuple(mixers.get(each, each) for each in graph.operations))  # type: ignore[arg-type]


def _with_head(graph: Graph) -> Graph:
    """Return a graph with activations between its layers, and a head of many layers."""
    chance = np.random.default_rng(3)
    *steps, pool, head = graph.operations
    assert isinstance(head, Linear)
    first, second = Linear(chance.normal(size=(7, 2)), np.ones(7)), Linear(chance.normal(size=(2, 7)), None)
    layers = (head, Activation("relu"), first, Norm(np.ones(7)), Activation("tanh"), second, Activation("sigmoid"))
    return replace(graph, operations=(*steps, Activation("silu"), Activation("gelu"), pool, *layers))


def _with_tokens(graph: Graph) -> Graph:
    """Return a graph whose inputs are tokens, with one table at both ends."""
    table = np.random.default_rng(3).normal(size=(11, graph.config.d_model))
    config = replace(graph.config, n_features=1, n_outputs=11)
    return Graph(config, (Embedding(table), *graph.operations[1:-1], Linear(table, None)))


def _with_norm_biases(config: ModelConfig) -> Checkpoint:
    weights = random_checkpoint(config, seed=3).weights
    biases = {name.replace("weight", "bias"): weights[name] for name in weights if "norm" in name}
    return Checkpoint(config, weights | biases)


def header_word(image: bytes, field: str) -> int:
    return struct.unpack_from("<I", image, 4 * HEADER.index(field))[0]


@dataclass(frozen=True)
class Record:
    """One operation in the image's table."""

    kind: str
    words: tuple[int, ...]
    """``FIELDS``, then the offset of each tensor."""
    at: int
    """The word of the image at which the operation begins."""

    def word(self, field: str) -> int:
        """Return the word of the image that holds a field."""
        return self.at + FIELDS.index(field)


def records(image: bytes) -> list[Record]:
    """Return the operations of an undamaged image."""
    found: list[Record] = []
    at = len(HEADER)
    for _ in range(header_word(image, "n_operations")):
        kind, slots = list(KINDS.items())[struct.unpack_from("<I", image, 4 * at)[0]]
        size = len(FIELDS) + len(slots)
        found.append(Record(kind, struct.unpack_from(f"<{size}I", image, 4 * at), at))
        at += size
    return found


def table_end(image: bytes) -> int:
    """Return the word after the last operation."""
    last = records(image)[-1]
    return last.at + len(last.words)


def words(image: bytes) -> tuple[int, ...]:
    """Return the header and the operations as uint32."""
    return struct.unpack_from(f"<{table_end(image)}I", image)


def slots(image: bytes) -> dict[str, int]:
    """Return the word that holds the offset of each tensor, by name: ``0.Mixer.rate`` and so on."""
    return {
        f"{number}.{record.kind}.{slot}": record.at + len(FIELDS) + index
        for number, record in enumerate(records(image))
        for index, slot in enumerate(KINDS[record.kind])
    }


def with_operations(image: bytes, operations: Sequence[Sequence[int]]) -> bytes:
    """Return the image with other records, given by their words; the tensors move, and their offsets follow."""
    tensors = image[-(-4 * table_end(image) // 16) * 16 :]
    end = 4 * (len(HEADER) + sum(map(len, operations)))
    start = -(-end // 16) * 16
    moved = start - (len(image) - len(tensors))
    table = b""
    for fields in operations:
        offsets = [offset + moved if offset else 0 for offset in fields[len(FIELDS) :]]
        table += struct.pack(f"<{len(fields)}I", *fields[: len(FIELDS)], *offsets)
    changed = image[: 4 * len(HEADER)] + table + bytes(start - end) + tensors
    return patched(changed, {HEADER.index("image_bytes"): len(changed), HEADER.index("n_operations"): len(operations)})


def patched(image: bytes, changes: Mapping[int, int]) -> bytes:
    """Return the image with words (by index) replaced, under a correct checksum."""
    damaged = bytearray(image)
    for index, value in changes.items():
        struct.pack_into("<I", damaged, 4 * index, value)
    return with_checksum(bytes(damaged))


def cut(image: bytes, size: int) -> bytes:
    """Return the first ``size`` bytes; the header says that the image has this size."""
    shorter = bytearray(image[:size])
    struct.pack_into("<I", shorter, 4 * HEADER.index("image_bytes"), size)
    return with_checksum(bytes(shorter))


def with_checksum(image: bytes) -> bytes:
    covered = 4 * HEADER.index("n_features")
    return image[: covered - 4] + struct.pack("<I", zlib.crc32(image[covered:])) + image[covered:]
