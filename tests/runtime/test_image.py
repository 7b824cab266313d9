"""The reader's validation: damaged images do not open, or run within their memory, and the exporter's side agrees."""

import re
import struct
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from host_engine import Engine, Status
from image_surgery import BLOCK_SLOTS, HEADER, MODEL_SLOTS, cut, header_word, patched, slots, small_images, words

from emu.errors import InputError
from emu.model.image import read_image_info

EACH_IMAGE = pytest.mark.parametrize("name", small_images())
DIMENSIONS = HEADER[HEADER.index("n_features") : HEADER.index("flags")]
OPTIONAL = {
    *("linear_in.weight", "linear_in.bias", "norm_f", "head.weight", "head.bias", "norm"),
    *("in_x.bias", "in_z.bias", "out.weight", "out.bias"),
}


@dataclass(frozen=True)
class Opened:
    status: Status
    ran: bool
    total: float


Open = Callable[[Sequence[bytes]], list[Opened]]


@pytest.fixture
def opened(open_images: Path, tmp_path: Path) -> Open:
    """Open images under sanitizers, in memory of exactly their size, and run those that open."""

    def run(images: Sequence[bytes], misalignments: Sequence[int] | None = None) -> list[Opened]:
        shifts = misalignments or [0] * len(images)
        parts = (struct.pack("<II", len(image), shift) + image for image, shift in zip(images, shifts, strict=True))
        (tmp_path / "images").write_bytes(b"".join(parts))
        outcome = subprocess.run(
            [open_images, tmp_path / "images"], capture_output=True, text=True, check=False, timeout=120
        )
        lines = [line.split() for line in outcome.stdout.splitlines()]
        assert outcome.returncode == 0, f"image {len(lines)} of {len(images)}: {outcome.stderr}"
        assert len(lines) == len(images)
        return [Opened(Status(int(status)), ran == "1", float(total)) for status, ran, total in lines]

    return run


def statuses(results: Sequence[Opened]) -> list[str]:
    return [result.status.name for result in results]


def test_an_undamaged_image_opens_and_runs(images: dict[str, bytes], opened: Open) -> None:
    for result in opened(list(images.values())):
        assert result.status == Status.OK
        assert result.ran
        assert np.isfinite(result.total)
        assert result.total != 0.0


@pytest.mark.parametrize(
    ("field", "values", "expected"),
    [
        ("magic", [0, 0x424D414C, 0x4D414D42, 0xFFFFFFFF], Status.MAGIC),
        ("version", [0, 2, 0x01000000, 0xFFFFFFFF], Status.VERSION),
        ("image_bytes", [0, 1, 63, 64, 0x7FFFFFFF, 0xFFFFFFFF], Status.TRUNCATED),
        *((field, [0, 65536, 0x80000000, 0xFFFFFFFF], Status.DIMENSION) for field in DIMENSIONS),
        ("d_state", [1, 2, 3, 5, 65535], Status.DIMENSION),
        ("dt_rank", [1, 2, 3, 5, 65535], Status.DIMENSION),
        ("n_blocks", [65535], Status.TRUNCATED),
        ("flags", [4, 8, 0x80000000, 0xFFFFFFFF], Status.DIMENSION),
        ("norm_epsilon", [0x7FC00000, 0xFFC00000, 0xBF800000, 0xFF800000, 0x80000001], Status.DIMENSION),
        ("arena_bytes", [0, 1, 16, 0x7FFFFFFF, 0xFFFFFFFF], Status.ARENA),
        ("matrix_type", [3, 4, 0x80000000, 0xFFFFFFFF], Status.DIMENSION),
    ],
)
def test_a_wrong_header_field_is_named(
    field: str, values: list[int], expected: Status, images: dict[str, bytes], opened: Open
) -> None:
    damaged = [patched(image, {HEADER.index(field): value}) for image in images.values() for value in values]
    assert set(statuses(opened(damaged))) == {expected.name}


def test_the_checksum_covers_all_that_is_behind_it(images: dict[str, bytes], opened: Open) -> None:
    image = images["plain"]
    first = 4 * HEADER.index("checksum")
    damaged = []
    for at in range(first, len(image)):
        flipped = bytearray(image)
        flipped[at] ^= 1 << (at % 8)
        damaged.append(bytes(flipped))
    assert set(statuses(opened(damaged))) == {"CHECKSUM"}


@EACH_IMAGE
def test_a_dimension_that_the_tensors_do_not_have_stays_within_memory(
    name: str, images: dict[str, bytes], opened: Open
) -> None:
    image = images[name]
    larger, other = [], []
    for field in DIMENSIONS:
        now, index = header_word(image, field), HEADER.index(field)
        if field != "d_model" or name not in ("plain", "last step", "int8"):  # folding leaves no tensor of that width
            larger += [patched(image, {index: value}) for value in (now + 4096, 32768, 65532)]
        other += [patched(image, {index: value}) for value in {*range(1, 40), 65534, 65535} - {now}]
    assert not {"OK", "ALIGNMENT", "MAGIC", "VERSION", "CHECKSUM"} & {*statuses(opened(larger))}
    assert not {"ALIGNMENT", "MAGIC", "VERSION", "CHECKSUM"} & {*statuses(opened(other))}


@EACH_IMAGE
def test_a_flag_that_the_tensors_do_not_fit(name: str, images: dict[str, bytes], opened: Open) -> None:
    last, residual = 1, 2
    flags = header_word(images[name], "flags")
    other_pooling = patched(images[name], {HEADER.index("flags"): flags ^ last})
    other_kind = patched(images[name], {HEADER.index("flags"): flags ^ residual})
    assert statuses(opened([other_pooling, other_kind])) == ["ARENA", "TENSOR"]


@EACH_IMAGE
def test_another_matrix_type_stays_within_memory(name: str, images: dict[str, bytes], opened: Open) -> None:
    others = opened([patched(images[name], {HEADER.index("matrix_type"): number}) for number in range(3)])
    assert {*statuses(others)} <= {"OK", "TENSOR"}
    assert others[header_word(images[name], "matrix_type")].ran


@EACH_IMAGE
def test_an_offset_out_of_range_or_misaligned_is_refused(name: str, images: dict[str, bytes], opened: Open) -> None:
    image = images[name]
    size = len(image)
    outside = [size, size + 16, 0x7FFFFFF0, 0x80000000, 0xFFFFFFF0]
    misaligned = [1, 4, 8, 65, size - 1, size - 4, 0xFFFFFFFC, 0xFFFFFFFF]
    damaged = [patched(image, {slot: offset}) for slot in slots(image).values() for offset in outside + misaligned]
    assert set(statuses(opened(damaged))) == {"TENSOR"}


@EACH_IMAGE
def test_an_absent_tensor_is_refused_where_it_is_needed(name: str, images: dict[str, bytes], opened: Open) -> None:
    image = images[name]
    present = [slot for slot, word in slots(image).items() if words(image)[word] != 0]
    results = opened([patched(image, {slots(image)[slot]: 0}) for slot in present])
    for slot, result in zip(present, results, strict=True):
        if slot.split(".", 1)[-1] not in OPTIONAL and slot not in OPTIONAL:
            assert result.status == Status.TENSOR, slot
        assert result.status in (Status.OK, Status.TENSOR, Status.ARENA), slot


def test_the_images_have_every_tensor(images: dict[str, bytes]) -> None:
    present = {slot for image in images.values() for slot, word in slots(image).items() if words(image)[word] != 0}
    assert present >= {*MODEL_SLOTS, *(f"0.{slot}" for slot in BLOCK_SLOTS)}


@EACH_IMAGE
def test_a_tensor_may_lie_anywhere_up_to_the_end_of_the_image(
    name: str, images: dict[str, bytes], opened: Open
) -> None:
    """The last place that the reader accepts is one where the engine reads nothing beyond the image."""
    image = images[name]
    offsets = range(max(64, len(image) - 1024), len(image) + 16, 16)
    present = [word for word in slots(image).values() if words(image)[word] != 0]
    results = opened([patched(image, {word: offset}) for word in present for offset in offsets])
    assert all(result.ran == (result.status == Status.OK) for result in results)
    for start in range(0, len(results), len(offsets)):
        found = statuses(results[start : start + len(offsets)])
        accepted = found.count("OK")
        assert 0 < accepted < len(found)
        assert found == ["OK"] * accepted + ["TENSOR"] * (len(found) - accepted)


@EACH_IMAGE
def test_a_truncated_image_is_refused_at_every_length(name: str, images: dict[str, bytes], opened: Open) -> None:
    image = images[name]
    assert set(statuses(opened([image[:size] for size in range(len(image))]))) == {"TRUNCATED"}

    lengths = range(64, len(image))
    for size, result in zip(lengths, opened([cut(image, size) for size in lengths]), strict=True):
        if result.status == Status.OK:
            assert size > len(image) - 16  # only the zeros behind the last tensor are gone
            assert not any(image[size:])
        else:
            assert result.status in (Status.TRUNCATED, Status.TENSOR)


def test_an_image_at_an_odd_address_is_refused(images: dict[str, bytes], engine: Engine) -> None:
    for misalignment in range(1, 16):
        assert engine.open(images["plain"], misalignment)[0] == Status.ALIGNMENT


# ---- The exporter's side ----


def assert_one_line_about(path: Path) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: [^\n]+$"):
        read_image_info(path)


def test_read_image_info_gives_what_the_engine_sees(images: dict[str, bytes], engine: Engine, tmp_path: Path) -> None:
    for image in images.values():
        (tmp_path / "image").write_bytes(image)
        info, model = read_image_info(tmp_path / "image"), engine.load(image)
        assert (info.n_features, info.n_outputs) == (model.fields.n_features, model.fields.n_outputs)
        assert info.arena_bytes == model.arena_bytes
        assert info.has_linear_in == (words(image)[slots(image)["linear_in.weight"]] != 0)
        assert info.has_last_out_proj == (words(image)[slots(image)[f"{info.n_blocks - 1}.out.weight"]] != 0)


def test_read_image_info_refuses_every_truncation(images: dict[str, bytes], tmp_path: Path) -> None:
    image = images["bare residual"]
    for size in range(len(image)):
        (tmp_path / "image").write_bytes(image[:size])
        assert_one_line_about(tmp_path / "image")


def test_read_image_info_refuses_every_flipped_byte(images: dict[str, bytes], tmp_path: Path) -> None:
    image = images["bare residual"]
    for at in range(len(image)):
        for bit in range(8) if at < 64 else [at % 8]:
            flipped = bytearray(image)
            flipped[at] ^= 1 << bit
            (tmp_path / "image").write_bytes(flipped)
            assert_one_line_about(tmp_path / "image")


def test_read_image_info_survives_any_header_under_a_right_checksum(images: dict[str, bytes], tmp_path: Path) -> None:
    """What it does not refuse is for the engine to refuse: it believes the header, and nothing but the header."""
    image = images["plain"]
    for field in HEADER:
        for value in (0, 1, 3, 65535, 65536, 0x7FFFFFFF, 0xFFFFFFFF):
            damaged = patched(image, {HEADER.index(field): value})
            (tmp_path / "image").write_bytes(damaged)
            if field in ("magic", "version", "image_bytes") or (field in DIMENSIONS and not 1 <= value <= 65535):
                if damaged != image:
                    assert_one_line_about(tmp_path / "image")
            elif (field == "n_blocks" and value > 3) or (field == "arena_bytes" and not 1 <= value <= 1 << 26):
                assert_one_line_about(tmp_path / "image")
            else:
                info = read_image_info(tmp_path / "image")
                assert info.n_blocks == header_word(damaged, "n_blocks")
                assert info.arena_bytes == header_word(damaged, "arena_bytes")


def test_read_image_info_refuses_an_image_too_short_for_its_tables(images: dict[str, bytes], tmp_path: Path) -> None:
    for size in range(64, 64 + 4 * (len(MODEL_SLOTS) + len(BLOCK_SLOTS))):
        (tmp_path / "image").write_bytes(cut(images["plain"], size))
        assert_one_line_about(tmp_path / "image")
