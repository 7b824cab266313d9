"""The machine in front of a program that speaks Renode's protocol: what goes to and fro, and what can go wrong.

These are no tests of Renode, which need Renode (test_renode.py).
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import stand_in
from builds import SOURCES, build, line_of
from builds import TARGET as UNICORN

from emu.errors import MissingToolError
from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits, Stop
from emu.machines.renode import RenodeMachine, process, renode_version
from emu.machines.renode import machine as machine_module
from emu.machines.unicorn import UnicornMachine
from emu.mailbox import SYMBOL, Mailbox
from emu.targets import find_target

TARGET = find_target("stm32h7-renode")
LIMITS = Limits(instructions=2_000_000, seconds=20)
FLAGS = ("-Wl,--wrap=main", str(SOURCES / "fpu.c"), "-Wl,--defsym=__stack_limit=0x2001F000")


@pytest.fixture(autouse=True)
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renode's command is a script that starts another process."""
    stand_in.install(tmp_path, monkeypatch)


@pytest.fixture
def misbehave(monkeypatch: pytest.MonkeyPatch):
    return lambda how: monkeypatch.setenv("MISBEHAVE", how)


def program(directory: Path, *flags: str) -> Firmware:
    return Firmware.load(build(directory, "mailbox.c", *FLAGS, *flags), TARGET)


def mailbox_of(machine: RenodeMachine | UnicornMachine, firmware: Firmware) -> Mailbox:
    symbol = firmware.symbol(SYMBOL)
    assert symbol is not None
    return Mailbox.open(machine, symbol.address, firmware.board.ram)


def sequences(number: int, rows: int = 6) -> np.ndarray:
    return np.random.default_rng(7).integers(-9, 9, (number, rows, 3)).astype(np.float32)


# ---- what goes to and fro --------------------------------------------------------------------------------------------


def test_answers_and_counts_are_those_of_unicorn(tmp_path: Path) -> None:
    firmware = program(tmp_path)
    x = sequences(5)
    with (
        RenodeMachine(firmware, TARGET, Instruments(limits=LIMITS)) as ours,
        UnicornMachine(firmware, UNICORN) as other,
    ):
        assert ours.boot().instructions == other.boot().instructions
        answers, expected = ([mailbox_of(machine, firmware).infer(one) for one in x] for machine in (ours, other))
        measured, reference = ours.measure(), other.measure()
    for (reply, outputs), (other_reply, other_outputs), one in zip(answers, expected, x, strict=True):
        assert outputs.tobytes() == other_outputs.tobytes()
        assert outputs.tolist() == [one.sum(), (one * one).sum()]
        assert reply.instructions == other_reply.instructions
    assert measured.instructions.total == reference.instructions.total
    assert measured.stack_touched_bytes == reference.stack_touched_bytes
    assert measured.stack_limit_bytes == reference.stack_limit_bytes
    assert measured.heap.peak_live_bytes == reference.heap.peak_live_bytes == 0
    assert measured.heap.heap_region_bytes is None
    assert measured.not_measured["heap_region_bytes"]
    assert measured.faults == ()
    missing = ("stack_peak_bytes", "profile", "coverage", "memory_check", "timeline", "by_function", "loads_by_region")
    assert all(measured.not_measured[name] for name in missing)
    assert measured.stack_peak_bytes is None


def test_after_the_first_each_input_is_one_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    firmware = program(tmp_path)
    requests: list[str] = []
    send = process.RobotServer.command

    def command(self: process.RobotServer, text: str, seconds: float) -> str:
        requests.append(text)
        return send(self, text, seconds)

    monkeypatch.setattr(process.RobotServer, "command", command)
    with RenodeMachine(firmware, TARGET, Instruments(limits=LIMITS)) as machine:
        machine.boot()
        mailbox = mailbox_of(machine, firmware)
        mailbox.infer(sequences(1, rows=4)[0])
        before = len(requests)
        for one in sequences(10, rows=4):
            mailbox.infer(one)
        # The painted part of the stack gets smaller once more.
        assert len(requests) - before <= 10 + 1


def test_memory_reads_as_it_was_written(tmp_path: Path) -> None:
    firmware = program(tmp_path)
    start = 0x24040000
    with RenodeMachine(firmware, TARGET, Instruments(limits=LIMITS)) as machine:
        machine.boot()
        machine.write(start, bytes(range(64)))
        assert machine.read(start, 64) == bytes(range(64))
        machine.write(start + 8, b"\xff" * 4)
        assert machine.read(start, 16) == bytes(range(8)) + b"\xff" * 4 + bytes(range(12, 16))
        assert machine.read(start + 64, 4) == b"\xc5" * 4
        assert machine.read(0x3001FFF0, 32) == b"\xc5" * 32  # from one memory into the next
        for address, size in ((0x90000000, 4), (0x24000000 + 512 * 1024 - 2, 4), (0xE000ED28, 4)):
            with pytest.raises(ValueError, match=f"{address:#010x}"):
                machine.read(address, size)
            with pytest.raises(ValueError, match=f"{address:#010x}"):
                machine.write(address, bytes(size))


def test_the_end_of_a_program_and_its_status(tmp_path: Path) -> None:
    with RenodeMachine(program(tmp_path, "-DFAULT=RETURN"), TARGET, Instruments(limits=LIMITS)) as machine:
        machine.boot()
        stop = machine.resume()
        assert (stop.reason, stop.exit_status, stop.fault) == ("exit", 3, None)
        with pytest.raises(RuntimeError, match="does not wait"):
            machine.resume()


# ---- what firmware does wrong ----------------------------------------------------------------------------------------


def second_stop(machine: RenodeMachine, firmware: Firmware) -> Stop:
    assert machine.boot().reason == "yield"
    reply, outputs = mailbox_of(machine, firmware).infer(sequences(1, rows=4)[0])
    assert np.isnan(outputs).all() or reply.ok
    return reply.stop


def test_an_access_to_nothing_is_a_fault_with_the_line_of_the_log(tmp_path: Path) -> None:
    firmware = program(tmp_path, "-DFAULT=READ_NOTHING")
    with RenodeMachine(firmware, TARGET, Instruments(limits=LIMITS)) as machine:
        fault = second_stop(machine, firmware).fault
        assert fault is not None
        assert (fault.kind, fault.address) == ("unmapped_read", 0x90000000)
        assert fault.line == line_of("mailbox.c", "reads nothing")
        assert "[WARNING] sysbus: [cpu: 0x" in fault.detail
        assert machine.measure().faults == (fault,)


def test_an_access_to_nothing_that_the_log_does_not_tell_of(tmp_path: Path, misbehave) -> None:
    misbehave("mute")
    firmware = program(tmp_path, "-DFAULT=READ_NOTHING")
    with RenodeMachine(firmware, TARGET, Instruments(limits=LIMITS)) as machine:
        fault = second_stop(machine, firmware).fault
        assert fault is not None
        assert "counts 1 such access and" in fault.detail
        assert "does not say where" in fault.detail


def test_a_write_to_flash_is_found_at_the_end(tmp_path: Path) -> None:
    firmware = program(tmp_path, "-DFAULT=WRITE_FLASH")
    with RenodeMachine(firmware, TARGET, Instruments(limits=LIMITS)) as machine:
        assert second_stop(machine, firmware).reason == "yield"
        (fault,) = machine.measure().faults
        constant = firmware.symbol("constant")
        assert constant is not None
        assert (fault.kind, fault.address) == ("write_to_read_only", constant.address)


@pytest.mark.parametrize(
    ("limits", "kind"),
    [(Limits(3_000_000, 60), "instruction_budget"), (Limits(1 << 40, 0.2), "time_limit")],
)
def test_a_loop_ends_at_the_limit(tmp_path: Path, limits: Limits, kind: str) -> None:
    firmware = program(tmp_path, "-DFAULT=SPIN")
    with RenodeMachine(firmware, TARGET, Instruments(limits=limits)) as machine:
        fault = second_stop(machine, firmware).fault
        assert fault is not None
        assert (fault.kind, fault.line) == (kind, line_of("mailbox.c", "spins"))


def test_a_branch_to_itself_is_seen_at_once_although_nothing_is_retired(tmp_path: Path) -> None:
    """Renode takes it for WFI: the count stands still, so no budget of instructions ends the run."""
    firmware = program(tmp_path, "-DFAULT=LOOP")
    with RenodeMachine(firmware, TARGET, Instruments(limits=Limits(seconds=1000))) as machine:
        fault = second_stop(machine, firmware).fault
        assert fault is not None
        assert (fault.kind, fault.line) == ("wait_for_interrupt", line_of("mailbox.c", "loops"))
        assert "idles in `b .`" in fault.detail


def test_a_write_below_the_stacks_memory_is_a_stack_overflow(tmp_path: Path) -> None:
    flags = ("-Wl,--wrap=main", str(SOURCES / "fpu.c"), "-Wl,--defsym=__stack_limit=0x20000000")
    firmware = Firmware.load(build(tmp_path, "mailbox.c", *flags, "-DFAULT=OVERFLOW"), TARGET)
    with RenodeMachine(firmware, TARGET, Instruments(limits=LIMITS)) as machine:
        fault = second_stop(machine, firmware).fault
        assert fault is not None
        assert (fault.kind, fault.address) == ("stack_overflow", 0x20000000 - 64)


def test_a_stack_whose_memory_was_cleared_has_no_touched_figure(tmp_path: Path) -> None:
    firmware = program(tmp_path, "-DFAULT=CLEAR")
    with RenodeMachine(firmware, TARGET, Instruments(limits=LIMITS)) as machine:
        assert second_stop(machine, firmware).reason == "yield"
        measured = machine.measure()
        assert measured.stack_touched_bytes is None
        assert "clears the memory" in measured.not_measured["stack_touched_bytes"]


def test_a_core_that_has_stopped_for_good_is_a_fault_at_once(tmp_path: Path) -> None:
    """Renode does not answer any more then: the log tells it, long before the time is over."""
    firmware = program(tmp_path, "-DFAULT=JUMP")
    with RenodeMachine(firmware, TARGET, Instruments(limits=Limits(seconds=100_000))) as machine:
        stop = second_stop(machine, firmware)
        assert stop.fault is not None
        assert (stop.fault.kind, stop.fault.address) == ("unmapped_fetch", 0x90000000)
        assert "outside RAM or ROM" in stop.fault.detail
        assert stop.instructions is None
        measured = machine.measure()
        assert measured.instructions.total is None
        assert "lost" in measured.not_measured["total"]
        assert "lost" in measured.not_measured["stack_touched_bytes"]
        assert stand_in.has_ended(machine.process_id)


# ---- what Renode does wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("early end", r"ended by itself with exit code 1; it said: Couldn't find \.NET"),
        ("no keyword", r'fault 1: Keyword "ExecuteCommand" not found'),
        ("not XML-RPC", "is not XML-RPC"),
        ("no status", "no status PASS or FAIL"),
        ("void", "not with text"),
        ("refuse LoadPlatformDescription", r"LoadPlatformDescription @.*Parameters did not match the signature"),
        ("refuse AddHook", r"AddHook 0x8\w+ .*Parameters did not match"),
        ("refuse SetGlobalAdvanceImmediately", "SetGlobalAdvanceImmediately true"),
        ("corrupt", r"memory at 0x08000000 is not what was loaded there"),
        ("short", r"dump_file has written \d+ of \d+ bytes of memory at 0x08000000"),
        ("decimal words", "prints 'many .*', but a number was expected"),
        ("chatty", r"answers \d+ questions with \d+ lines: .*Did you know"),
    ],
)
def test_a_renode_that_cannot_be_used_is_refused_with_what_it_said(
    tmp_path: Path, misbehave, how: str, said: str
) -> None:
    misbehave(how)
    with RenodeMachine(program(tmp_path), TARGET, Instruments(limits=LIMITS)) as machine:
        with pytest.raises(MissingToolError, match=said) as error:
            machine.boot()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("crash", r"ended by itself with exit code 134; it said: Unhandled exception"),
        ("hang", r"has not answered ExecuteCommand\('emulation RunFor .* in \d+(\.\d+)? seconds"),
        ("elsewhere", r"has halted at 0x08000010, but no hook is there"),
    ],
)
def test_a_renode_that_is_lost_is_a_fault_that_says_how(
    tmp_path: Path, misbehave, monkeypatch: pytest.MonkeyPatch, how: str, said: str
) -> None:
    monkeypatch.setattr(machine_module, "_ANSWER_SECONDS", 2.0)
    misbehave(how)
    with RenodeMachine(program(tmp_path), TARGET, Instruments(limits=Limits(seconds=0.5))) as machine:
        stop = machine.boot()
        assert stop.fault is not None
        assert stop.fault.kind == "emulator_lost"
        assert re.search(said, stop.fault.detail), stop.fault.detail
        assert stand_in.has_ended(machine.process_id)
        assert machine.measure().faults == (stop.fault,)


def test_a_core_that_does_not_go_on_is_a_fault(tmp_path: Path, misbehave) -> None:
    misbehave("stuck")
    with RenodeMachine(program(tmp_path), TARGET, Instruments(limits=LIMITS)) as machine:
        machine.boot()
        stop = machine.resume()
        assert stop.fault is not None
        assert "without having run" in stop.fault.detail


def test_hooks_that_do_not_halt_end_at_the_budget(tmp_path: Path, misbehave) -> None:
    misbehave("unhalted")
    with RenodeMachine(program(tmp_path), TARGET, Instruments(limits=LIMITS)) as machine:
        stop = machine.boot()
        assert stop.fault is not None
        assert stop.fault.kind == "instruction_budget"


def test_a_slow_start_is_waited_for(tmp_path: Path, misbehave) -> None:
    misbehave("slow")
    with RenodeMachine(program(tmp_path), TARGET, Instruments(limits=LIMITS)) as machine:
        assert machine.boot().reason == "yield"


def test_a_start_that_takes_too_long(tmp_path: Path, misbehave, monkeypatch: pytest.MonkeyPatch) -> None:
    misbehave("slow")
    monkeypatch.setattr(process, "_START_SECONDS", 0.5)
    with (
        RenodeMachine(program(tmp_path), TARGET, Instruments(limits=LIMITS)) as machine,
        pytest.raises(MissingToolError, match=r"not told its port in 0\.5 seconds; its directory holds .*config"),
    ):
        machine.boot()


# ---- keywords --------------------------------------------------------------------------------------------------------


@pytest.fixture
def renode():
    running = process.RenodeProcess()
    yield running
    running.close()


def test_arguments_that_would_be_taken_for_named_ones_are_not_sent(renode: process.RenodeProcess) -> None:
    with pytest.raises(process.RenodeError, match="named argument: put a space"):
        renode.robot.keyword("ExecuteCommand", ["x=1"], 5)
    with pytest.raises(process.RenodeError, match="No such command or device: x = 1"):
        renode.robot.keyword("ExecuteCommand", ["x = 1"], 5)


def test_faults_of_the_server_name_what_was_asked(renode: process.RenodeProcess) -> None:
    with pytest.raises(process.RenodeError, match=r"ExecutePython\('1'\): fault 1"):
        renode.robot.keyword("ExecutePython", ["1"], 5)
    with pytest.raises(process.RenodeError, match="fault 2: Arguments types do not match"):
        renode.robot.keyword("ExecuteCommand", ["version", "a", "b"], 5)


def test_several_commands_stop_at_the_first_that_fails(renode: process.RenodeProcess) -> None:
    with pytest.raises(process.RenodeError, match="No such command or device: nonsense"):
        renode.robot.command("version; nonsense; version", 5)


# ---- the process -----------------------------------------------------------------------------------------------------


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    machine = RenodeMachine(program(tmp_path), TARGET, Instruments(limits=LIMITS))
    machine.boot()
    group, directory = machine.process_id, machine._running.process.directory
    assert len(stand_in.members_of(group)) >= 3  # the guard, the script, the program
    machine.close()
    machine.close()
    assert stand_in.has_ended(group)
    assert not directory.exists()


def test_a_killed_renode_is_a_fault(tmp_path: Path) -> None:
    firmware = program(tmp_path)
    with RenodeMachine(firmware, TARGET, Instruments(limits=LIMITS)) as machine:
        machine.boot()
        os.killpg(machine.process_id, signal.SIGKILL)
        stop = machine.resume()
        assert stop.fault is not None
        assert stop.fault.kind == "emulator_lost"


def test_renode_ends_with_the_process_that_started_it() -> None:
    code = (
        "import os, signal, sys\n"
        "from emu.machines.renode.process import RenodeProcess\n"
        "print(RenodeProcess().process_id, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert stand_in.has_ended(int(ended.stdout))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("old", r"is Renode 1\.16\.0, and 1\.16\.1 or later is needed"),
        ("no version", "names no version, but says 'Renode'"),
    ],
)
def test_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, said: str) -> None:
    assert renode_version() == "1.16.1"
    stand_in.use(stand_in.command_in(tmp_path / "other"), monkeypatch, how)
    with pytest.raises(MissingToolError, match=said):
        RenodeMachine(program(tmp_path), TARGET).boot()


def test_a_variable_that_names_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMU_RENODE", str(tmp_path))
    with pytest.raises(MissingToolError, match=r"EMU_RENODE is .*, which is not a program"):
        renode_version()
