"""What fills flash and RAM, compared with what binutils and the linker's map say."""

import csv
import io
import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from emu.errors import InputError
from emu.firmware import Firmware
from emu.probes.layout import layout
from emu.probes.linker_map import read_map
from emu.record import Piece
from emu.sizes import Layout, Space, changes, fills, groups, parse_ways
from emu.targets import find_target

FIRMWARE = Path(__file__).parents[1] / "firmware"
TARGET = find_target("stm32h7-unicorn")
TOOL = "arm-none-eabi-"
PROGRAMS = (("allocations.c", "-Os"), ("allocations.c", "-O0"), ("reservations.c", "-O2"), ("names.cpp", "-O2"))


def tool(name: str, *arguments: str | Path) -> str:
    command = [TOOL + name, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def link(directory: Path, source: str, level: str, name: str = "") -> Path:
    elf = directory / f"{name or Path(source).stem}{level}.elf"
    flags = ["-g", level, "-nostartfiles", "-fno-exceptions", "-Wl,--no-warn-rwx-segments", f"-T{FIRMWARE / 'test.ld'}"]
    parts = [f"-Wl,-Map={elf.with_suffix('.map')}", FIRMWARE / "startup.c", FIRMWARE / source, "-o", elf]
    subprocess.run(
        [f"{TOOL}gcc", *TARGET.board.build.flags, *flags, *map(str, parts)], check=True, stderr=subprocess.DEVNULL
    )
    return elf


@pytest.fixture(scope="module", params=PROGRAMS, ids=lambda program: "".join(program))
def elf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return link(tmp_path_factory.mktemp("sizes"), *request.param)


def pieces_of(elf: Path, *, with_map: bool = False) -> list[Piece]:
    return layout(Firmware.load(elf, TARGET), read_map(elf.with_suffix(".map")) if with_map else None)


def at_run_time(pieces: list[Piece]) -> list[Piece]:
    return [piece for piece in pieces if not piece.initial_values]


def test_every_section_has_the_size_that_size_says(elf: Path):
    rows = [line.split() for line in tool("size", "-A", elf).splitlines()]
    expected = {
        row[0]: int(row[1]) for row in rows if len(row) == 3 and row[2].isdigit() and int(row[2]) and int(row[1])
    }
    found: dict[str, int] = {}
    for piece in at_run_time(pieces_of(elf)):
        if piece.section:
            found[piece.section] = found.get(piece.section, 0) + piece.bytes
    assert found == expected


def test_every_symbol_is_where_nm_says_and_as_large(elf: Path):
    expected = {}
    for line in tool("nm", "-C", "-S", elf).splitlines():
        match = re.fullmatch(r"([0-9a-f]{8}) ([0-9a-f]{8}) [tTdDbBrRwWvV] (.*)", line)
        if match:
            expected[int(match[1], 16) & ~(line.split()[2] in "tTwW")] = int(match[2], 16)
    found = {piece.address: piece.bytes for piece in at_run_time(pieces_of(elf)) if piece.symbol is not None}
    overlapping = {address for address in expected if address not in found}
    assert len(overlapping) <= 2, "only a second name of bytes that have one"
    assert {address: size for address, size in expected.items() if address in found} == {
        address: found[address] for address in expected if address in found
    }


def test_pieces_do_not_overlap_and_add_up_to_the_figures(elf: Path):
    firmware = Firmware.load(elf, TARGET)
    pieces = layout(firmware)
    for before, after in pairwise(pieces):
        assert before.address + before.bytes <= after.address
    for region in firmware.board.memory:
        expected = firmware.static_bytes_in(region) + (firmware.mailbox_bytes_in(region) if region.writable else 0)
        assert sum(p.bytes for p in pieces if p.region == region.name and not p.reserved) == expected


def test_initial_values_are_in_flash_and_in_ram(elf: Path):
    pieces = pieces_of(elf)
    copied = [(piece.symbol, piece.bytes) for piece in pieces if piece.initial_values]
    assert copied
    assert set(copied) <= {(piece.symbol, piece.bytes) for piece in pieces if piece.region == "dtcm"}


def test_the_map_tells_libraries_and_members(tmp_path: Path):
    elf = link(tmp_path, "allocations.c", "-Os")
    pieces = pieces_of(elf, with_map=True)
    libraries = {piece.archive for piece in pieces if piece.symbol in ("_malloc_r", "memcpy", "strcmp")}
    assert libraries <= {"libg.a", "libc.a"}
    assert len(libraries) == 1
    (library,) = libraries
    path = tool("gcc", *TARGET.board.build.flags, f"-print-file-name={library}").strip()
    defined = {}
    for line in tool("nm", "-A", "--defined-only", path).splitlines():
        match = re.fullmatch(r".*:([^:]+):[0-9a-f]+ T (\S+)", line)
        if match:
            defined.setdefault(match[2], match[1])
    in_library = [piece for piece in pieces if piece.archive == library and piece.symbol in defined]
    assert len(in_library) > 10
    assert [(piece.symbol, piece.file) for piece in in_library] == [
        (p.symbol, defined[str(p.symbol)]) for p in in_library
    ]
    assert {piece.archive for piece in pieces if piece.symbol in ("main", "reset_handler", "_sbrk")} == {None}


def test_a_map_of_another_link_is_refused(emu, tmp_path: Path):
    one, other = link(tmp_path, "allocations.c", "-Os"), link(tmp_path, "allocations.c", "-O0")
    emu("size", one, "--map", other.with_suffix(".map")).assert_one_clear_line("is not the map of", "link again")
    emu("size", one, "--map", one).assert_one_clear_line("Linker script and memory map")
    other.with_suffix(".map").replace(one.with_suffix(".map"))
    assert "no linker's map is known" in emu("size", one, "--by", "archive").stdout


def test_free_space():
    pieces = [
        Piece(region="ram", section=".data", address=0x100, bytes=16),
        Piece(region="ram", section=".heap", address=0x180, bytes=32, reserved=True),
    ]
    (fill,) = fills(pieces, [Space("ram", 0x100, 0x400, True), Space("empty", 0x1000, 0x100, True)])
    assert (fill.used, fill.reserved, fill.free, fill.largest_gap) == (16, 32, 0x400 - 48, 0x500 - 0x1A0)


def test_groups_and_changes():
    def piece(address: int, size: int, symbol: str | None, file: str | None) -> Piece:
        return Piece(region="flash", section=".text", address=address, bytes=size, symbol=symbol, file=file)

    before = [piece(0, 10, "twin", "a.c"), piece(10, 20, "twin", "b.c"), piece(30, 2, None, None)]
    after = [piece(0, 10, "twin", "a.c"), piece(10, 50, "new", "b.c")]
    assert [(row.name, row.bytes) for row in groups(before, "symbol")][:2] == [("twin", 20), ("twin", 10)]
    assert [(row.name, row.bytes) for row in groups(before, "file")] == [
        ("b.c", 20),
        ("a.c", 10),
        ("(no file known)", 2),
    ]
    grown = {row.name: row.increase for row in changes(before, after, "symbol")}
    assert grown == {"new": 50, "twin": -20, "(no symbol: literals, padding)": -2}
    with pytest.raises(InputError, match="--by line: needs one of region, section, archive, file, symbol"):
        parse_ways(["line"])
    assert not Layout("x", [], before).has_map


# ---- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("two")
    return link(directory, "exact.S", "-Os", "small"), link(directory, "allocations.c", "-Os", "large")


def test_the_terminal_json_and_csv_say_the_same(emu, two: tuple[Path, Path]):
    text = emu("size", two[0], "--by", "section", "--top", "0").stdout
    document = json.loads(emu("size", two[0], "--json", "-").stdout)
    (found,) = document["layouts"]
    rows = list(csv.DictReader(io.StringIO(emu("size", two[0], "--csv", "-").stdout)))
    assert [int(row["address"], 16) for row in rows] == [piece["address"] for piece in found["pieces"]]
    for memory in found["memories"]:
        own = [int(row["bytes"]) for row in rows if row["region"] == memory["region"] and row["reserved"] == "False"]
        assert memory["used"] == sum(own)
        assert memory["used"] + memory["reserved"] + memory["free"] == memory["size"]
        assert f"{memory['used']:,} B" in text
    for row in found["by"]["section"]:
        assert re.search(rf"{row['region']} .*0x{row['address']:08x} .*{row['bytes']:,} B .*", text)


def test_a_record_has_the_layout_of_its_firmware(emu, two: tuple[Path, Path], tmp_path: Path):
    record = tmp_path / "r.json"
    assert emu("run", two[1], "-t", "stm32h7-unicorn", "--json", record).code == 0
    of_elf = emu("size", two[1], "--by", "section").stdout.splitlines()[1:]
    of_record = emu("size", record, "--by", "section").stdout.splitlines()[1:]
    assert of_record == of_elf
    page, summary = tmp_path / "page.html", tmp_path / "page.md"
    emu("report", record, "--html", page, "--markdown", summary)
    assert "What fills flash" in page.read_text()
    assert "_malloc_r:" in page.read_text()
    assert "The most in each memory" in summary.read_text()


def test_two_elfs_are_compared_whatever_their_names(emu, two: tuple[Path, Path], tmp_path: Path):
    small, large = two
    sizes = {path: json.loads(emu("size", path, "--json", "-").stdout)["layouts"][0]["memories"] for path in two}
    grew = sizes[large][0]["used"] - sizes[small][0]["used"]
    assert grew > 0
    outcome = emu("diff", small, large)
    assert outcome.code == 1
    assert f"+{grew:,} B" in outcome.stdout
    assert emu("diff", small, small).code == 0
    assert f"+{grew:,} B" in emu("size", large, "--against", small).stdout
    record = tmp_path / "r.json"
    emu("run", large, "-t", "stm32h7-unicorn", "--json", record)
    assert f"+{grew:,} B" in emu("diff", small, record).stdout


def test_firmware_that_fits_no_board_is_one_line(emu, two: tuple[Path, Path], tmp_path: Path):
    broken = tmp_path / "broken.elf"
    broken.write_bytes(two[0].read_bytes()[:400])
    emu("size", broken).assert_one_clear_line("fits no known board", "--board FILE.toml")
    emu("size", tmp_path / "missing.elf").assert_one_clear_line("missing.elf")
