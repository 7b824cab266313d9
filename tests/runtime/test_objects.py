"""The compiled engine needs no library, has no global state, and compiles without a warning."""

import re
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from host_engine import RUNTIME, SOURCES, WARNINGS

from emu.build import COMPILER_FLAGS as FIRMWARE_FLAGS
from emu.targets import find_target
from emu.toolchains import find_toolchain

BOARD_FLAGS = find_target("stm32h7-unicorn").board.build.flags
STRICTER = (
    *("-Wpedantic", "-Wshadow", "-Wcast-align", "-Wcast-qual", "-Wstrict-prototypes", "-Wmissing-prototypes"),
    *("-Wvla", "-Wundef", "-Wdouble-promotion", "-Wstrict-overflow", "-Wswitch-default", "-Wwrite-strings"),
)
SHF_WRITE = 1
CODE = sorted((RUNTIME / "src").rglob("*.[ch]"))
CORES = re.compile(r"__XTENSA__|__ARM_\w+")

each_source = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)


def compile_object(toolchain: str, source: Path, directory: Path, *flags: str) -> Path:
    target = directory / f"{source.stem}.o"
    includes = [f"-I{RUNTIME / 'include'}", f"-I{RUNTIME / 'src'}"]
    find_toolchain(toolchain).run([*includes, *flags, "-c", str(source), "-o", str(target)], directory)
    return target


def symbols(path: Path) -> tuple[set[str], set[str]]:
    """Return the global symbols that an object defines, and those that it needs."""
    defined, needed = set(), set()
    with path.open("rb") as stream:
        for table in ELFFile(stream).iter_sections():
            if isinstance(table, SymbolTableSection):
                for symbol in table.iter_symbols():
                    if symbol["st_info"]["bind"] == "STB_LOCAL":
                        continue
                    (needed if symbol["st_shndx"] == "SHN_UNDEF" else defined).add(symbol.name)
    return defined, needed


def writable_bytes(path: Path) -> dict[str, int]:
    with path.open("rb") as stream:
        sections = ELFFile(stream).iter_sections()
        return {part.name: part["sh_size"] for part in sections if part["sh_flags"] & SHF_WRITE and part["sh_size"]}


def unresolved(objects: list[Path]) -> set[str]:
    """Return the symbols that the objects need and that none of them defines."""
    tables = [symbols(path) for path in objects]
    return set[str]().union(*(needed for _, needed in tables)) - set[str]().union(*(defined for defined, _ in tables))


@pytest.mark.parametrize("level", ["-O0", "-O1", "-O2", "-O3", "-Os"])
def test_the_firmware_objects_need_no_library_and_have_no_state(level: str, tmp_path: Path) -> None:
    objects = [
        compile_object("arm-none-eabi", source, tmp_path, *BOARD_FLAGS, *FIRMWARE_FLAGS, level) for source in SOURCES
    ]
    assert unresolved(objects) == set()
    assert [writable_bytes(path) for path in objects] == [{}] * len(SOURCES)


def test_the_host_objects_need_two_functions_of_libm_and_have_no_state(tmp_path: Path) -> None:
    objects = [compile_object("host", source, tmp_path, *FIRMWARE_FLAGS, "-fno-pie") for source in SOURCES]
    assert unresolved(objects) <= {"fminf", "fmaxf"}  # one instruction each on the Cortex-M7
    assert [writable_bytes(path) for path in objects] == [{}] * len(SOURCES)


def test_a_writable_byte_and_a_needed_function_would_be_seen(tmp_path: Path) -> None:
    source = tmp_path / "stateful.c"
    source.write_text("void *malloc(unsigned); static unsigned count; void *f(void) { return malloc(++count); }")
    path = compile_object("arm-none-eabi", source, tmp_path, *BOARD_FLAGS, *FIRMWARE_FLAGS)
    assert unresolved([path]) == {"malloc"}
    assert sum(writable_bytes(path).values()) == 4


@each_source
@pytest.mark.parametrize("level", ["-O0", "-O3"])
def test_the_engine_is_strict_c99(source: Path, level: str, tmp_path: Path) -> None:
    compile_object("host", source, tmp_path, "-std=c99", *WARNINGS, *STRICTER, level)


@each_source
def test_the_engine_needs_no_path_but_that_of_its_public_header(source: Path, tmp_path: Path) -> None:
    """A product compiles ``engine/src/*.c`` with ``-Iengine/include`` alone."""
    arguments = ["-std=c99", f"-I{RUNTIME / 'include'}", "-c", str(source), "-o", str(tmp_path / "object.o")]
    find_toolchain("host").run(arguments, tmp_path)


def test_the_public_header_stands_alone(tmp_path: Path) -> None:
    source = tmp_path / "user.c"
    source.write_text('#include "mamba.h"\n#include "mamba.h"\nmamba_model model;\n')
    compile_object("host", source, tmp_path, "-std=c99", *WARNINGS, *STRICTER)


@pytest.mark.parametrize("source", [path for path in CODE if "kernels" not in path.parts], ids=lambda path: path.name)
def test_only_the_kernels_know_a_core(source: Path) -> None:
    assert not CORES.findall(source.read_text())


def test_the_cores_would_be_seen() -> None:
    found = {core for path in CODE for core in CORES.findall(path.read_text())}
    assert found >= {"__XTENSA__", "__ARM_ARCH_7EM__"}
