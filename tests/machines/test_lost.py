"""An emulator that is gone is a fault of the run, says why, and costs no answer that it gave before."""

import math
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import stand_in
from builds import build

from emu.machines import Stop
from emu.machines.host import HostMachine
from emu.machines.qemu import QemuMachine
from emu.machines.renode import RenodeMachine
from emu.record import Run
from emu.run import RunOptions, plan, read_request, run_firmware
from emu.targets import find_target

MACHINES = {"host-native": HostMachine, "stm32h7-qemu": QemuMachine, "stm32h7-renode": RenodeMachine}
KINDS = {"host-native": "signal", "stm32h7-qemu": "emulator_lost", "stm32h7-renode": "emulator_lost"}
INPUTS = 3


def ended_after(stops: int, target: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return the record of a run whose emulator somebody kills when it has stopped so often."""
    if target.endswith("renode"):
        stand_in.install(directory, monkeypatch)
    machine, seen = MACHINES[target], []

    def then_killed(go: Callable[..., Stop]) -> Callable[..., Stop]:
        def went(self: HostMachine | QemuMachine | RenodeMachine) -> Stop:
            stop = go(self)
            seen.append(stop)
            if len(seen) == stops:
                os.killpg(self.process_id, signal.SIGKILL)
            return stop

        return went

    monkeypatch.setattr(machine, "boot", then_killed(machine.boot))
    monkeypatch.setattr(machine, "resume", then_killed(machine.resume))
    (job,) = plan([read_request("har", limit=INPUTS)], [find_target(target)], RunOptions())
    return job.run(lambda _done, _total: None)


@pytest.mark.parametrize("target", MACHINES)
@pytest.mark.parametrize("stops", [1, 2, INPUTS])
def test_the_run_has_a_fault_and_its_answers(
    stops: int, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ended_after(stops, target, tmp_path, monkeypatch)
    (fault,) = run.faults
    assert fault.kind == KINDS[target]
    assert "SIGKILL" in fault.detail or "Renode" in fault.detail
    assert not run.ok
    answered = run.instructions.inferences
    if stops == 1:
        assert not answered
    else:
        assert answered is not None
        assert stops - 2 <= answered <= stops - 1  # the last answer was there, but nobody may have read it
        assert run.parity is not None
        assert math.isinf(run.parity.max_abs_error)
    assert not run.failures


def test_a_plugin_that_gives_up_says_why(tmp_path: Path) -> None:
    elf = build(tmp_path, "too_many_blocks.c")
    run = run_firmware(elf, "program", find_target("stm32h7-qemu"), None, RunOptions(), lambda _done, _total: None)
    (fault,) = run.faults
    assert (fault.kind, fault.detail) == (
        "emulator_lost",
        "QEMU is lost: emu plugin: more than 262144 blocks of code",
    )
