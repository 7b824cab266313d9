"""The demo models on the emulated STM32H7: every claim that the README makes of them."""

import pytest

from emu.build import BuildOptions, build_firmware
from emu.firmware import Firmware
from emu.inputs import load_inputs
from emu.machines.unicorn import UnicornMachine
from emu.mailbox import Mailbox
from emu.model.sources import find_model
from emu.record import Run
from emu.run import RunOptions, run_model
from emu.targets import find_target

TARGET = find_target("stm32h7-unicorn")


def run_demo(name: str, count: int | None = None) -> Run:
    model = find_model(name)
    assert model.inputs is not None
    return run_model(model, TARGET, load_inputs(model.inputs).first(count), RunOptions(), lambda _done, _total: None)


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
    assert kws.instructions.per_inference <= 9_000_000


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


def test_counts_are_identical_over_ten_runs():
    model = find_model("har")
    assert model.inputs is not None
    inputs = load_inputs(model.inputs).first(3)
    firmware = Firmware.load(build_firmware(model.image, TARGET.board, BuildOptions(inputs.x.shape[1])), TARGET)
    symbol = firmware.symbol("emu_mailbox")
    assert symbol is not None

    def counts() -> list[object]:
        with UnicornMachine(firmware, TARGET) as machine:
            boot = machine.boot().instructions
            mailbox = Mailbox.open(machine, symbol.address, TARGET.board.ram)
            replies = [mailbox.infer(x)[0].instructions for x in inputs.x]
            measured = machine.measure()
            return [boot, *replies, measured.instructions, measured.stack_peak_bytes, measured.stack_touched_bytes]

    first = counts()
    assert all(counts() == first for _ in range(9))
