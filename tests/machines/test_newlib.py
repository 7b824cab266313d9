"""The C library, newlib and newlib-nano: no memory error in it, and the same record of every run."""

from pathlib import Path

import pytest
from builds import LEVELS, TARGET, build

from emu.record import Run
from emu.run import RunOptions, run_firmware

SOURCE = "newlib_tour.c"
NANO = ("--specs=nano.specs", "-u", "_printf_float", "-u", "_scanf_float")
RUNS = 10


def run(elf: Path, *, memcheck: bool = True) -> Run:
    return run_firmware(elf, "tour", TARGET, None, RunOptions(memcheck=memcheck), lambda _done, _of: None)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("library", [(), NANO], ids=["newlib", "newlib-nano"])
def test_nothing_is_found_in_the_library(tmp_path: Path, library: tuple[str, ...], level: str) -> None:
    record = run(build(tmp_path, SOURCE, level, "-lm", *library))
    assert record.ok, record.faults
    assert record.memory_check is not None
    assert record.memory_check.findings == []
    assert record.heap.allocations is not None
    assert record.heap.allocations > 300


@pytest.mark.parametrize("library", [(), NANO], ids=["newlib", "newlib-nano"])
def test_every_run_is_the_same(tmp_path: Path, library: tuple[str, ...]) -> None:
    elf = build(tmp_path, SOURCE, "-lm", *library)
    first = run(elf)
    assert first.instructions.total is not None
    assert first.instructions.total > 300_000
    assert all(run(elf) == first for _ in range(RUNS - 1))


@pytest.mark.parametrize("source", [SOURCE, "newlib_mix.c", "allocations.c", "heap_random.c"])
@pytest.mark.parametrize("library", [(), NANO], ids=["newlib", "newlib-nano"])
def test_checking_changes_no_figure(tmp_path: Path, library: tuple[str, ...], source: str) -> None:
    elf = build(tmp_path, source, "-lm", *library)
    plain, checked = run(elf, memcheck=False), run(elf)
    assert checked.memory_check is not None
    assert "memory_check" in plain.not_measured
    for part in ("memory", "stack", "heap", "timeline", "instructions", "faults", "output"):
        assert getattr(checked, part) == getattr(plain, part), part
