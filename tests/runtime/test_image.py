"""The reader's validation: damaged images do not open, or run within their memory, and the exporter's side agrees."""

import re
import struct
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from host_engine import RUNTIME, SANITIZERS, SOURCES, Engine, Status, compile_program
from image_surgery import (
    HEADER,
    KINDS,
    PARAMETERS,
    cut,
    header_word,
    patched,
    records,
    slots,
    small_images,
    table_end,
    with_operations,
    words,
)

from emu.errors import InputError
from emu.model.image import read_image_info

EACH_IMAGE = pytest.mark.parametrize("name", small_images())
DIMENSIONS = HEADER[HEADER.index("n_features") : HEADER.index("n_operations")]
OPTIONAL = {"Norm.bias", "Linear.bias", "Mixer.in_x.bias", "Mixer.in_z.bias"}  # inner_norm goes with a parameter


def tensor_name(slot: str) -> str:
    """``0.Mixer.rate`` -> ``Mixer.rate``."""
    return slot.split(".", 1)[1]


@dataclass(frozen=True)
class Opened:
    status: Status
    ran: bool
    total: float


Open = Callable[[Sequence[bytes]], list[Opened]]


def open_with(program: Path, images: Sequence[bytes], directory: Path) -> subprocess.CompletedProcess[str]:
    (directory / "images").write_bytes(b"".join(struct.pack("<II", len(image), 0) + image for image in images))
    return subprocess.run([program, directory / "images"], capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def opened(open_images: Path, tmp_path: Path) -> Open:
    """Open images under sanitizers, in memory of exactly their size, and run those that open."""

    def run(images: Sequence[bytes]) -> list[Opened]:
        outcome = open_with(open_images, images, tmp_path)
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
        ("version", [0, 1, 2, 4, 0x03000000, 0xFFFFFFFF], Status.VERSION),
        ("image_bytes", [0, 1, 63, 64, 0x7FFFFFFF, 0xFFFFFFFF], Status.TRUNCATED),
        *((field, [0, 65536, 0x80000000, 0xFFFFFFFF], Status.DIMENSION) for field in DIMENSIONS),
        ("d_state", [1, 2, 3, 5, 65535], Status.DIMENSION),
        ("dt_rank", [1, 2, 3, 5, 65535], Status.DIMENSION),
        ("n_blocks", [4, 65535], Status.OPERATION),
        ("n_operations", [0, 1], Status.OPERATION),
        ("n_tokens", [65536, 0x80000000, 0xFFFFFFFF], Status.DIMENSION),
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
        if field != "d_model" or name not in (
            "plain",
            "last step",
            "int8",
            "layers in the head",
        ):  # folding leaves no tensor of that width
            larger += [patched(image, {index: value}) for value in (now + 4096, 32768, 65532)]
        other += [patched(image, {index: value}) for value in {*range(1, 40), 65534, 65535} - {now}]
    assert not {"OK", "ALIGNMENT", "MAGIC", "VERSION", "CHECKSUM"} & {*statuses(opened(larger))}
    assert not {"ALIGNMENT", "MAGIC", "VERSION", "CHECKSUM"} & {*statuses(opened(other))}


@EACH_IMAGE
def test_another_pooling_needs_another_arena(name: str, images: dict[str, bytes], opened: Open) -> None:
    pool = next(record for record in records(images[name]) if record.kind == "Pool")
    other = patched(images[name], {pool.word("parameter"): 0 if pool.words[3] in (1, 4) else 1})
    assert statuses(opened([other])) == ["ARENA"]


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
        assert result.status == (Status.OK if tensor_name(slot) in OPTIONAL else Status.TENSOR), slot


def test_the_images_have_every_operation_and_tensor(images: dict[str, bytes]) -> None:
    present = {
        tensor_name(slot) for image in images.values() for slot, word in slots(image).items() if words(image)[word] != 0
    }
    assert present == {f"{kind}.{slot}" for kind, of_a_kind in KINDS.items() for slot in of_a_kind}
    found = {(record.kind, record.words[3]) for image in images.values() for record in records(image)}
    assert found == {(kind, parameter) for kind, count in PARAMETERS.items() for parameter in range(count)}


# ---- The table of operations ----


@EACH_IMAGE
def test_a_wrong_field_of_an_operation_is_refused(name: str, images: dict[str, bytes], opened: Open) -> None:
    image = images[name]
    for record in records(image):
        kind, width, out, _ = record.words[:4]
        wrong = {
            "kind": [7, 8, 255, 256, 0x80000000, 0xFFFFFFFF, *({*range(7)} - {kind})],
            "in": [0, width - 1, width + 1, width + 4, 65535, 65536, 0x80000000, 0xFFFFFFFF],
            "out": [0, out - 1, out + 1, out + 4, 65535, 65536, 0x80000000, 0xFFFFFFFF],
            "parameter": [PARAMETERS[record.kind], PARAMETERS[record.kind] + 1, 0x80000000, 0xFFFFFFFF],
        }
        for field, values in wrong.items():
            results = opened([patched(image, {record.word(field): value}) for value in values])
            # A Norm or an Activation in place of a Linear of the same widths can be a model, mostly of another arena.
            model = {"ARENA"} | ({"OK"} if width == out else set())
            allowed = {"OPERATION", "TENSOR", "TRUNCATED", *(model if field == "kind" else ())}
            assert {*statuses(results)} <= allowed, (record, field)
            assert field == "kind" or results[0].status == Status.OPERATION


@EACH_IMAGE
def test_every_other_count_of_operations_is_refused(name: str, images: dict[str, bytes], opened: Open) -> None:
    count, index = header_word(images[name], "n_operations"), HEADER.index("n_operations")
    others = {*range(count + 8), 0x10000000, 0x40000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF} - {count}
    results = dict(zip(others, opened([patched(images[name], {index: other}) for other in others]), strict=True))
    if name == "layers in the head":  # can end with any layer of the outputs' width
        for shorter in range(count - 7, count):
            assert results.pop(shorter).status in (Status.OK, Status.ARENA, Status.OPERATION)
    elif records(images[name])[-1].kind == "Linear":  # an optional head, if its width were the width of the outputs
        square = header_word(images[name], "n_outputs") == records(images[name])[-1].words[1]
        assert (results.pop(count - 1).status == Status.OK) == square
    assert {*statuses(list(results.values()))} == {"OPERATION"}


@dataclass(frozen=True)
class Order:
    """A table that the engine cannot run, and the check of image.c that says so."""

    table: str
    """Operations of "square" by number; + gives one the parameter 1, F is a Fork, and A an Activation."""
    check: str
    forgotten: str


# The operations of "square", in which every width is 4.
SQUARE = ("Linear", "Mixer", "Linear", "Mixer", "Linear", "Pool", "Linear")

POOLED = "const int pooled = flow.at == POOLED || flow.at == OUTPUT;"
HEAD = (
    "return op->kind == MAMBA_NORM || op->kind == MAMBA_ACTIVATION || (op->kind == MAMBA_LINEAR && op->parameter == 0);"
)
IN_PLACE = "if (before == kind->writes && op->kind != MAMBA_FORK && op->kind != MAMBA_NORM) return 0;"
ADDS = "return op->parameter == MAMBA_LINEAR_ADDS ? kept == out : kept == 0;"
WRONG_ORDERS = {
    "no pooling": Order("0 1 2 3 4", POOLED, "const int pooled = 1;"),
    "two poolings": Order("0 1 2 3 4 5 5", HEAD, "return 1;"),
    "a mixer after the pooling": Order("0 1 2 3 4 5 1", HEAD, "return 1;"),
    "a head that adds": Order("0 1 2 3 4 5 6+", HEAD, "return 1;"),
    "what follows the head": Order("0 1 2 3 4 5 6 6 5", HEAD, "return 1;"),
    "a mixer too few": Order("0 1 2 5 6", "&& flow->mixers == h->n_blocks", ""),
    "a mixer too many": Order("0 1 2 3 4 3 4 5 6", "&& flow->mixers == h->n_blocks", ""),
    "a mixer that reads its own buffer": Order("0 1 3 4 5 6", IN_PLACE, ""),
    "a linear map that reads its own buffer": Order("0 0 1 2 3 4 5 6", IN_PLACE, ""),
    "nothing kept to add to": Order("0+ 1 2 3 4 5 6", ADDS, "return 1;"),
    "a kept vector that is overwritten": Order("0 F 1 2 3 4 5 6", ADDS, "return 1;"),
    "two vectors kept": Order("0 F F 1 2+ 3 4 5 6", "case MAMBA_FORK: return kept == 0;", ""),
    "a vector kept to the end": Order("0 1 2 3 4 F 5 6", "return kept == 0 && flow", "return flow"),
    "an activation of the input": Order("A 0 1 2 3 4 5 6", "before != INPUT && ", ""),
    "an activation of what is kept": Order("0 F A 1 2+ 3 4 5 6", "!(before == HIDDEN && kept > 0)", "1"),
    "a parameter that is unknown": Order("0 F+ 1 2+ 3 4 5 6", "|| op->parameter >= kind->parameters", ""),
}


def reordered(image: bytes, table: str) -> bytes:
    operations: list[tuple[int, ...]] = []
    for name in table.split():
        if name[0] in "FA":
            kind = "Fork" if name[0] == "F" else "Activation"
            operations.append((list(KINDS).index(kind), 4, 4, int(name.endswith("+"))))
        else:
            fields = records(image)[int(name[0])].words
            operations.append((*fields[:3], 1, *fields[4:]) if name.endswith("+") else fields)
    return with_operations(image, operations)


def test_orders_that_the_engine_can_run(images: dict[str, bytes], opened: Open) -> None:
    assert tuple(record.kind for record in records(images["square"])) == SQUARE
    whole = reordered(images["square"], "0 1 2 3 4 5 6")
    assert whole == images["square"]
    others = [
        "1 2 3 4 5 6",
        "0 1 2 3 4 5",
        "0 1 2 3 5 6",
        "F 1 2+ 3 4 5 6",
        "0 F 1 2+ F 3 4+ 5 6",
        "0 A 1 2 3 4 A 5 6",
    ]
    results = opened([whole, *(reordered(images["square"], order) for order in others)])
    assert statuses(results) == ["OK"] * len(results)
    assert len({result.total for result in results}) == len(results)


@pytest.mark.parametrize("order", WRONG_ORDERS.values(), ids=WRONG_ORDERS.keys())
def test_an_order_that_the_engine_cannot_run_is_refused(
    order: Order, images: dict[str, bytes], opened: Open, tmp_path: Path
) -> None:
    image = reordered(images["square"], order.table)
    assert statuses(opened([image])) == ["OPERATION"]

    source = (RUNTIME / "src" / "image.c").read_text()
    assert source.count(order.check) == 1
    (tmp_path / "image.c").write_text(source.replace(order.check, order.forgotten))
    engine = [tmp_path / "image.c" if path.name == "image.c" else path for path in SOURCES]
    programs, flags = ["open_images.c", "exercise.c"], (*SANITIZERS, "-Wno-error")
    program = compile_program(tmp_path / "open_images", programs, *flags, engine=engine)
    outcome = open_with(program, [image], tmp_path)
    assert outcome.returncode != 0 or int(outcome.stdout.split()[0]) != Status.OPERATION


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
            assert size > len(image) - 16  # only the zeros after the last tensor are gone
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
        kinds = [record.kind for record in records(image)]
        assert info.n_blocks == kinds.count("Mixer")
        assert info.has_linear_in == (kinds[0] == "Linear")
        assert info.has_last_out_proj == (kinds[kinds.index("Pool") - 1] != "Mixer")


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
    """The exporter's reader believes the header, and reads nothing else: the engine refuses all other damage."""
    image = images["plain"]
    for field in HEADER:
        for value in (0, 1, 3, 65535, 65536, 0x7FFFFFFF, 0xFFFFFFFF):
            damaged = patched(image, {HEADER.index(field): value})
            (tmp_path / "image").write_bytes(damaged)
            refused = {
                **dict.fromkeys(("magic", "version", "image_bytes"), True),
                **dict.fromkeys(DIMENSIONS, not 1 <= value <= 65535),
                "n_blocks": value != 1,
                "n_operations": not 1 <= value <= 4,  # the words after the last operation are 0: a Norm
                "arena_bytes": not 1 <= value <= 1 << 26,
                "matrix_type": value > 2,
            }
            if damaged != image and refused.get(field, False):
                assert_one_line_about(tmp_path / "image")
            else:
                info = read_image_info(tmp_path / "image")
                assert info.n_blocks == header_word(damaged, "n_blocks")
                assert info.arena_bytes == header_word(damaged, "arena_bytes")


def test_read_image_info_says_what_is_wrong_with_the_operations(images: dict[str, bytes], tmp_path: Path) -> None:
    image = images["square"]
    path = tmp_path / "image"

    def refusal(damaged: bytes) -> str:
        path.write_bytes(damaged)
        with pytest.raises(InputError) as refused:
            read_image_info(path)
        return str(refused.value)

    old = patched(image, {HEADER.index("version"): 1})
    assert refusal(old) == f"{path}: image format 1; this emu reads 3: export the model again"
    assert refusal(patched(image, {HEADER.index("n_blocks"): 3})) == (
        f"{path}: its header says 3 blocks, its operations have 2"
    )
    assert refusal(patched(image, {records(image)[2].word("kind"): 7})) == (
        f"{path}: operation 2 is of kind 7; this emu knows 0 to 6"
    )
    assert refusal(patched(image, {HEADER.index("n_operations"): 0xFFFFFFFF})).startswith(f"{path}: ")


def test_read_image_info_refuses_an_image_too_short_for_its_tables(images: dict[str, bytes], tmp_path: Path) -> None:
    for size in range(64, 4 * table_end(images["plain"]) - 8):
        (tmp_path / "image").write_bytes(cut(images["plain"], size))
        assert_one_line_about(tmp_path / "image")
