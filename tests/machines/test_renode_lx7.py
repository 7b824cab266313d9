"""The Xtensa's side of the machine for Renode, in front of QEMU's core behind a program that speaks Renode's protocol.

These are no tests of Renode, which need Renode (test_renode.py): that the windows, the faults and the stack are read
rightly from what Renode shows is seen by comparison with QEMU's machine, which sees more.
"""

from pathlib import Path

import numpy as np
import pytest
import stand_in
from xtensa_builds import TARGET, build

from emu.build import BuildOptions, build_firmware
from emu.firmware import Firmware
from emu.inputs import load_inputs
from emu.instruments import Instruments
from emu.machines import Limits, Machine, Measurements, Stop
from emu.machines.qemu import QemuMachine
from emu.machines.renode import RenodeMachine
from emu.mailbox import SYMBOL, Mailbox
from emu.model.sources import find_model
from emu.record import Fault, Frame
from emu.targets import find_target

RENODE = find_target("esp32s3-renode")
LIMITS = Limits(instructions=2_000_000, seconds=60)
_SPILLS = 30
"""The most instructions by which counts differ: QEMU's core has 64 address registers here, Renode's spills sooner."""


pytestmark = pytest.mark.skipif(stand_in.missing_for_xtensa() != "", reason=stand_in.missing_for_xtensa())


@pytest.fixture(autouse=True)
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.install(tmp_path, monkeypatch)


def run_through(machine: Machine) -> tuple[list[Stop], Measurements]:
    with machine:
        stops = [machine.boot()]
        while stops[-1].reason == "yield":
            stops.append(machine.resume())
        return stops, machine.measure()


def in_renode(elf: Path, *, watch_stack: bool = False) -> tuple[list[Stop], Measurements]:
    return run_through(
        RenodeMachine(Firmware.load(elf, RENODE), RENODE, Instruments(limits=LIMITS, stack_peak=watch_stack))
    )


def in_qemu(elf: Path) -> tuple[list[Stop], Measurements]:
    return run_through(QemuMachine(Firmware.load(elf, TARGET), TARGET, Instruments(limits=LIMITS)))


def shown(frames: list[Frame]) -> list[tuple[str | None, int | None, int | None]]:
    return [(frame.function, frame.line, frame.frame_bytes) for frame in frames]


def sizes(frames: list[Frame]) -> list[tuple[str | None, int | None]]:
    return [(frame.function, frame.frame_bytes) for frame in frames]


def faults_of(elf: Path) -> tuple[Fault, Fault]:
    """Return the fault as Renode's and as QEMU's machine tell of it."""
    ours, other = (run(elf)[0][-1].fault for run in (in_renode, in_qemu))
    assert ours is not None
    assert other is not None
    return ours, other


# ---- runs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "level"),
    [
        ("big_frame()", "-O0"),
        ("never_written()", "-O2"),
        ("varargs()", "-O2"),
        ("calls_by_four(3)", "-O2"),
        ("calls_by_twelve(2)", "-O0"),
        ("allocas(100)", "-O2"),
    ],
)
def test_counts_and_stack_are_qemus(tmp_path: Path, shape: str, level: str) -> None:
    elf = build(tmp_path, "stack_shapes.c", level, f"-DSHAPE={shape}")
    stops, measured = in_renode(elf)
    watched_stops, watched = in_renode(elf, watch_stack=True)
    other_stops, other = in_qemu(elf)
    assert stops == watched_stops
    assert [stop.reason for stop in stops] == [stop.reason for stop in other_stops]
    for ours, theirs in zip(stops, other_stops, strict=True):
        assert ours.instructions == pytest.approx(theirs.instructions, abs=_SPILLS)
    assert watched.stack_peak_bytes is not None
    assert watched.stack_peak_bytes == other.stack_peak_bytes
    assert sizes(watched.stack.backtrace) == sizes(other.stack.backtrace)
    assert sum(frame.frame_bytes or 0 for frame in watched.stack.backtrace) == watched.stack_peak_bytes
    assert watched.stack_bytes_by_region == other.stack_bytes_by_region
    assert measured.stack_touched_bytes is not None
    assert other.stack_touched_bytes is not None
    assert other.stack_touched_bytes <= measured.stack_touched_bytes <= watched.stack_peak_bytes
    assert measured.stack_peak_bytes is None
    assert measured.heap.peak_live_bytes == 0


@pytest.mark.parametrize("shape", ["recursion(40)", "calls_by_four(40)", "alloca_after_calls(20,64)"])
def test_frames_of_a_stack_that_does_not_fit_the_registers(tmp_path: Path, shape: str) -> None:
    elf = build(tmp_path, "stack_shapes.c", "-O0", f"-DSHAPE={shape}")
    _, watched = in_renode(elf, watch_stack=True)
    _, other = in_qemu(elf)
    assert watched.stack_peak_bytes == other.stack_peak_bytes
    assert sizes(watched.stack.backtrace) == sizes(other.stack.backtrace)


def test_answers_of_a_demo_are_qemus() -> None:
    """The counts may differ: QEMU's core has 64 address registers here, Renode's 32."""
    model = find_model("har")
    assert model.inputs is not None
    x = load_inputs(model.inputs).x[:1, :2]
    answers: list[list[object]] = []
    counts: list[int | None] = []
    for machine_type, target in ((RenodeMachine, RENODE), (QemuMachine, TARGET)):
        firmware = Firmware.load(build_firmware(model.image, target.board, BuildOptions(input_rows=2)), target)
        with machine_type(firmware, target, Instruments(limits=LIMITS)) as machine:
            machine.boot()
            found: list[object] = []
            symbol = firmware.symbol(SYMBOL)
            assert symbol is not None
            mailbox = Mailbox.open(machine, symbol.address, firmware.board.ram)
            for one in x:
                reply, logits = mailbox.infer(one)
                counts.append(reply.instructions)
                found.append(np.asarray(logits).tobytes())
            found.append(machine.measure().stack_touched_bytes)
            answers.append(found)
    assert answers[0] == answers[1]
    assert counts[0] is not None
    assert counts[0] == pytest.approx(counts[1], rel=1e-3)


def test_what_is_printed(tmp_path: Path) -> None:
    elf = build(tmp_path, "prints.c")
    assert in_renode(elf)[1].output == in_qemu(elf)[1].output != ""


# ---- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["division_by_zero", "invalid_instruction", "vector_instruction", "breakpoint", "system_call", "interrupt"]
)
def test_a_fault_and_its_frames_are_those_of_qemu(tmp_path: Path, name: str) -> None:
    ours, other = faults_of(build(tmp_path, "faults.c", f"-DFAULT={name}()"))
    assert (ours.kind, ours.function, ours.line, ours.pc) == (other.kind, other.function, other.line, other.pc)
    assert ours.function == name
    assert shown(ours.backtrace) == shown(other.backtrace)
    assert [frame.function for frame in ours.backtrace] == [name, "main", "_start"]


def test_an_interrupt_of_a_higher_level_is_named(tmp_path: Path) -> None:
    ours, other = faults_of(build(tmp_path, "faults.c", "-DFAULT=interrupt()", "-DINTERRUPT=0x800"))
    assert "an interrupt of level 3, which nothing in the firmware serves" in ours.detail
    assert (ours.kind, ours.pc, ours.detail) == (other.kind, other.pc, other.detail)
    assert shown(ours.backtrace) == shown(other.backtrace)


def test_a_loop_ends_at_the_limit_with_its_frames(tmp_path: Path) -> None:
    elf = build(tmp_path, "stack_shapes.c", '-DSHAPE={ for (;;) __asm__ volatile(""); }')
    stops, _ = in_renode(elf)
    fault = stops[-1].fault
    assert fault is not None
    assert fault.kind == "instruction_budget"
    assert [frame.function for frame in fault.backtrace] == ["main", "_start"]
