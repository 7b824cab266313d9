"""Real Renode against PyTorch, Unicorn and QEMU; every test is skipped, with the reason, if there is no Renode."""

from pathlib import Path

import numpy as np
import pytest
import xtensa_builds
from builds import SOURCES, build, line_of
from builds import TARGET as UNICORN

from emu.build import BuildOptions, build_firmware
from emu.errors import MissingToolError
from emu.firmware import Firmware
from emu.inputs import EvaluationInputs, load_inputs
from emu.instruments import Instruments
from emu.machines import Limits, Machine
from emu.machines.qemu import QemuMachine
from emu.machines.renode import RenodeMachine, renode_version
from emu.machines.unicorn import UnicornMachine
from emu.mailbox import SYMBOL, Mailbox
from emu.model.sources import find_model
from emu.run import RunOptions, run_firmware, run_model
from emu.targets import Target, find_target
from emu.toolchains import find_toolchain

try:
    renode_version()
except MissingToolError as missing:
    pytest.skip(str(missing), allow_module_level=True)

ARM, XTENSA = find_target("stm32h7-renode"), find_target("esp32s3-renode")
LIMITS = Limits(instructions=3_000_000, seconds=60)
WITH_FPU = ("-Wl,--wrap=main", str(SOURCES / "fpu.c"))


def _missing_for_xtensa() -> str:
    try:
        find_toolchain("xtensa")
    except MissingToolError as missing:
        return str(missing)
    return ""


needs_xtensa = pytest.mark.skipif(bool(_missing_for_xtensa()), reason=_missing_for_xtensa())


def infer(machine: Machine, firmware: Firmware, x: np.ndarray) -> tuple[list[object], bytes]:
    """Return the instructions of the boot and of each input with the touched stack, and all logits' bits."""
    with machine:
        counts: list[object] = [machine.boot().instructions]
        symbol = firmware.symbol(SYMBOL)
        assert symbol is not None
        mailbox = Mailbox.open(machine, symbol.address, firmware.board.ram)
        replies = [mailbox.infer(one) for one in x]
        assert all(reply.ok for reply, _ in replies), replies[-1][0]
        measured = machine.measure()
    counts += [reply.instructions for reply, _ in replies]
    counts += [measured.instructions.total, measured.stack_touched_bytes, measured.faults]
    return counts, b"".join(logits.tobytes() for _, logits in replies)


def demo(name: str, target: Target) -> tuple[Firmware, np.ndarray]:
    model = find_model(name)
    assert model.inputs is not None
    x = load_inputs(model.inputs).x
    return Firmware.load(build_firmware(model.image, target.board, BuildOptions(input_rows=x.shape[1])), target), x


@pytest.mark.parametrize("name", ["kws", "har"])
def test_the_arm_is_unicorns_and_qemus_to_the_bit(name: str) -> None:
    firmware, x = demo(name, ARM)
    ours = infer(RenodeMachine(firmware, ARM), firmware, x[:20])
    assert ours == infer(UnicornMachine(firmware, UNICORN), firmware, x[:20])
    assert ours == infer(QemuMachine(firmware, find_target("stm32h7-qemu")), firmware, x[:20])


@needs_xtensa
@pytest.mark.parametrize("name", ["kws", "har"])
def test_the_xtensa_answers_as_in_qemu(name: str) -> None:
    """The counts may differ: the core has 64 address registers, QEMU's 32."""
    firmware, x = demo(name, XTENSA)
    ours, other = (
        infer(machine, firmware, x[:20])
        for machine in (RenodeMachine(firmware, XTENSA), QemuMachine(firmware, find_target("esp32s3-qemu")))
    )
    assert ours[1] == other[1]
    assert ours[0][-1] == ()


@pytest.mark.parametrize("target", [ARM, pytest.param(XTENSA, marks=needs_xtensa)], ids=lambda target: target.name)
@pytest.mark.parametrize("name", ["kws", "har"])
def test_every_input_agrees_with_pytorch(name: str, target: Target) -> None:
    model = find_model(name)
    assert model.inputs is not None
    run = run_model(model, target, load_inputs(model.inputs), RunOptions(), lambda *_: None)
    assert run.faults == []
    assert run.parity is not None
    assert run.parity.argmax_agreement == 1
    assert run.ok, run.verdicts
    assert run.environment["renode"] == renode_version()


@pytest.mark.parametrize("target", [ARM, pytest.param(XTENSA, marks=needs_xtensa)], ids=lambda target: target.name)
def test_the_stacks_peak_is_qemus(target: Target) -> None:
    """The hook before every instruction is slow: four rows of an input lead as deep as all of them."""
    firmware, x = demo("har", target)
    inputs = EvaluationInputs(x[:1, :4])
    options = RunOptions(stack_peak=True, limits=Limits(seconds=600))
    on_qemu = find_target(target.name.replace("renode", "qemu"))
    ours, other = (run_firmware(firmware.path, "har", on, inputs, options, lambda *_: None) for on in (target, on_qemu))
    assert ours.faults == []
    assert ours.not_measured.get("stack_peak_bytes") is None
    assert ours.memory.stack_peak_bytes == other.memory.stack_peak_bytes
    assert ours.memory.ram_peak_bytes == other.memory.ram_peak_bytes
    frames, expected = ([(f.function, f.frame_bytes) for f in run.stack.backtrace] for run in (ours, other))
    assert frames == expected
    assert ours.stack.second_run


@needs_xtensa
@pytest.mark.parametrize("name", ["division_by_zero", "invalid_instruction", "breakpoint", "system_call"])
def test_faults_on_the_xtensa_are_those_of_qemu(tmp_path: Path, name: str) -> None:
    elf = xtensa_builds.build(tmp_path, "faults.c", f"-DFAULT={name}()")
    found = []
    for machine_type, target in ((RenodeMachine, XTENSA), (QemuMachine, find_target("esp32s3-qemu"))):
        with machine_type(Firmware.load(elf, target), target, Instruments(limits=LIMITS)) as machine:
            stop = machine.boot()
            while stop.reason == "yield":
                stop = machine.resume()
            assert stop.fault is not None
            frames = [(frame.function, frame.line, frame.frame_bytes) for frame in stop.fault.backtrace]
            found.append((stop.fault.kind, stop.fault.function, stop.fault.line, frames))
    assert found[0] == found[1]


@pytest.mark.parametrize("target", [ARM, pytest.param(XTENSA, marks=needs_xtensa)], ids=lambda target: target.name)
def test_a_run_is_the_same_again(target: Target) -> None:
    firmware, x = demo("kws", target)
    first, second = (infer(RenodeMachine(firmware, target), firmware, x[:3]) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("fault", "kind", "mark"),
    [
        ("READ_NOTHING", "unmapped_read", "reads nothing"),
        ("LOOP", "wait_for_interrupt", "loops"),
        ("SPIN", "instruction_budget", "spins"),
    ],
)
def test_faults_on_the_arm(tmp_path: Path, fault: str, kind: str, mark: str) -> None:
    firmware = Firmware.load(build(tmp_path, "mailbox.c", *WITH_FPU, f"-DFAULT={fault}"), ARM)
    with RenodeMachine(firmware, ARM, Instruments(limits=LIMITS)) as machine:
        machine.boot()
        symbol = firmware.symbol(SYMBOL)
        assert symbol is not None
        reply, _ = Mailbox.open(machine, symbol.address, firmware.board.ram).infer(np.zeros((4, 3), np.float32))
    found = reply.stop.fault
    assert found is not None
    assert (found.kind, found.file and Path(found.file).name, found.line) == (
        kind,
        "mailbox.c",
        line_of("mailbox.c", mark),
    )


def test_a_jump_to_nothing_on_the_arm_ends_soon(tmp_path: Path) -> None:
    firmware = Firmware.load(build(tmp_path, "mailbox.c", *WITH_FPU, "-DFAULT=JUMP"), ARM)
    with RenodeMachine(firmware, ARM, Instruments(limits=LIMITS)) as machine:
        machine.boot()
        symbol = firmware.symbol(SYMBOL)
        assert symbol is not None
        reply, _ = Mailbox.open(machine, symbol.address, firmware.board.ram).infer(np.zeros((4, 3), np.float32))
    assert reply.stop.reason == "fault"


@needs_xtensa
def test_printing_on_the_xtensa(tmp_path: Path) -> None:
    firmware = Firmware.load(xtensa_builds.build(tmp_path, "prints.c"), XTENSA)
    with RenodeMachine(firmware, XTENSA, Instruments(limits=LIMITS)) as machine:
        machine.boot()
        with QemuMachine(firmware, find_target("esp32s3-qemu"), Instruments(limits=LIMITS)) as other:
            other.boot()
            assert machine.measure().output == other.measure().output != ""
