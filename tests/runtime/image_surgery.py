"""Small images of every kind, and ways to damage them that get past the checksum."""

import struct
import zlib
from collections.abc import Mapping

from emu.model.config import ModelConfig
from emu.model.graph import build_graph
from emu.model.image import MatrixType, write_image
from tests.model.samples import random_checkpoint

# The order in which runtime/src/image.h lays them out.
HEADER: tuple[str, ...] = (
    *("magic", "version", "image_bytes", "checksum"),
    *("n_features", "n_outputs", "d_model", "d_inner", "d_state", "d_conv", "dt_rank", "n_blocks"),
    *("flags", "norm_epsilon", "arena_bytes", "matrix_type"),
)
MODEL_SLOTS = ("linear_in.weight", "linear_in.bias", "norm_f", "head.weight", "head.bias")
BLOCK_SLOTS = (
    *("norm", "in_x.weight", "in_x.bias", "in_z.weight", "in_z.bias", "conv.weight", "conv.bias"),
    *("x_proj", "dt.weight", "dt.bias", "rate", "dt_limit", "skip", "out.weight", "out.bias"),
)

_PLAIN = ModelConfig(3, 2, d_model=4, d_inner=5, d_state=3, d_conv=4, dt_rank=1)
_BIASED = ModelConfig(3, 2, d_model=4, d_inner=5, d_state=3, d_conv=2, dt_rank=2, projection_bias=True)
_LAST = ModelConfig(3, 9, d_model=4, d_inner=9, d_state=4, d_conv=4, dt_rank=1, pooling="last")
_RESIDUAL = ModelConfig(3, 2, d_model=6, d_inner=5, d_state=1, d_conv=3, dt_rank=5, block="residual")
_BARE_RESIDUAL = ModelConfig(
    3, 3, d_model=3, d_inner=4, d_state=2, dt_rank=1, block="residual", linear_in=False, head=False
)
_TWO_BLOCKS = ModelConfig(2, 3, d_model=3, d_inner=6, d_state=2, dt_rank=1, n_blocks=2, projection_bias=True)


def small_images() -> dict[str, bytes]:
    """Return images of one to three kilobytes that between them have every tensor, flag and type."""
    return {
        "plain": _image(_PLAIN),
        "as trained": _image(_BIASED, fold=False),
        "last step": _image(_LAST),
        "residual": _image(_RESIDUAL),
        "bare residual": _image(_BARE_RESIDUAL),
        "two blocks": _image(_TWO_BLOCKS),
        "float16": _image(_BIASED, fold=False, matrix_type="f16"),
        "int8": _image(_LAST, matrix_type="int8"),
    }


def _image(config: ModelConfig, fold: bool = True, matrix_type: MatrixType = "f32") -> bytes:
    return write_image(build_graph(random_checkpoint(config, seed=3), fold), matrix_type)


def header_word(image: bytes, field: str) -> int:
    return words(image)[HEADER.index(field)]


def words(image: bytes) -> tuple[int, ...]:
    """Return the header and the table of offsets as uint32."""
    n_blocks = struct.unpack_from("<I", image, 4 * HEADER.index("n_blocks"))[0]
    return struct.unpack_from(f"<{len(HEADER) + len(MODEL_SLOTS) + n_blocks * len(BLOCK_SLOTS)}I", image)


def slots(image: bytes) -> dict[str, int]:
    """Return the word that holds the offset of each tensor, by name: ``head.weight``, ``0.rate`` and so on."""
    names = [*MODEL_SLOTS]
    for block in range(header_word(image, "n_blocks")):
        names += [f"{block}.{slot}" for slot in BLOCK_SLOTS]
    return {name: len(HEADER) + index for index, name in enumerate(names)}


def patched(image: bytes, changes: Mapping[int, int]) -> bytes:
    """Return the image with words (by index) replaced, under a checksum that is right again."""
    damaged = bytearray(image)
    for index, value in changes.items():
        struct.pack_into("<I", damaged, 4 * index, value)
    return with_checksum(bytes(damaged))


def cut(image: bytes, size: int) -> bytes:
    """Return the first ``size`` bytes under a header that says that this is all."""
    shorter = bytearray(image[:size])
    struct.pack_into("<I", shorter, 4 * HEADER.index("image_bytes"), size)
    return with_checksum(bytes(shorter))


def with_checksum(image: bytes) -> bytes:
    covered = 4 * HEADER.index("n_features")
    return image[: covered - 4] + struct.pack("<I", zlib.crc32(image[covered:])) + image[covered:]
