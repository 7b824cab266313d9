"""QEMU as a second opinion: Unicorn's answers and figures, a core's exceptions, and a process that always ends."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import oracle
import pytest
from builds import LEVELS, SOURCES, TARGET, firmware, line_of
from test_against_oracle import NO_UNWIND_INFORMATION, SHAPES, name_at

from emu.build import BuildOptions, build_firmware
from emu.errors import InputError, MissingToolError
from emu.firmware import Firmware
from emu.inputs import load_inputs
from emu.instruments import Instruments
from emu.machines import Limits, Measurements, Stop
from emu.machines.qemu import QemuMachine
from emu.machines.unicorn import UnicornMachine
from emu.mailbox import SYMBOL, Mailbox
from emu.model.sources import find_model
from emu.record import Fault
from emu.run import RunOptions, emulator_version, open_machine
from emu.targets import find_target

COMMAND = "qemu-system-arm"
QEMU = find_target("stm32h7-qemu")
LIMITS = Limits(instructions=2_000_000, seconds=20)
WITH_FPU = ("-Wl,--wrap=main", str(SOURCES / "fpu.c"))
needs_qemu = pytest.mark.skipif(shutil.which(COMMAND) is None, reason=f"{COMMAND} is not installed")


def demo(name: str) -> tuple[Firmware, np.ndarray]:
    model = find_model(name)
    assert model.inputs is not None
    x = load_inputs(model.inputs).x
    return Firmware.load(build_firmware(model.image, TARGET.board, BuildOptions(input_rows=x.shape[1])), TARGET), x


def infer(machine: QemuMachine | UnicornMachine, program: Firmware, x: np.ndarray) -> tuple[list[object], bytes]:
    """Return the instructions of the boot and of each input, and all logits' bits."""
    with machine:
        counts: list[object] = [machine.boot().instructions]
        symbol = program.symbol(SYMBOL)
        assert symbol is not None
        mailbox = Mailbox.open(machine, symbol.address, program.board.ram)
        replies = [mailbox.infer(one) for one in x]
        assert all(reply.ok for reply, _ in replies)
        counts += [reply.instructions for reply, _ in replies]
        measured = machine.measure()
    stack = (measured.stack_peak_bytes, measured.stack_touched_bytes, measured.stack_limit_bytes, measured.stack)
    counts += [measured.instructions, stack, measured.heap.peak_live_bytes]
    return counts, b"".join(logits.tobytes() for _, logits in replies)


def run_through(program: Firmware, traffic: bool = False) -> tuple[list[Stop], Measurements]:
    with QemuMachine(program, QEMU, Instruments(limits=LIMITS, traffic=traffic)) as machine:
        stops = [machine.boot()]
        while stops[-1].reason == "yield":
            stops.append(machine.resume())
        return stops, machine.measure()


def fault_of(directory: Path, source: str, *flags: str, limits: Limits = LIMITS) -> tuple[Fault, Stop, Measurements]:
    with QemuMachine(firmware(directory, source, *flags), QEMU, Instruments(limits=limits)) as machine:
        assert machine.boot().reason == "yield"
        stop = machine.resume()
        measured = machine.measure()
    assert stop.reason == "fault"
    assert stop.fault is not None
    assert measured.faults == (stop.fault,)
    return stop.fault, stop, measured


def is_running(process: int) -> bool:
    """Return whether a process is there, and more than an entry that nobody has collected yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(process: int) -> None:
    deadline = time.monotonic() + 10
    while is_running(process):
        assert time.monotonic() < deadline, f"process {process} is left"
        time.sleep(0.02)


# ---- the same as Unicorn ---------------------------------------------------------------------------------------------


@needs_qemu
@pytest.mark.parametrize("name", ["kws", "har"])
@pytest.mark.parametrize("traffic", [False, True])
def test_every_logit_and_every_figure_is_unicorns(name: str, traffic: bool) -> None:
    program, x = demo(name)
    x = x[: 2 if traffic else 12]
    figures, logits = infer(QemuMachine(program, QEMU, Instruments(traffic=traffic)), program, x)
    expected, expected_logits = infer(UnicornMachine(program, TARGET, Instruments(traffic=traffic)), program, x)
    assert logits == expected_logits
    assert figures == expected


@needs_qemu
def test_five_hundred_inputs_in_one_process() -> None:
    program, x = demo("har")
    short = np.resize(x[:, :2], (500, 2, x.shape[2]))
    figures, logits = infer(QemuMachine(program, QEMU), program, short)
    expected, expected_logits = infer(UnicornMachine(program, TARGET), program, short)
    assert (figures, logits) == (expected, expected_logits)


@needs_qemu
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", SHAPES)
def test_counts_and_peak_are_exact(tmp_path: Path, shape: str, level: str) -> None:
    program = firmware(tmp_path, "stack_shapes.c", level, f"-DSHAPE={SHAPES[shape]}", *WITH_FPU)
    truth = oracle.watch(program.path, lambda pc: name_at(program, pc))
    stops, measured = run_through(program)
    assert [stop.instructions for stop in stops] == truth.legs
    assert measured.instructions.total == truth.total
    assert measured.instructions.by_function == dict(truth.by_function)
    assert measured.stack_peak_bytes == truth.stack_bytes
    frames = [(frame.function, frame.frame_bytes) for frame in measured.stack.backtrace]
    if frames[0][0] in NO_UNWIND_INFORMATION:
        assert frames == [(frames[0][0], None)]
    else:
        assert sum(size or 0 for _, size in frames) == truth.stack_bytes
        assert frames[-1][0] == "reset_handler"


@needs_qemu
@pytest.mark.parametrize(
    ("source", "flags"),
    [("newlib_mix.c", WITH_FPU), ("exact.S", ()), ("page_crossing.c", ()), ("itcm.c", ()), ("heap_random.c", ())],
)
def test_other_programs_agree_with_unicorn(tmp_path: Path, source: str, flags: tuple[str, ...]) -> None:
    program = firmware(tmp_path, source, *flags)
    stops, measured = run_through(program, traffic=True)
    with UnicornMachine(program, TARGET, Instruments(traffic=True)) as machine:
        expected = [machine.boot()]
        while expected[-1].reason == "yield":
            expected.append(machine.resume())
        unicorn = machine.measure()
    assert stops == expected
    assert measured.instructions == unicorn.instructions
    assert measured.stack_peak_bytes == unicorn.stack_peak_bytes
    assert measured.stack.backtrace == unicorn.stack.backtrace


@needs_qemu
@pytest.mark.parametrize("port", ["put((struct uart *)0x40011000, ", "put_by_itm("])
def test_what_is_printed_is_captured(tmp_path: Path, port: str) -> None:
    _, measured = run_through(firmware(tmp_path, "prints.c", f'-DPRINTS={port}"hello\\n")'))
    assert measured.output == "hello\n"


@needs_qemu
def test_an_exit_gives_its_status(tmp_path: Path) -> None:
    stops, _ = run_through(firmware(tmp_path, "faults.c", "-DFAULT=exits()"))
    assert (stops[-1].reason, stops[-1].exit_status) == ("exit", 42)


# ---- what is not measured --------------------------------------------------------------------------------------------


@needs_qemu
def test_what_is_not_measured_is_none_with_a_reason(tmp_path: Path) -> None:
    _, measured = run_through(firmware(tmp_path, "heap_random.c"))
    assert (measured.profile, measured.coverage, measured.memory_check) == (None, None, None)
    assert measured.instructions.loads_by_region is None
    for figure in ("profile", "coverage", "memory_check", "loads_by_region"):
        assert measured.not_measured[figure]


@needs_qemu
@pytest.mark.parametrize(
    "call",
    [
        "on_process_stack(task_stack+sizeof task_stack,job)",
        "on_process_stack_at_once(task_stack+sizeof task_stack,job)",
        "on_stack(task_stack+sizeof task_stack,job)",
        "on_process_stack(_estack-4096,job)",
        "take_turns()",
        "run_from_heap()",
    ],
)
def test_each_stack_has_unicorns_figures(tmp_path: Path, call: str) -> None:
    program = firmware(tmp_path, "stacks.c", f"-DMAIN={call}")
    _, measured = run_through(program)
    with UnicornMachine(program, TARGET) as machine:
        machine.boot()
        expected = machine.measure()
    assert measured.stack == expected.stack
    assert measured.stack_touched_bytes == expected.stack_touched_bytes
    assert measured.stack_bytes_by_region == expected.stack_bytes_by_region
    assert measured.timeline == expected.timeline


@needs_qemu
def test_an_overflow_into_other_variables_is_in_the_peak(tmp_path: Path) -> None:
    program = firmware(tmp_path, "stacks.c", "-DINITIAL_SP=first_stack+2048", "-DRUNS=too_deep(4)")
    truth = oracle.watch(program.path, lambda _pc: "")
    _, measured = run_through(program)
    assert measured.stack_limit_bytes == 2048
    assert measured.stack_peak_bytes == program.initial_sp - truth.lowest_sp > 5 * 600
    assert emu("run", program.path, "-t", "stm32h7-qemu").returncode == 1


def test_what_only_unicorn_measures_is_refused(tmp_path: Path) -> None:
    program = firmware(tmp_path, "faults.c", "-DFAULT=exits()")
    with pytest.raises(InputError, match=r"no --memcheck.*stm32h7-unicorn"):
        open_machine(program, QEMU, RunOptions(memcheck=True))


# ---- faults ----------------------------------------------------------------------------------------------------------


@needs_qemu
@pytest.mark.parametrize("level", ["-O0", "-O2"])
@pytest.mark.parametrize(
    ("call", "kind", "address", "words"),
    [
        ("unmapped_read()", "unmapped_read", 0x40002C00, "BusFault|HardFault: CFSR 0x00008200"),
        ("unmapped_write()", "unmapped_write", 0x10000000, "write of 1 byte at 0x10000000: no memory there"),
        ("write_to_read_only()", "write_to_read_only", 0x08000100, "write of 2 bytes at 0x08000100: flash cannot be"),
        ("unmapped_fetch()", "unmapped_fetch", 0x60000000, "jump to 0x60000000: no memory there"),
        ("fetch_from_no_execute()", "fetch_from_no_execute", 0xE000E000, "scs holds no instructions"),
        ("arm_state()", "invalid_instruction", 0x08000100, "without the Thumb bit"),
        ("null_call()", "invalid_instruction", 0, "jump to 0x00000000: a null pointer"),
        ("invalid_instruction()", "invalid_instruction", None, "0xde01"),
        ("breakpoint()", "breakpoint", None, "BKPT 0x07"),
    ],
)
def test_fault_names_its_place(
    tmp_path: Path, call: str, kind: str, address: int | None, words: str, level: str
) -> None:
    program = firmware(tmp_path, "faults.c", level, f"-DFAULT={call}")
    fault, stop, measured = fault_of(tmp_path, "faults.c", level, f"-DFAULT={call}")
    assert (fault.kind, fault.address) == (kind, address)
    assert any(alternative in fault.detail for alternative in words.split("|"))
    assert "CFSR 0x" in fault.detail
    name = call.removesuffix("()")
    assert (fault.function, fault.line) == (name, line_of("faults.c", name))
    assert [frame.function for frame in fault.backtrace] == [name, "main", "reset_handler"]
    with UnicornMachine(program, TARGET, Instruments(limits=LIMITS)) as machine:
        machine.boot()
        assert machine.resume().instructions == stop.instructions
        assert machine.measure().instructions == measured.instructions


@needs_qemu
@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        ("divides_by_zero(0)", "exception", "division by zero"),
        ("loads_unaligned()", "exception", "unaligned access"),
        ("uses_the_fpu()", "exception", "CPACR"),
        ("locks_up()", "exception", "locks up"),
        ("faults_with_vectors_in_ram()", "unmapped_read", "BFAR 0x10000000"),
    ],
)
def test_faults_that_only_a_core_with_exceptions_takes(tmp_path: Path, call: str, kind: str, words: str) -> None:
    fault, _, _ = fault_of(tmp_path, "exceptions.c", f"-DCALL={call}")
    assert fault.kind == kind
    assert words in fault.detail
    name = call.partition("(")[0]
    assert fault.function is not None
    assert fault.function.startswith(name)
    if name != "locks_up":  # of which no more is known than the block that it was in
        assert fault.line == line_of("exceptions.c", name)


@needs_qemu
def test_exceptions_are_taken_and_their_frames_are_in_the_stack(tmp_path: Path) -> None:
    stops, measured = run_through(firmware(tmp_path, "exceptions.c", "-O0", "-DCALL=calls_the_supervisor()"))
    assert (stops[-1].reason, stops[-1].exit_status) == ("exit", 3)
    assert measured.stack_peak_bytes is not None
    assert measured.stack_peak_bytes >= 400 + 32
    assert measured.stack.backtrace[0].function == "supervisor_call"


@needs_qemu
def test_a_handler_that_is_called_without_an_exception_is_a_fault(tmp_path: Path) -> None:
    fault, _, measured = fault_of(tmp_path, "exceptions.c", "-DCALL=calls_the_handler()")
    assert (fault.kind, fault.function) == ("exception", "hard_fault")
    assert "without an exception" in fault.detail
    assert [frame.function for frame in fault.backtrace[:2]] == ["hard_fault", "calls_the_handler"]
    assert measured.instructions.total == sum(measured.instructions.by_function.values())


@needs_qemu
def test_the_timer_interrupts(tmp_path: Path) -> None:
    stops, _ = run_through(firmware(tmp_path, "exceptions.c", "-DCALL=waits_for_ticks()"))
    assert (stops[-1].reason, stops[-1].exit_status) == ("exit", 3)


@needs_qemu
@pytest.mark.parametrize("call", ["waits_for_ticks()", "polls_for_ticks()"])
def test_firmware_that_waits_for_a_timer_does_the_same_in_every_run(tmp_path: Path, call: str) -> None:
    program = firmware(tmp_path, "exceptions.c", f"-DCALL={call}")
    stops, measured = run_through(program)
    assert stops[-1].reason == "exit"
    for _ in range(9):
        assert run_through(program) == (stops, measured)


@needs_qemu
@pytest.mark.parametrize("call", ["endless_recursion(0)", "large_frame(1<<20)"])
def test_an_overflow_into_nothing_is_one_of_the_stack(tmp_path: Path, call: str) -> None:
    fault, _, _ = fault_of(tmp_path, "faults.c", f"-DFAULT={call}")
    assert fault.kind == "stack_overflow"


@needs_qemu
def test_the_limits_end_what_does_not_end_by_itself(tmp_path: Path) -> None:
    flag = "-DFAULT=endless_loop()"
    fault, stop, _ = fault_of(tmp_path, "faults.c", flag)
    assert (fault.kind, fault.function) == ("instruction_budget", "endless_loop")
    assert stop.instructions is not None
    assert stop.instructions >= LIMITS.instructions
    began = time.monotonic()
    fault, _, _ = fault_of(tmp_path, "faults.c", flag, limits=Limits(seconds=0.3))
    assert (fault.kind, fault.function) == ("time_limit", "endless_loop")
    assert time.monotonic() - began < 5
    fault, _, _ = fault_of(tmp_path, "faults.c", "-DFAULT=wait_for_interrupt()", limits=Limits(seconds=0.3))
    assert (fault.kind, fault.line) == ("wait_for_interrupt", line_of("faults.c", "wait_for_interrupt"))


# ---- the process -----------------------------------------------------------------------------------------------------


@pytest.fixture
def endless(tmp_path: Path) -> Firmware:
    return firmware(tmp_path, "faults.c", "-DFAULT=endless_loop()")


@needs_qemu
def test_a_killed_qemu_is_a_fault(endless: Firmware) -> None:
    with QemuMachine(endless, QEMU) as machine:
        machine.boot()
        process = machine.process_id
        timer = threading.Timer(0.2, os.kill, (process, signal.SIGKILL))
        timer.start()
        stop = machine.resume()
        timer.join()
        assert stop.fault is not None
        assert (stop.fault.kind, stop.fault.function) == ("emulator_lost", "endless_loop")
        assert "SIGKILL" in stop.fault.detail
        assert machine.measure().instructions.total == sum(machine.measure().instructions.by_function.values())
        assert len(machine.read(endless.initial_sp - 16, 16)) == 16
    wait_until_gone(process)


@needs_qemu
def test_qemu_killed_between_inputs_ends_the_run_with_a_fault() -> None:
    program, x = demo("har")
    with QemuMachine(program, QEMU) as machine:
        machine.boot()
        symbol = program.symbol(SYMBOL)
        assert symbol is not None
        mailbox = Mailbox.open(machine, symbol.address, TARGET.board.ram)
        os.kill(machine.process_id, signal.SIGKILL)
        reply, _ = mailbox.infer(x[0])
        assert not reply.ok
        assert [fault.kind for fault in machine.measure().faults] == ["emulator_lost"]


@needs_qemu
def test_a_qemu_that_hangs_is_a_fault_within_the_limits(endless: Firmware) -> None:
    with QemuMachine(endless, QEMU, Instruments(limits=Limits(seconds=0.5))) as machine:
        machine.boot()
        process = machine.process_id
        timer = threading.Timer(0.2, os.kill, (process, signal.SIGSTOP))
        timer.start()
        began = time.monotonic()
        stop = machine.resume()
        assert time.monotonic() - began < 10
        timer.join()
        assert stop.fault is not None
        assert (stop.fault.kind, stop.fault.function) == ("emulator_lost", "endless_loop")
    assert not is_running(process)


@needs_qemu
def test_no_process_is_left_behind(endless: Firmware) -> None:
    with QemuMachine(endless, QEMU) as machine:
        machine.boot()
        first = machine.process_id
        machine.boot()
        second = machine.process_id
        assert first != second
        assert not is_running(first)
    assert not is_running(second)


_RUNS_FOR_EVER = """
import sys
from pathlib import Path
from emu.firmware import Firmware
from emu.machines.qemu import QemuMachine
from emu.targets import find_target
target = find_target("stm32h7-qemu")
with QemuMachine(Firmware.load(Path(sys.argv[1]), target), target) as machine:
    machine.boot()
    print(machine.process_id, flush=True)
    machine.resume()
"""


@needs_qemu
@pytest.mark.parametrize("killer", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_qemu_ends_when_python_does(endless: Firmware, killer: signal.Signals) -> None:
    python = subprocess.Popen(
        [sys.executable, "-c", _RUNS_FOR_EVER, str(endless.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with python:
        assert python.stdout is not None
        process = int(python.stdout.readline())
        assert is_running(process)
        python.send_signal(killer)
    wait_until_gone(process)


# ---- the command line ------------------------------------------------------------------------------------------------


def emu(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emu", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


@needs_qemu
def test_run_takes_the_target(endless: Firmware) -> None:
    outcome = emu("run", "har", "-t", "stm32h7-qemu", "-t", "stm32h7-unicorn", "--limit", "1")
    assert outcome.returncode == 0, outcome
    assert outcome.stdout.count("1 of 1") == 2
    outcome = emu("run", endless.path, "-t", "stm32h7-qemu", "--max-instructions", "100000")
    assert outcome.returncode == 0, outcome  # it yields before it loops, and nobody resumes it


@needs_qemu
def test_doctor_finds_the_target_ready() -> None:
    assert "target stm32h7-qemu: ready" in emu("doctor").stdout


@needs_qemu
def test_a_fault_ends_with_exit_code_1(tmp_path: Path) -> None:
    program = firmware(tmp_path, "faults.c", "-DFAULT=unmapped_read()", "-Demu_yield=goes_on")
    outcome = emu("run", program.path, "-t", "stm32h7-qemu")
    assert outcome.returncode == 1, outcome
    assert "unmapped_read" in outcome.stdout


def test_a_missing_qemu_names_the_command_that_installs_it(
    tmp_path: Path, endless: Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with (
        pytest.raises(MissingToolError, match="apt-get install qemu-system-arm"),
        QemuMachine(endless, QEMU) as machine,
    ):
        machine.boot()
    outcome = emu("run", endless.path, "-t", "stm32h7-qemu", PATH=str(tmp_path / "empty"))
    assert outcome.returncode == 3, outcome
    assert "apt-get install qemu-system-arm" in outcome.stderr


def test_a_qemu_that_hangs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / COMMAND
    fake.write_text("#!/bin/sh\nsleep 5\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("emu.processes._VERSION_SECONDS", 0.2, raising=False)
    with pytest.raises(MissingToolError, match=f"{fake} --version does not end in 0.2 seconds"):
        emulator_version(QEMU)


@needs_qemu
def test_a_qemu_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, endless: Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / COMMAND
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "QEMU emulator version 9.9.9" || echo no plugins >&2\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=os.pathsep)
    outcome = emu("run", endless.path, "-t", "stm32h7-qemu")
    assert outcome.returncode == 3, outcome
    assert "9.9.9 cannot be used" in outcome.stderr
    assert "no plugins" in outcome.stderr
    assert len(outcome.stderr.strip().splitlines()) == 1
