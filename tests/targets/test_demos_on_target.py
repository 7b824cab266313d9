"""The demo models on each target: PyTorch's answers, within the same limits everywhere."""

import pytest

from emu.instruments import how, why_not
from emu.run import RunOptions

# The first inputs: tests/demos runs them all, on one target.
FEW = 3


@pytest.mark.parity(atol=5e-6)
@pytest.mark.parametrize("demo", ["kws", "har"])
def test_answers_are_pytorchs(emu_run, demo: str):
    run = emu_run(demo, limit=FEW)
    assert run.ok, run.verdicts
    assert run.parity.reference == "PyTorch float64"


@pytest.mark.limit_heap("0 B")
@pytest.mark.limit_ram("14 KB")
@pytest.mark.limit_stack("1 KB")
@pytest.mark.limit_instructions(9_000_000, target="stm32h7-*")
@pytest.mark.limit_instructions(13_000_000, target="esp32s3-*")
@pytest.mark.limit_flash("96 KB")
def test_keywords_fit(emu_run):
    emu_run("kws", limit=FEW)


@pytest.mark.limit_heap("0 B")
@pytest.mark.limit_ram("14 KB")
@pytest.mark.limit_stack("1 KB")
@pytest.mark.limit_instructions(10_000_000, target="stm32h7-*")
@pytest.mark.limit_instructions(14_000_000, target="esp32s3-*")
@pytest.mark.limit_flash("64 KB")
def test_exercises_fit(emu_run):
    emu_run("har", limit=FEW)


def test_the_frames_add_up_to_the_stacks_peak(emu_run, emu_target):
    if how(emu_target, "stack_peak") is None:
        pytest.skip(why_not(emu_target, ["stack_peak"]))
    run = emu_run("har", limit=FEW, options=RunOptions(stack_peak=True))
    assert sum(frame.frame_bytes for frame in run.stack.backtrace) == run.memory.stack_peak_bytes > 0


@pytest.mark.no_memory_errors(target="host-native")
@pytest.mark.no_memory_errors(target="*-unicorn")
def test_memory_errors_are_looked_for_where_the_emulator_can(emu_run, emu_target):
    run = emu_run("har", limit=1)
    assert (run.memory_check is not None) == (emu_target.emulator_name in ("native", "unicorn"))
