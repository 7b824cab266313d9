"""Every planted fault is found at its function and line, and nothing is found in firmware without one.

Each source in this directory is one firmware: with ``-DFAULT`` it has the fault that the comment ``/* FAULT: kind */``
names, on the line with that comment; without, it is its clean twin. Each source in ``clean`` has no fault at all, but
does what a careless checker takes for one. Adding a file is all that adding a fault takes.
"""

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from emu.machines import Limits
from emu.record import Run
from emu.run import RunOptions, run_firmware
from emu.targets import find_target

HERE = Path(__file__).parent
STARTUP = HERE.parent / "firmware"
TARGET = find_target("stm32h7-unicorn")
LEVELS = ("-O0", "-O2", "-Os")
LIMITS = Limits(instructions=5_000_000, seconds=20)
WRONG_FREES = ("double_free", "invalid_free")
"""After these faults, further findings come from the firmware's own allocator, which works on damaged data."""
OF_THE_HEAP = (*WRONG_FREES, "heap_out_of_bounds_", "use_after_free_")

FUNCTION = {".c": re.compile(r"(?:__attribute__|\w).*?(\w+)\((?!\()"), ".S": re.compile(r"([a-z_]\w*):")}
"""The first line of a function, by the source's suffix."""

Finding = tuple[str, str | None, int | None]
"""Kind, function and line."""
Build = Callable[..., Path]


@dataclass(frozen=True)
class Planted:
    """One source and what is wrong with it."""

    source: Path
    kind: str
    function: str
    line: int

    @classmethod
    def read(cls, source: Path) -> "Planted":
        lines = source.read_text().splitlines()
        ((line, kind),) = (
            (number, match[1])
            for number, text in enumerate(lines, start=1)
            if (match := re.search(r"/\* FAULT: (\w+) \*/", text))
        )
        beginnings = (FUNCTION[source.suffix].match(text) for text in lines[:line])
        *_, function = (match[1] for match in beginnings if match)
        return cls(source, kind, function, line)

    def __str__(self) -> str:
        return self.source.stem


PLANTED = [Planted.read(source) for source in sorted(HERE.glob("*.[cS]"))]
CLEAN = sorted((HERE / "clean").glob("*.[cS]"))


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Compile a source, and the startup code once for each level."""
    directory = tmp_path_factory.mktemp("corpus")
    compiler = ["arm-none-eabi-gcc", *TARGET.board.build.flags, "-g"]
    for level in LEVELS:
        startup = directory / f"startup{level}.o"
        subprocess.run([*compiler, level, "-c", STARTUP / "startup.c", "-o", startup], check=True)

    def build(source: Path, level: str, *flags: str) -> Path:
        elf = directory / f"{source.stem}{level}{''.join(flags)}.elf"
        link = ["-nostartfiles", "-Wl,--no-warn-rwx-segments", f"-T{STARTUP / 'test.ld'}"]
        startup = directory / f"startup{level}.o"
        subprocess.run([*compiler, level, *flags, source, startup, *link, "-o", elf], check=True)
        return elf

    return build


def run(elf: Path, *, replace_allocator: bool = False) -> Run:
    options = RunOptions(coverage=True, limits=LIMITS, memcheck=True, replace_allocator=replace_allocator)
    return run_firmware(elf, elf.stem, TARGET, None, options, lambda _done, _total: None)


def findings(run: Run) -> list[Finding]:
    assert run.memory_check is not None
    found = [*run.faults, *run.memory_check.findings]
    return [(finding.kind, finding.function, finding.line) for finding in found]


def executed(run: Run) -> set[str | None]:
    assert run.coverage is not None
    return {function.function for function in run.coverage.functions if function.executions}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("planted", PLANTED, ids=str)
def test_fault_is_found_once_at_its_line(planted: Planted, level: str, build: Build) -> None:
    found = findings(run(build(planted.source, level, "-DFAULT", "-w")))
    if planted.kind in WRONG_FREES:
        del found[1:]
    assert found == [(planted.kind, planted.function, planted.line)]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("planted", [each for each in PLANTED if each.kind.startswith(OF_THE_HEAP)], ids=str)
def test_fault_of_the_heap_is_found_once_with_an_allocator_in_place_of_the_own(
    planted: Planted, level: str, build: Build
) -> None:
    faulty = run(build(planted.source, level, "-DFAULT", "-w"), replace_allocator=True)
    assert findings(faulty) == [(planted.kind, planted.function, planted.line)]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("planted", PLANTED, ids=str)
def test_nothing_is_found_in_the_twin_that_runs_the_same_code(planted: Planted, level: str, build: Build) -> None:
    twin = run(build(planted.source, level, "-Wall", "-Wextra", "-Werror"))
    assert findings(twin) == []
    assert planted.function in executed(twin)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("source", CLEAN, ids=lambda source: source.stem)
def test_nothing_is_found_where_nothing_is_wrong(source: Path, level: str, build: Build) -> None:
    elf = build(source, level, "-Wall", "-Wextra", "-Werror")
    for replace_allocator in (False, True):
        clean = run(elf, replace_allocator=replace_allocator)
        assert findings(clean) == []
        assert "main" in executed(clean)
