"""What firmware makes without end takes little of emu's memory, and the record says what it leaves out."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import stand_in
from builds import TARGET, build, firmware

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits, output
from emu.machines.output import KEPT_BYTES
from emu.machines.renode import machine as renode_machine
from emu.machines.unicorn import UnicornMachine
from emu.probes import callers, heap
from emu.record import Allocations, Run, read_run_file
from emu.run import open_machine
from emu.targets import find_target

MOST_BYTES = 320 << 20
"""Far from a gigabyte, as these runs are short."""
LINE = 8
needs_qemu = pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed")


# ---- output ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "kept_bytes"),
    [("unicorn", 1 << 12), pytest.param("qemu", KEPT_BYTES, marks=needs_qemu), ("renode", 1 << 12)],
)
def test_the_end_of_much_output_is_kept(
    tmp_path: Path, kind: str, kept_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.install(tmp_path, monkeypatch)
    monkeypatch.setattr(output, "KEPT_BYTES", kept_bytes)
    monkeypatch.setattr(renode_machine, "KEPT_BYTES", kept_bytes)
    kept, lines = kept_bytes // LINE, 3 * kept_bytes // LINE
    target = find_target(f"stm32h7-{kind}")
    program = Firmware.load(build(tmp_path, "endless.c", "-DSTATE=prints_lines", f"-DROUNDS={lines}"), target)
    with open_machine(program, target, Instruments(limits=Limits(1 << 40, 60))) as machine:
        assert machine.boot().reason == "yield"
        assert machine.resume().reason == "exit"
        measured = machine.measure()
    assert measured.output == "".join(f"{line % (1 << 28):07x}\n" for line in range(lines - kept, lines))
    assert measured.output_cut_bytes == LINE * (lines - kept)


# ---- the memory of a run ---------------------------------------------------------------------------------------------


_MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def memory_of(elf: Path, *options: str) -> tuple[int, Run]:
    """Return the most bytes of memory that a run of emu took, with its emulator's, and the record."""
    record = elf.with_suffix(".json")
    command = [sys.executable, "-m", "emu", "run", str(elf), "--max-seconds", "4"]
    # A child of this process would begin with the memory of this process as its most.
    measuring = [sys.executable, "-c", _MEASURE, *command, *options, "--json", str(record)]
    measured = subprocess.run(measuring, capture_output=True, text=True, check=False)
    assert measured.returncode == 1, measured
    (run,) = read_run_file(record).runs
    return 1024 * int(measured.stdout), run


INSTRUMENTS = {
    "alone": (),
    "profile": ("--profile", "--coverage"),
    "memcheck": ("--memcheck",),
    "replaced": ("--memcheck", "--replace-allocator"),
}


@pytest.mark.parametrize("options", INSTRUMENTS.values(), ids=INSTRUMENTS)
@pytest.mark.parametrize("state", ["prints", "changes_its_code", "allocates_on_ever_new_paths", "asks_for_ever_more"])
def test_a_run_in_unicorn_stays_small(tmp_path: Path, state: str, options: tuple[str, ...]) -> None:
    elf = build(tmp_path, "endless.c", f"-DSTATE={state}", "-DAT_BOOT")
    used, _ = memory_of(elf, "-t", "stm32h7-unicorn", *options)
    assert used < MOST_BYTES


@needs_qemu
@pytest.mark.parametrize("state", ["prints", "changes_its_code", "allocates_on_ever_new_paths", "asks_for_ever_more"])
def test_a_run_in_qemu_stays_small(tmp_path: Path, state: str) -> None:
    elf = build(tmp_path, "endless.c", f"-DSTATE={state}", "-DAT_BOOT")
    used, _ = memory_of(elf, "-t", "stm32h7-qemu", "--profile", "--coverage")
    assert used < MOST_BYTES


# ---- the heap --------------------------------------------------------------------------------------------------------


def test_the_heap_is_not_measured_if_its_blocks_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_MOST_LIVE", 18_000)
    with UnicornMachine(firmware(tmp_path, "endless_handles.c", "-fno-builtin"), TARGET) as machine:
        assert machine.boot().reason == "yield"
        assert machine.resume().reason == "exit"
        measured = machine.measure()
    assert not measured.heap.attached
    assert "more than 18,000 live blocks" in measured.not_measured["heap_peak_bytes"]


def test_calls_on_too_many_paths_are_counted(tmp_path: Path) -> None:
    limits = Limits(instructions=40_000_000, seconds=60)
    program = firmware(tmp_path, "endless.c", "-DSTATE=allocates_on_ever_new_paths")
    with UnicornMachine(program, TARGET, Instruments(limits=limits)) as machine:
        machine.boot()
        machine.resume()
        found = machine.measure().heap
    assert found.allocations is not None
    assert 0 < found.calls_without_callers < found.allocations


def test_backtraces_of_deep_stacks_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit, the calls from one place are one group, and the bytes still add up."""

    def peak() -> list[Allocations]:
        with UnicornMachine(firmware(tmp_path, "heap_paths.c", "-DPATHS=2000", "-DLARGE=1"), TARGET) as machine:
            machine.boot()
            found = machine.measure().heap
        assert sum(group.bytes for group in found.peak) == found.peak_live_bytes
        return found.peak

    paths = len(peak())
    monkeypatch.setattr(callers, "MOST_FRAMES", 20)
    assert 1 < len(peak()) < paths
