"""The demo models on the emulated STM32H7: every claim of the README about them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from emu.build import BuildOptions, build_firmware
from emu.firmware import Firmware
from emu.inputs import load_inputs
from emu.instruments import Instruments
from emu.machines.unicorn import UnicornMachine
from emu.mailbox import Mailbox
from emu.model.sources import find_model
from emu.record import Run
from emu.run import RunOptions, run_model
from emu.targets import find_target

TARGET = find_target("stm32h7-unicorn")


def run_demo(name: str, count: int | None = None, options: RunOptions | None = None) -> Run:
    model = find_model(name)
    assert model.inputs is not None
    inputs = load_inputs(model.inputs).first(count)
    return run_model(model, TARGET, inputs, options or RunOptions(), lambda _done, _total: None)


def demo_firmware(name: str, count: int) -> tuple[Firmware, NDArray[np.float32]]:
    """Return the firmware and its first inputs."""
    model = find_model(name)
    assert model.inputs is not None
    x = load_inputs(model.inputs).first(count).x
    return Firmware.load(build_firmware(model.image, TARGET.board, BuildOptions(x.shape[1])), TARGET), x


@pytest.fixture(scope="module")
def kws() -> Run:
    return run_demo("kws")


@pytest.fixture(scope="module")
def har() -> Run:
    return run_demo("har")


@pytest.mark.parametrize("name", ["kws", "har"])
def test_every_label_agrees_with_pytorch(name: str, request: pytest.FixtureRequest):
    run: Run = request.getfixturevalue(name)
    assert run.ok, run.verdicts
    assert run.parity is not None
    assert run.parity.inputs >= 300
    assert run.parity.reference == "PyTorch float64"
    assert run.parity.argmax_agreement == 1.0
    assert run.parity.relative_mean_error <= 1e-6


@pytest.mark.parametrize("name", ["kws", "har"])
def test_nothing_is_allocated_and_the_ram_fits(name: str, request: pytest.FixtureRequest):
    run: Run = request.getfixturevalue(name)
    assert run.heap.attached
    assert run.memory.heap_peak_bytes == 0
    assert run.memory.ram_peak_bytes is not None
    assert run.memory.ram_peak_bytes <= 14 * 1024


def test_instructions_of_a_keyword(kws: Run):
    assert kws.instructions.per_inference is not None
    assert kws.instructions.per_inference <= 6_400_000


def test_the_firmware_is_right_about_the_true_labels_as_often_as_the_model(kws: Run, har: Run):
    for run in (kws, har):
        model = find_model(run.model)
        assert model.inputs is not None
        inputs = load_inputs(model.inputs)
        assert inputs.logits64 is not None
        assert run.parity is not None
        assert run.parity.label_accuracy == (inputs.logits64.argmax(1) == inputs.labels).mean()


@pytest.mark.parametrize("name", ["kws", "har"])
def test_the_frames_add_up_to_the_stack_peak(name: str, request: pytest.FixtureRequest):
    run: Run = request.getfixturevalue(name)
    assert sum(frame.frame_bytes or 0 for frame in run.stack.backtrace) == run.memory.stack_peak_bytes
    assert run.stack.backtrace[-1].function == "reset_handler"


@pytest.mark.parametrize("name", ["kws", "har"])
def test_no_memory_error(name: str):
    run = run_demo(name, 1, RunOptions(memcheck=True))
    assert run.ok, run.verdicts
    assert run.memory_check is not None
    assert run.memory_check.findings == []


@pytest.mark.parametrize("name", ["kws", "har"])
def test_what_else_is_measured_changes_no_figure(name: str):
    plain = run_demo(name, 1)
    others = RunOptions(traffic=True), RunOptions(profile=True), RunOptions(coverage=True), RunOptions(memcheck=True)
    for options in others:
        run = run_demo(name, 1, options)
        for part in ("memory", "stack", "heap", "timeline", "parity", "faults", "verdicts"):
            expected = getattr(plain, part)
            if part == "verdicts" and options.memcheck:
                expected = [verdict for verdict in run.verdicts if verdict.name == "no memory error"]
                expected = [plain.verdicts[0], *expected, *plain.verdicts[1:]]
            assert getattr(run, part) == expected, part
        traffic = {"loads_by_region": None, "stores_by_region": None}
        assert run.instructions.model_copy(update=traffic) == plain.instructions


def test_outputs_count_as_set_from_the_first_answer_on():
    firmware, x = demo_firmware("har", 1)
    symbol = firmware.symbol("emu_mailbox")
    assert symbol is not None
    found = []
    with UnicornMachine(firmware, TARGET, Instruments(memcheck=True)) as machine:
        for answers in (1, 0):
            machine.boot()
            mailbox = Mailbox.open(machine, symbol.address, TARGET.board.ram)
            for _ in range(answers):
                assert mailbox.infer(x[0])[0].ok
            for _ in range(3):
                machine.read_output(mailbox.output_address, 4 * mailbox.outputs)
            check = machine.measure().memory_check
            assert check is not None
            found.append([(each.kind, each.function, each.times, each.memory) for each in check.findings])
    memory = f"0 bytes into `output` ({4 * mailbox.outputs} bytes), in .mailbox"
    assert found == [[], [("uninitialised_output", "emu_yield", 3, memory)]]


def test_counts_are_identical_over_ten_runs():
    firmware, inputs = demo_firmware("har", 3)
    symbol = firmware.symbol("emu_mailbox")
    assert symbol is not None

    def counts() -> list[object]:
        with UnicornMachine(firmware, TARGET) as machine:
            boot = machine.boot().instructions
            mailbox = Mailbox.open(machine, symbol.address, TARGET.board.ram)
            replies = [mailbox.infer(x)[0].instructions for x in inputs]
            measured = machine.measure()
            return [boot, *replies, measured.instructions, measured.stack_peak_bytes, measured.stack_touched_bytes]

    first = counts()
    assert all(counts() == first for _ in range(9))
