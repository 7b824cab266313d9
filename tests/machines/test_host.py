"""Firmware as a program of this machine: what the sanitizers find, and that nothing outlives a run."""

import contextlib
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from emu.build import COMPILER_FLAGS, BuildOptions, build_firmware
from emu.errors import InputError
from emu.firmware import Firmware
from emu.inputs import load_inputs
from emu.instruments import Instruments
from emu.machines import Limits, Measurements, Stop
from emu.machines.host import HostMachine
from emu.machines.host.process import HostProcess
from emu.mailbox import SYMBOL, Mailbox
from emu.model.sources import find_model
from emu.resources import resource
from emu.targets import find_target
from emu.toolchains import find_toolchain

TARGET = find_target("host-native")
SOURCE = Path(__file__).parents[1] / "firmware" / "host" / "faults.c"
FLAGS = [flag for flag in COMPILER_FLAGS if not flag.startswith("-W")]


def build(directory: Path, call: str, *flags: str) -> Path:
    """Return the ELF that does wrong in the function that ``call`` calls."""
    port = resource("runtime") / "port"
    command = [*TARGET.board.build.flags, *FLAGS, "-D_GNU_SOURCE", "-Wno-unused-function", f"-I{port}"]
    command += [*flags, f"-DFAULT={call}()", str(SOURCE), str(port / "host" / "harness.c"), "-o", "faults.elf"]
    find_toolchain(TARGET.board.build.toolchain).run(command, directory)
    return directory / "faults.elf"


def load(directory: Path, call: str, *flags: str) -> Firmware:
    return Firmware.load(build(directory, call, *flags), TARGET)


def run(directory: Path, call: str, *flags: str, limits: Limits | None = None) -> tuple[Stop, Measurements]:
    with HostMachine(load(directory, call, *flags), Instruments(limits=limits or Limits(seconds=30))) as machine:
        assert machine.boot().reason == "yield"
        return machine.resume(), machine.measure()


def line_of(mark: str) -> int:
    lines = SOURCE.read_text().splitlines()
    return next(number for number, line in enumerate(lines, start=1) if f"/* {mark} */" in line)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _mailbox(machine: HostMachine, program: Firmware) -> Mailbox:
    symbol = program.symbol(SYMBOL)
    assert symbol is not None
    return Mailbox.open(machine, symbol.address, program.ram)


def wait_until_gone(process: int) -> None:
    deadline = time.monotonic() + 20
    while is_running(process):
        assert time.monotonic() < deadline, f"{process} runs on"
        time.sleep(0.01)


# ---- what is found ---------------------------------------------------------------------------------------------------

FAULTS = {
    "heap_read": ("heap_out_of_bounds_read", "40-byte region, allocated by heap_read"),
    "heap_write": ("heap_out_of_bounds_write", "write of 20 bytes"),
    "use_after_free": ("use_after_free_read", "faults.c:49), freed by use_after_free ("),
    "double_free": ("double_free", "faults.c:56), freed by double_free ("),
    "overlapping_copy": ("overlapping_copy", "overlap"),
    "invalid_free": ("invalid_free", "1 bytes inside of 3-byte region"),
    "stack_write": ("write_outside_objects", "on the stack, 'locals'"),
    "global_read": ("read_outside_objects", "global variable"),
    "mailbox_read": ("read_outside_objects", "global variable"),
    "null_read": ("null_pointer_read", "null pointer of type 'int'"),
    "null_write": ("null_pointer_write", "null pointer of type 'int'"),
    "unmapped_read": ("unmapped_read", "read at 0x12345678"),
    "impossible_read": ("unmapped_read", "no memory"),
    "unaligned_read": ("unaligned_access", "requires 4 byte alignment"),
    "signed_overflow": ("undefined_behaviour", "cannot be represented in type 'int'"),
    "division_by_zero": ("undefined_behaviour", "division by zero"),
    "shift": ("undefined_behaviour", "shift exponent 40 is too large"),
    "float_to_int": ("undefined_behaviour", "1e+21 is outside the range"),
    "aborts": ("exception", "abort was called"),
    "asserts": ("exception", "abort was called"),
    "traps": ("invalid_instruction" if platform.machine() == "x86_64" else "breakpoint", "__builtin_trap"),
    "breaks": ("breakpoint", "no debugger"),
}


@pytest.mark.parametrize("level", ["-O0", "-O2"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_names_its_place(tmp_path: Path, name: str, level: str) -> None:
    kind, words = FAULTS[name]
    stop, measured = run(tmp_path, name, level)
    assert stop.reason == "fault"
    fault = stop.fault
    assert fault is not None
    assert (fault.kind, fault.function, fault.line) == (kind, name, line_of(name)), fault
    assert words in fault.detail, fault.detail
    assert fault.file is not None
    assert fault.file.endswith("faults.c")
    assert [frame.function for frame in fault.backtrace] == [name, "main"]
    assert measured.faults == (fault,)


def test_a_clean_twin_is_clean(tmp_path: Path) -> None:
    stop, measured = run(tmp_path, "nothing")
    assert (stop.reason, stop.exit_status) == ("exit", 0)
    assert measured.faults == ()
    assert measured.memory_check is not None
    assert measured.memory_check.findings == []


def test_memory_errors_are_findings_of_the_memory_check_and_others_are_not(tmp_path: Path) -> None:
    _, measured = run(tmp_path, "use_after_free")
    assert measured.memory_check is not None
    (finding,) = measured.memory_check.findings
    assert finding.memory is not None
    assert finding.memory.startswith("4 bytes inside of 40-byte region, allocated by use_after_free")
    _, measured = run(tmp_path, "signed_overflow")
    assert measured.memory_check is not None
    assert measured.memory_check.findings == []


def test_a_recursion_without_end_is_a_stack_overflow(tmp_path: Path) -> None:
    stop, _ = run(tmp_path, "stack_overflow", "-O1", "-Wno-infinite-recursion")
    assert stop.fault is not None
    assert (stop.fault.kind, stop.fault.function) == ("stack_overflow", "deeper")
    assert line_of("stack_overflow") - 4 <= (stop.fault.line or 0) <= line_of("stack_overflow")


@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_a_loop_for_ever_ends_with_its_time_and_says_where_it_is(tmp_path: Path, level: str) -> None:
    stop, measured = run(tmp_path, "endless_loop", level, limits=Limits(seconds=0.5))
    assert stop.fault is not None
    assert (stop.fault.kind, stop.fault.function, stop.fault.line) == (
        "time_limit",
        "endless_loop",
        line_of("endless_loop"),
    )
    assert "0.5 seconds" in stop.fault.detail
    assert measured.faults == (stop.fault,)


def test_a_jump_to_nowhere_is_a_fault(tmp_path: Path) -> None:
    stop, _ = run(tmp_path, "jumps_away")
    assert stop.fault is not None
    assert stop.fault.kind == "unmapped_fetch"
    assert "0x00001000" in stop.fault.detail


def test_a_program_that_takes_ever_more_memory_is_stopped(tmp_path: Path) -> None:
    stop, _ = run(tmp_path, "allocates_for_ever")
    assert stop.fault is not None
    assert stop.fault.kind == "firmware_error"
    assert "more than 2048 MB" in stop.fault.detail


def test_a_signal_without_a_name_is_a_fault(tmp_path: Path) -> None:
    stop, _ = run(tmp_path, "signals_itself")
    assert stop.fault is not None
    assert (stop.fault.kind, stop.fault.detail) == (
        "signal",
        f"the program was ended by signal {signal.SIGRTMIN + 1}, and not by itself",
    )


@pytest.mark.parametrize(("call", "status"), [("exits", 7), ("dies", 0)])
def test_an_exit_has_its_status(tmp_path: Path, call: str, status: int) -> None:
    stop, measured = run(tmp_path, call)
    assert (stop.reason, stop.exit_status, measured.faults) == ("exit", status, ())


# ---- what is printed -------------------------------------------------------------------------------------------------


def test_what_was_printed_before_a_fault_is_kept(tmp_path: Path) -> None:
    _, measured = run(tmp_path, "aborts")
    assert measured.output == "before the end, without a new line"


def test_prints_without_end_are_cut_and_end_with_the_time(tmp_path: Path) -> None:
    stop, measured = run(tmp_path, "prints_for_ever", limits=Limits(seconds=1))
    assert stop.fault is not None
    assert stop.fault.kind == "time_limit"
    assert "prints_for_ever" in [frame.function for frame in stop.fault.backtrace]
    assert measured.output.count("over and over again\n") > 1000
    assert len(measured.output) <= 1024 * 1024


# ---- nothing outlives a run ------------------------------------------------------------------------------------------


def test_a_process_killed_from_outside_is_a_fault(tmp_path: Path) -> None:
    with HostMachine(load(tmp_path, "endless_loop")) as machine:
        machine.boot()
        timer = threading.Timer(0.2, os.kill, (machine.process_id, signal.SIGKILL))
        timer.start()
        stop = machine.resume()
        timer.join()
    assert stop.fault is not None
    assert stop.fault.kind == "signal"
    assert "SIGKILL" in stop.fault.detail


def test_a_process_killed_between_inputs_is_a_fault(tmp_path: Path) -> None:
    program = load(tmp_path, "nothing")
    with HostMachine(program) as machine:
        machine.boot()
        mailbox = _mailbox(machine, program)
        os.kill(machine.process_id, signal.SIGKILL)
        wait_until_gone(machine.process_id)
        stop = mailbox.infer(np.zeros((1, 1), np.float32))[0].stop
        assert stop.fault is not None
        assert stop.fault.kind == "signal"


def test_a_process_that_stands_still_ends_with_its_time(tmp_path: Path) -> None:
    with HostMachine(load(tmp_path, "endless_loop"), Instruments(limits=Limits(seconds=0.5))) as machine:
        machine.boot()
        process = machine.process_id
        os.kill(process, signal.SIGSTOP)
        stop = machine.resume()
        assert stop.fault is not None
        assert stop.fault.kind == "time_limit"
    assert not is_running(process)


def test_children_of_the_firmware_end_with_it(tmp_path: Path) -> None:
    with HostMachine(load(tmp_path, "leaves_a_child"), Instruments(limits=Limits(seconds=20))) as machine:
        machine.boot()
        group = machine.process_id
        stop = machine.resume()
        assert (stop.reason, stop.exit_status) == ("exit", 3)
    deadline = time.monotonic() + 20
    while any(_in_group(int(process.name), group) for process in Path("/proc").iterdir() if process.name.isdigit()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _in_group(process: int, group: int) -> bool:
    with contextlib.suppress(OSError):
        return is_running(process) and os.getpgid(process) == group
    return False


def test_firmware_that_lets_go_of_the_harness_ends_with_its_time(tmp_path: Path) -> None:
    stop, _ = run(tmp_path, "closes_everything", limits=Limits(seconds=0.5))
    assert stop.fault is not None
    assert stop.fault.kind == "time_limit"


def test_firmware_that_yields_for_ever_can_be_interrupted(tmp_path: Path) -> None:
    with contextlib.closing(HostProcess(build(tmp_path, "yields_for_ever").read_bytes(), "faults.elf")) as process:
        assert process.wait(process.time_limit(20))
        process.go_on()
        assert process.wait(process.time_limit(20))
        started = time.monotonic()
        process.interrupt()
        assert time.monotonic() - started < 20
    wait_until_gone(process.process_id)


def test_each_boot_is_a_process_of_its_own_and_none_is_left(tmp_path: Path) -> None:
    with HostMachine(load(tmp_path, "nothing")) as machine:
        machine.boot()
        first = machine.process_id
        machine.boot()
        second = machine.process_id
        assert first != second
        assert not is_running(first)
        assert is_running(second)
    assert not is_running(second)


_RUNS_FOR_EVER = """
import sys
from pathlib import Path
from emu.firmware import Firmware
from emu.machines.host import HostMachine
from emu.machines.host.process import HostProcess
from emu.targets import find_target
with HostMachine(Firmware.load(Path(sys.argv[1]), find_target("host-native"))) as machine:
    machine.boot()
    print(machine.process_id, flush=True)
    machine.resume()
"""


@pytest.mark.parametrize("killer", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_firmware_ends_when_python_does(tmp_path: Path, killer: signal.Signals) -> None:
    python = subprocess.Popen(
        [sys.executable, "-c", _RUNS_FOR_EVER, str(build(tmp_path, "endless_loop"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with python:
        assert python.stdout is not None
        process = int(python.stdout.readline())
        assert is_running(process)
        python.send_signal(killer)
        python.wait(20)
    wait_until_gone(process)


def test_firmware_whose_harness_ended_before_it_began_ends(tmp_path: Path) -> None:
    port = resource("runtime") / "port"
    (tmp_path / "endless.c").write_text("int main(void) { for (;;) {} }\n")
    command = [*TARGET.board.build.flags, "endless.c", f"-I{port}", str(port / "host" / "harness.c")]
    find_toolchain(TARGET.board.build.toolchain).run([*command, "-o", "endless.elf"], tmp_path)
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        environment = {**os.environ, "EMU_HARNESS_SOCKET": str(theirs.fileno()), "ASAN_OPTIONS": "detect_leaks=0"}
        ran = subprocess.run(
            [tmp_path / "endless.elf"], env=environment, pass_fds=[theirs.fileno()], timeout=20, check=False
        )
    assert ran.returncode == 1


# ---- memory and the mailbox ------------------------------------------------------------------------------------------


def test_memory_is_read_and_written_where_there_is_some(tmp_path: Path) -> None:
    program = load(tmp_path, "nothing")
    table = program.symbol("table")
    assert table is not None
    with HostMachine(program) as machine:
        machine.boot()
        machine.write(table.address, bytes(range(40)))
        assert machine.read(table.address, 40) == bytes(range(40))
        for address in (0, 0x1000, 1 << 70):
            with pytest.raises(ValueError, match="no memory"):
                machine.read(address, 4)
            with pytest.raises(ValueError, match="no memory"):
                machine.write(address, b"1234")


def test_500_inputs_in_one_process_are_as_close_to_pytorch_as_on_a_board() -> None:
    model = find_model("har")
    assert model.inputs is not None
    inputs = load_inputs(model.inputs)
    assert inputs.logits64 is not None
    elf = build_firmware(model.image, TARGET.board, BuildOptions(input_rows=inputs.x.shape[1]))
    program = Firmware.load(elf, TARGET)
    chosen = [index % len(inputs) for index in range(500)]
    with HostMachine(program) as machine:
        machine.boot()
        process = machine.process_id
        mailbox = _mailbox(machine, program)
        answers = [mailbox.infer(inputs.x[index]) for index in chosen]
        assert machine.process_id == process
        assert machine.measure().faults == ()
    assert all(reply.ok for reply, _ in answers)
    logits = np.stack([logits for _, logits in answers])
    assert np.abs(logits - inputs.logits64[chosen]).max() < 5e-6
    assert all((logits[len(inputs) :] == logits[: 500 - len(inputs)]).ravel()), "the same again"


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["-no-pie"], "is a program for this machine, but none that emu can stop"),
        (["-pie", "-fPIE"], "link it with -no-pie"),
        (["-c"], "is not linked"),
    ],
)
def test_another_program_is_refused(tmp_path: Path, flags: list[str], words: str) -> None:
    (tmp_path / "program.c").write_text("int main(void) { return 0; }\n")
    find_toolchain("host").run([*flags, "program.c", "-o", "program.elf"], tmp_path)
    with pytest.raises(InputError, match=words):
        HostMachine(Firmware.load(tmp_path / "program.elf", TARGET))


def test_firmware_of_a_board_is_refused() -> None:
    elf = build_firmware(find_model("har").image, find_target("stm32h7-unicorn").board)
    with pytest.raises(InputError, match="is for Arm; host-native runs"):
        Firmware.load(elf, TARGET)


def test_a_program_that_nobody_drives_says_so(tmp_path: Path) -> None:
    elf = build(tmp_path, "nothing")
    alone = subprocess.run([elf], capture_output=True, text=True, timeout=20, check=False)
    assert alone.returncode == 1
    assert "start it with `emu run`" in alone.stdout
