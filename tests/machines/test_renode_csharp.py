"""The hook in C# that Renode compiles: it compiles, and on the blocks of real runs it finds what it has to find.

The types of Renode are stand-ins. The blocks are those of the firmware in Unicorn, whose peak is the oracle.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
import stand_in
from builds import LEVELS, TARGET, build

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits
from emu.machines.renode import RenodeMachine
from emu.machines.unicorn import UnicornMachine
from emu.resources import resource
from emu.targets import find_target

RENODE = find_target("stm32h7-renode")
LIMITS = Limits(instructions=2_000_000, seconds=60)
SOURCES = Path(__file__).parents[1] / "firmware"
HOOK = resource("emu") / "machines" / "renode" / "stack_watch.cs"
TYPES = Path(__file__).parent / "csharp" / "renode_types.cs"
WITH_FPU = ("-Wl,--wrap=main", str(SOURCES / "fpu.c"), "-fno-tree-loop-distribute-patterns")

pytestmark = pytest.mark.skipif(
    not (shutil.which("mcs") and shutil.which("mono")), reason="no compiler for C#: apt-get install mono-mcs"
)


def compiled(directory: Path, right: str = "", wrong: str = "") -> Path:
    """Return the program of the hook, with ``wrong`` in the place of ``right``."""
    text = HOOK.read_text()
    assert right in text
    source = directory / "hook.cs"
    source.write_text(text.replace(right, wrong) if right else text)
    program = directory / "player.exe"
    subprocess.run(["mcs", "-warnaserror", f"-out:{program}", str(source), str(TYPES)], check=True)
    return program


def trace_of(elf: Path, directory: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, int | None]:
    """Return what the hook was called with in a run in front of the stand-in, and the first stack's peak."""
    trace = directory / "trace"
    stand_in.install(directory, monkeypatch)
    monkeypatch.setenv("TRACE", str(trace))
    instruments = Instruments(limits=LIMITS, stack_peak=True)
    with RenodeMachine(Firmware.load(elf, RENODE), RENODE, instruments) as machine:
        stop = machine.boot()
        while stop.reason == "yield":
            stop = machine.resume()
        return trace, machine.measure().stack_peak_bytes


def played(program: Path, trace: Path) -> list[str]:
    return subprocess.run(
        ["mono", str(program), str(trace), f"{trace}.code"], check=True, capture_output=True, text=True
    ).stdout.splitlines()


def peak_in_unicorn(elf: Path) -> int | None:
    with UnicornMachine(Firmware.load(elf, TARGET), TARGET, Instruments(limits=LIMITS)) as machine:
        stop = machine.boot()
        while stop.reason == "yield":
            stop = machine.resume()
        return machine.measure().stack_peak_bytes


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("flag", ["-DRUNS=sizes_at_run_time(3)", "-DMAIN=take_turns()", "-DRUNS=deep(30)"])
def test_the_hook_halts_where_the_stand_in_does_and_finds_unicorns_peak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: str, level: str
) -> None:
    elf = build(tmp_path, "stacks.c", level, flag, *WITH_FPU)
    trace, peak = trace_of(elf, tmp_path, monkeypatch)
    seen = [line for line in trace.read_text().splitlines() if line.startswith("seen")]
    assert sum(line != "seen 0x0" for line in seen) > 1
    assert played(compiled(tmp_path), trace) == [*seen, "unknown 0x0"]
    assert peak == peak_in_unicorn(elf)


@pytest.mark.parametrize(
    "planted",
    [
        ("now += change;", ""),
        ("deepest = now < deepest ? now : deepest;", "deepest = now;"),
        (">= 0xE8", ">= 0xF0"),
    ],
)
def test_a_planted_fault_in_the_hook_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: tuple[str, str]
) -> None:
    elf = build(tmp_path, "one_block.c", *WITH_FPU)
    trace, peak = trace_of(elf, tmp_path, monkeypatch)
    seen = [line for line in trace.read_text().splitlines() if line.startswith("seen")]
    assert played(compiled(tmp_path), trace) == [*seen, "unknown 0x0"]
    assert played(compiled(tmp_path, *planted), trace) != [*seen, "unknown 0x0"]
    assert peak == peak_in_unicorn(elf)


def test_code_that_the_elf_does_not_contain_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace, _ = trace_of(build(tmp_path, "stacks.c", *WITH_FPU), tmp_path, monkeypatch)
    with trace.open("a") as file:
        file.write("block 0x24000100 3 0x20010000\n")
    assert played(compiled(tmp_path), trace)[-1] == "unknown 0x24000100"
