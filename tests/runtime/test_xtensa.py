"""The engine and its firmware as they are compiled for the ESP32-S3."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from host_engine import RUNTIME, SOURCES
from test_objects import compile_object, symbols, unresolved, writable_bytes

from emu.build import COMPILER_FLAGS, build_firmware
from emu.errors import MissingToolError
from emu.model.sources import find_model
from emu.targets import find_target
from emu.toolchains import find_toolchain

BOARD = find_target("esp32s3-qemu").board
LIBGCC = {"__divsf3", "__lshrdi3"}  # no product of 64 bits: Espressif's GCC makes it MULUH, which QEMU's core lacks
PORT = {"sqrtf"}
DIVISIONS = {"quos", "quou", "rems", "remu", "div0.s", "divn.s"}
MMU_PAGE = 64 * 1024
LOADED_LAST = 0x3FCDB700
"""The address at which ESP-IDF's second-stage bootloader runs while it loads (SRAM_DRAM_END of memory.ld.in)."""
VECTORS = {  # XCHAL_..._VECOFS of the ESP32-S3's core-isa.h
    "_WindowOverflow4": 0x0,
    "_WindowUnderflow4": 0x40,
    "_WindowOverflow8": 0x80,
    "_WindowUnderflow8": 0xC0,
    "_WindowOverflow12": 0x100,
    "_WindowUnderflow12": 0x140,
    "_Level2Vector": 0x180,
    "_Level3Vector": 0x1C0,
    "_Level4Vector": 0x200,
    "_Level5Vector": 0x240,
    "_DebugExceptionVector": 0x280,
    "_NMIExceptionVector": 0x2C0,
    "_KernelExceptionVector": 0x300,
    "_UserExceptionVector": 0x340,
    "_DoubleExceptionVector": 0x3C0,
}


@pytest.fixture(scope="module", autouse=True)
def toolchain() -> str:
    try:
        return find_toolchain(BOARD.build.toolchain).name
    except MissingToolError as missing:
        pytest.skip(str(missing))


def compiled(source: Path, directory: Path, *flags: str) -> Path:
    return compile_object(BOARD.build.toolchain, source, directory, *BOARD.build.flags, *COMPILER_FLAGS, *flags)


def assembly(source: str, directory: Path) -> list[str]:
    """Return the compiler's output for a source of the engine, a line for each instruction or label."""
    lines = compiled(RUNTIME / "src" / source, directory, "-S").read_text().splitlines()
    code = [line.split("#")[0].strip() for line in lines]
    return [line for line in code if line and (not line.startswith(".") or line.endswith(":"))]


def hardware_loops(code: list[str]) -> Iterator[list[str]]:
    """Yield the mnemonics inside each LOOP, LOOPNEZ or LOOPGTZ."""
    for first, line in enumerate(code):
        match = re.match(r"loop\w*\s+\w+,\s*(\S+)", line)
        if match:
            end = match[1].removesuffix("f") + ":"
            last = next(at for at in range(first + 1, len(code)) if code[at].startswith(end))
            yield [inside.split()[0] for inside in code[first + 1 : last]]


@pytest.mark.parametrize("level", ["-O0", "-Og", "-O2", "-O3", "-Os"])  # at -O1, GCC 12.2 has an internal error
def test_the_objects_need_libgcc_and_the_port_only_and_have_no_state(level: str, tmp_path: Path) -> None:
    objects = [compiled(source, tmp_path, level) for source in SOURCES]
    assert unresolved(objects) <= LIBGCC | PORT
    assert [writable_bytes(path) for path in objects] == [{}] * len(SOURCES)


def test_the_port_has_the_function_of_libm_that_the_engine_needs(tmp_path: Path) -> None:
    sources = sorted((RUNTIME / "port" / "xtensa").glob("*.S"))
    defined = set[str]().union(*(symbols(compiled(source, tmp_path))[0] for source in sources))
    assert defined >= PORT


def test_the_matrix_kernels_of_float32_repeat_without_a_branch(tmp_path: Path) -> None:
    loops = [body for body in hardware_loops(assembly("matrix.c", tmp_path)) if body.count("lsip") >= 4]
    rows = [body.count("madd.s") for body in loops]
    assert sorted(rows) == [4, 8]  # one multiplication for each row, and nothing else but the loads
    assert all(len(body) == 2 * count + 1 for body, count in zip(loops, rows, strict=True))


def test_the_scan_repeats_without_a_branch(tmp_path: Path) -> None:
    tiers = [body for body in hardware_loops(assembly("step.c", tmp_path)) if body.count("ssip") == 2]
    assert len(tiers) == 4
    assert not [name for body in tiers for name in body if name.startswith(("b", "call", "j")) or name in DIVISIONS]


def test_no_division_in_a_kernel(tmp_path: Path) -> None:
    code = assembly("matrix.c", tmp_path)
    assert not [line for line in code if line.split()[0] in DIVISIONS or "__div" in line]
    loops = list(hardware_loops(assembly("step.c", tmp_path)))
    assert not [name for body in loops for name in body if name in DIVISIONS]


def test_where_everything_is() -> None:
    path = build_firmware(find_model("har").image, BOARD)
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        table = elf.get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        address = {symbol.name: symbol["st_value"] for symbol in table.iter_symbols()}
        sections = {part.name: (part["sh_addr"], part["sh_size"]) for part in elf.iter_sections() if part["sh_addr"]}
        entry = elf.header["e_entry"]
    regions = {name: BOARD.region_at(start) for name, (start, _) in sections.items()}
    assert {name: region.name for name, region in regions.items() if region and sections[name][1]} == {
        ".text": "irom",
        ".rodata": "drom",
        ".stack": "dram",
        ".bss": "dram",
        ".mailbox": "dram",
    }
    assert entry == address["_start"]
    table_start = address["_WindowOverflow4"]
    assert table_start % 1024 == 0
    assert {name: address[name] - table_start for name in VECTORS} == VECTORS
    dram = next(region for region in BOARD.memory if region.name == "dram")
    assert address["__stack_limit"] == dram.start  # no variable lies below the stack
    assert address["__stack_top"] % 16 == 0
    assert sum(sections[".bss"]) <= LOADED_LAST <= sections[".mailbox"][0]
    assert sections[".mailbox"][0] <= address["emu_exception"] < sum(sections[".mailbox"])
    pages = {
        name: {byte % 0x02000000 // MMU_PAGE for byte in (start, start + size - 1)}
        for name, (start, size) in sections.items()
    }
    assert not pages[".text"] & pages[".rodata"]  # the windows share one table of pages
