"""A limit of time holds in every state of every emulator, and a busy host ends no run."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import stand_in
import test_host
from builds import TARGET, build, firmware
from test_lx7 import pytestmark as needs_lx7
from xtensa_builds import TARGET as LX7
from xtensa_builds import build as build_lx7

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits, Machine, Measurements, Stop
from emu.machines.host import HostMachine
from emu.machines.process_time import ProcessTime
from emu.machines.qemu import QemuMachine
from emu.machines.renode import RenodeMachine
from emu.machines.time_limit import TimeLimit
from emu.machines.unicorn import UnicornMachine
from emu.run import open_machine
from emu.targets import find_target

SECONDS = 0.5
LIMITS = Limits(instructions=1 << 60, seconds=SECONDS)
AFTER = 1.0
"""Within a second, or twice the limit if that is more."""
START = 1.0
"""An emulator's own start and end."""
QEMU, RENODE = find_target("stm32h7-qemu"), find_target("stm32h7-renode")
needs_qemu = pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed")

BUSY = ["loops", "prints", "polls", "changes_its_code"]
ALLOCATING = ["allocates", "allocates_on_ever_new_paths", "asks_for_ever_more"]
ON_UNICORN = {
    "alone": Instruments(limits=LIMITS),
    "profile and coverage": Instruments(limits=LIMITS, profile=True, coverage=True),
    "traffic": Instruments(limits=LIMITS, traffic=True),
    "memcheck": Instruments(limits=LIMITS, memcheck=True),
    "replaced allocator": Instruments(limits=LIMITS, memcheck=True, replace_allocator=True),
}


def work() -> float:
    """Return the processor time of this process and its ended children."""
    return sum(os.times()[:4])


def end(machine: Machine, at_boot: bool = False) -> tuple[Stop, Measurements]:
    """Run into the limit, and require that it holds for the run, and with another second for all that is measured."""
    with machine:
        if not at_boot:
            assert machine.boot().reason == "yield"
        ours = work()
        stop = machine.resume() if not at_boot else machine.boot()
        measured = machine.measure()
    assert work() - ours <= max(2 * SECONDS, SECONDS + AFTER) + START
    assert stop.fault is not None
    assert stop.fault.kind in ("time_limit", "wait_for_interrupt")
    if stop.fault.kind == "time_limit":
        assert stop.fault.detail.partition(";")[0] == "the run has not ended after 0.5 seconds"
    return stop, measured


# ---- in every state --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("instruments", ON_UNICORN.values(), ids=ON_UNICORN)
@pytest.mark.parametrize("state", [*BUSY, "prints_by_semihosting", *ALLOCATING])
def test_it_holds_in_unicorn(tmp_path: Path, state: str, instruments: Instruments) -> None:
    end(UnicornMachine(firmware(tmp_path, "endless.c", f"-DSTATE={state}"), TARGET, instruments))


@pytest.mark.parametrize("instruments", ON_UNICORN.values(), ids=ON_UNICORN)
def test_it_holds_for_endless_mistakes_with_the_heap(tmp_path: Path, instruments: Instruments) -> None:
    program = firmware(tmp_path, "endless_frees.c", "-fno-builtin")
    _, measured = end(UnicornMachine(program, TARGET, instruments))
    assert {fault.kind for fault in measured.faults} == {"invalid_free", "time_limit"}
    assert len(measured.faults) < 6  # one for each place


@pytest.mark.parametrize("state", ["prints", "allocates"])
def test_it_holds_for_the_boot(tmp_path: Path, state: str) -> None:
    program = firmware(tmp_path, "endless.c", f"-DSTATE={state}", "-DAT_BOOT")
    end(UnicornMachine(program, TARGET, ON_UNICORN["alone"]), at_boot=True)


@needs_qemu
@pytest.mark.parametrize("state", [*BUSY, *ALLOCATING, "waits", "takes_exceptions"])
def test_it_holds_in_qemu(tmp_path: Path, state: str) -> None:
    program = Firmware.load(build(tmp_path, "endless.c", f"-DSTATE={state}"), QEMU)
    instruments = Instruments(limits=LIMITS, profile=True, coverage=True, traffic=True)
    stop, _ = end(QemuMachine(program, QEMU, instruments))
    assert stop.fault is not None
    assert (stop.fault.kind == "wait_for_interrupt") == (state == "waits")


@needs_lx7
@pytest.mark.parametrize("call", ["endless_loop()", "wait_for_interrupt()"])
def test_it_holds_on_the_esp32s3(tmp_path: Path, call: str) -> None:
    program = Firmware.load(build_lx7(tmp_path, "faults.c", f"-DFAULT={call}"), LX7)
    end(QemuMachine(program, LX7, Instruments(limits=LIMITS)))


@pytest.mark.parametrize("state", BUSY)
def test_it_holds_in_front_of_renodes_protocol(tmp_path: Path, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.install(tmp_path, monkeypatch)
    program = Firmware.load(build(tmp_path, "endless.c", f"-DSTATE={state}"), RENODE)
    end(RenodeMachine(program, RENODE, Instruments(limits=LIMITS)))


@pytest.mark.parametrize("call", ["endless_loop", "prints_for_ever", "closes_everything", "sleeps_for_ever"])
def test_it_holds_on_the_host(tmp_path: Path, call: str) -> None:
    end(HostMachine(test_host.load(tmp_path, call), Instruments(limits=LIMITS)))


# ---- it is a limit of work -------------------------------------------------------------------------------------------

HOGS = 5
PATIENT = Limits(instructions=1 << 60, seconds=2.0)


@contextmanager
def one_busy_processor() -> Iterator[None]:
    """Give this process and its children a share of one processor only."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    hogs = [  # Linux may share a processor among sessions
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) for _ in range(HOGS)
    ]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
        os.sched_setaffinity(0, allowed)


def working(directory: Path, kind: str) -> Machine:
    """Return a machine whose firmware works for about a second, and ends."""
    instruments = Instruments(limits=PATIENT)
    if kind == "host":
        return HostMachine(test_host.load(directory, "works_for_a_second"), instruments)
    target, rounds = find_target(f"stm32h7-{kind}"), {"unicorn": 20_000_000, "qemu": 9_000_000, "renode": 200_000}[kind]
    elf = build(directory, "endless.c", "-DSTATE=works", f"-DROUNDS={rounds}")
    return open_machine(Firmware.load(elf, target), target, instruments)


@pytest.mark.parametrize("kind", ["unicorn", pytest.param("qemu", marks=needs_qemu), "renode", "host"])
def test_a_busy_host_ends_no_run(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run needs less work than the limit, but more real time."""
    stand_in.install(tmp_path, monkeypatch)
    with one_busy_processor(), working(tmp_path, kind) as machine:
        assert machine.boot().reason == "yield"
        began = time.monotonic()
        stop = machine.resume()
        took = time.monotonic() - began
    assert stop.reason == "exit"
    assert took > PATIENT.seconds


def test_sleep_counts_as_work() -> None:
    """An emulator that sleeps is not kept from working."""
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        limit = TimeLimit(0.3, ProcessTime(sleeper.pid).spent)
        began = time.monotonic()
        while not limit.is_over:
            time.sleep(0.01)
        assert 0.3 <= time.monotonic() - began < 2
        sleeper.kill()


def test_a_run_that_never_gets_to_work_ends_in_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = TimeLimit(7, lambda: 0.5)
    assert not limit.is_over
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 69)
    assert not limit.is_over
    monkeypatch.setattr(time, "monotonic", lambda: now + 71)
    assert limit.is_over
    assert limit.words == "70 seconds of real time; the limit is 7 seconds of processor time"
