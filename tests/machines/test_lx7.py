"""The ESP32-S3's core in QEMU: exact figures, PyTorch's answers, faults at their place, a process that always ends."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import xtensa_oracle
from builds import LEVELS
from test_qemu import infer, is_running, wait_until_gone
from xtensa_builds import SOURCES, TARGET, build

from emu.build import BuildOptions, build_firmware
from emu.errors import MissingToolError
from emu.firmware import Firmware
from emu.inputs import load_inputs
from emu.instruments import Instruments
from emu.machines import Limits, Measurements, Stop
from emu.machines.qemu import QemuMachine
from emu.mailbox import SYMBOL, Mailbox, Reply
from emu.model.sources import find_model
from emu.record import Fault
from emu.toolchains import find_toolchain

COMMAND = "qemu-system-xtensa"
LIMITS = Limits(instructions=2_000_000, seconds=20)
BASE_SAVE_BYTES = 16
SHAPES = {
    "leaf": "leaf(3)",
    "deep calls": "recursion(200)",
    "big frame": "big_frame()",
    "frame that is never written": "never_written()",
    "array of variable size": "variable_array(777)",
    "alloca": "allocas(100)",
    "alloca after the caller was spilled": "alloca_after_calls(20,64)",
    "variable arguments": "varargs()",
    "arguments on the stack": "many_arguments(12,1,2,3,4,5,6,7,8)",
    "call through a pointer": "through_pointer(leaf,3)",
    "windows of four": "calls_by_four(40)",
    "windows of twelve": "calls_by_twelve(40)",
}


def _missing() -> str:
    if shutil.which(COMMAND) is None:
        return f"{COMMAND} is not installed"
    try:
        find_toolchain(TARGET.board.build.toolchain)
    except MissingToolError as error:
        return str(error)
    return ""


pytestmark = pytest.mark.skipif(bool(_missing()), reason=_missing())


def program(directory: Path, source: str, *flags: str) -> Firmware:
    return Firmware.load(build(directory, source, *flags), TARGET)


def demo(name: str) -> tuple[Firmware, np.ndarray]:
    model = find_model(name)
    assert model.inputs is not None
    x = load_inputs(model.inputs).x
    return Firmware.load(build_firmware(model.image, TARGET.board, BuildOptions(input_rows=x.shape[1])), TARGET), x


def run_through(machine: QemuMachine) -> list[Stop]:
    stops = [machine.boot()]
    while stops[-1].reason == "yield":
        stops.append(machine.resume())
    return stops


def fault_of(directory: Path, *flags: str, limits: Limits = LIMITS) -> tuple[Fault, Measurements]:
    with QemuMachine(program(directory, "faults.c", *flags), TARGET, Instruments(limits=limits)) as machine:
        stop = run_through(machine)[-1]
        measured = machine.measure()
    assert stop.reason == "fault"
    assert stop.fault is not None
    assert measured.faults == (stop.fault,)
    assert measured.instructions.total == sum(measured.instructions.by_function.values())
    return stop.fault, measured


def line_of(name: str) -> int:
    lines = (SOURCES / "faults.c").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if f"/* {name}" in line)


# ---- figures ---------------------------------------------------------------------------------------------------------


def assert_is_the_truth(firmware: Firmware, measured: Measurements, truth: xtensa_oracle.Truth) -> None:
    assert measured.instructions.total == truth.total
    assert measured.instructions.by_function == dict(truth.by_function)
    assert_is_the_stack(firmware, measured, truth)


def assert_is_the_stack(firmware: Firmware, measured: Measurements, truth: xtensa_oracle.Truth) -> None:
    assert measured.stack_peak_bytes == firmware.initial_sp - truth.lowest_sp + BASE_SAVE_BYTES
    assert measured.stack_touched_bytes == max(0, firmware.initial_sp - truth.lowest_store)
    assert sum(frame.frame_bytes or 0 for frame in measured.stack.backtrace) == measured.stack_peak_bytes
    assert measured.stack.backtrace[-1].function == "_start"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", SHAPES)
def test_counts_and_stack_are_exact(tmp_path: Path, shape: str, level: str) -> None:
    flags = (level, f"-DSHAPE={SHAPES[shape]}", "-Wl,--defsym=__stack_size=65536")
    firmware = program(tmp_path, "stack_shapes.c", *flags)
    truth = xtensa_oracle.watch(firmware, TARGET, run_through, tmp_path)
    if shape in ("deep calls", "windows of four", "windows of twelve"):
        assert truth.exceptions > 0, "the windows were to overflow"
    with QemuMachine(firmware, TARGET) as machine:
        assert run_through(machine)[-1].exit_status == 0
        assert_is_the_truth(firmware, machine.measure(), truth)


@pytest.mark.parametrize("name", ["kws", "har"])
def test_a_step_of_the_demo_is_exact(tmp_path: Path, name: str) -> None:
    firmware, x = demo(name)
    symbol = firmware.symbol(SYMBOL)
    assert symbol is not None

    def one_step(machine: QemuMachine, watched: bool) -> tuple[Reply, Counter[str], Measurements]:
        machine.boot()
        before = machine.measure().instructions.by_function or {}
        if watched:
            xtensa_oracle.begin(machine)
        reply, _ = Mailbox.open(machine, symbol.address, TARGET.board.ram).infer(x[0, :1])
        measured = machine.measure()
        assert reply.ok
        return reply, Counter(measured.instructions.by_function) - Counter(before), measured

    truth = xtensa_oracle.watch(firmware, TARGET, lambda m: one_step(m, watched=True), tmp_path, from_reset=False)
    with QemuMachine(firmware, TARGET) as machine:
        reply, by_function, measured = one_step(machine, watched=False)
    assert reply.instructions == truth.total
    assert by_function == truth.by_function
    assert_is_the_stack(firmware, measured, truth)


def test_a_frame_and_its_caller_are_named(tmp_path: Path) -> None:
    with QemuMachine(program(tmp_path, "stack_shapes.c", "-O0", "-DSHAPE=big_frame()"), TARGET) as machine:
        run_through(machine)
        backtrace = machine.measure().stack.backtrace
    assert [frame.function for frame in backtrace] == ["use", "big_frame", "main", "_start"]
    assert (backtrace[1].frame_bytes or 0) >= 2000


@pytest.mark.parametrize("name", ["kws", "har"])
def test_the_logits_are_those_of_float64(name: str) -> None:
    model = find_model(name)
    assert model.inputs is not None
    inputs = load_inputs(model.inputs)
    assert inputs.logits64 is not None
    firmware, x = demo(name)
    _, bits = infer(QemuMachine(firmware, TARGET), firmware, x[:4])
    logits, expected = np.frombuffer(bits, np.float32).reshape(4, -1), inputs.logits64[:4]
    assert (logits.argmax(axis=1) == expected.argmax(axis=1)).all()
    assert np.abs(logits - expected).max() / np.abs(expected).max() < 1e-6


def test_five_hundred_inputs_in_one_process_count_the_same_every_time() -> None:
    firmware, x = demo("har")
    short = np.resize(x[:, :1], (500, 1, x.shape[2]))
    first = infer(QemuMachine(firmware, TARGET), firmware, short)
    assert first == infer(QemuMachine(firmware, TARGET), firmware, short)


def test_loads_and_stores_are_counted_by_region(tmp_path: Path) -> None:
    firmware = program(tmp_path, "stack_shapes.c", "-DSHAPE=calls_by_four(40)")
    with QemuMachine(firmware, TARGET, Instruments(traffic=True)) as machine:
        run_through(machine)
        counts = machine.measure().instructions
    assert counts.stores_by_region is not None
    spilled = sum(count for name, count in counts.by_function.items() if name == "_WindowOverflow4")
    assert spilled % 5 == 0  # four stores and RFWO
    assert counts.stores_by_region["dram"] >= spilled // 5 * 4 > 0
    assert counts.stores_by_region.get("drom", 0) == 0


# ---- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["-O0", "-O2"])
@pytest.mark.parametrize(
    ("name", "kind", "address", "words"),
    [
        ("unmapped_read", "unmapped_read", 0x10000000, "read of 4 bytes at 0x10000000: no memory there"),
        ("unmapped_write", "unmapped_write", 0x10000000, "write of 1 byte at 0x10000000: no memory there"),
        ("peripheral_read", "unmapped_read", 0x60004004, "GPIO is not modelled; add `stub = true`"),
        ("write_to_read_only", "write_to_read_only", 0x3C010020, "drom cannot be written"),
        ("unmapped_fetch", "unmapped_fetch", 0x50400000, "jump to 0x50400000: no memory there"),
        ("fetch_from_no_execute", "fetch_from_no_execute", 0x3FC90000, "dram holds no instructions"),
        ("null_call", "unmapped_fetch", 0, "a null pointer"),
        ("null_pointer_read", "unmapped_read", 12, "a null pointer"),
        ("null_pointer_write", "unmapped_write", 12, "a null pointer"),
        ("division_by_zero", "exception", None, "a division by zero"),
        ("invalid_instruction", "invalid_instruction", None, "does not know the instruction 00 00 00"),
        ("high_product", "invalid_instruction", None, "has MULUH (80 88 a2), the emulated core has not"),
        ("vector_instruction", "invalid_instruction", None, "has an EE.* vector instruction (24 1a 83)"),
        ("breakpoint", "breakpoint", None, "BREAK"),
        ("system_call", "exception", None, "SYSCALL, which nothing in the firmware serves"),
    ],
)
def test_fault_names_its_place(
    tmp_path: Path, name: str, kind: str, address: int | None, words: str, level: str
) -> None:
    fault, _ = fault_of(tmp_path, level, f"-DFAULT={name}()")
    assert (fault.kind, fault.address) == (kind, address)
    assert words in fault.detail
    assert (fault.function, fault.line) == (name, line_of(name))
    assert [frame.function for frame in fault.backtrace] == [name, "main", "_start"]


@pytest.mark.parametrize(
    ("name", "function", "words"),
    [
        ("lost_return_address", "lost_return_address", "RETW, but a0 is not what CALL4, CALL8 or CALL12 left there"),
        ("without_windows", "leaf", "ENTRY while windows are off"),
    ],
)
def test_broken_windows_are_no_unknown_instructions(tmp_path: Path, name: str, function: str, words: str) -> None:
    fault, _ = fault_of(tmp_path, f"-DFAULT={name}()")
    assert (fault.kind, fault.function) == ("invalid_instruction", function)
    assert words in fault.detail


@pytest.mark.parametrize("name", ["no_stack", "exchanged_stack"])
def test_a_stack_pointer_to_elsewhere_is_seen(tmp_path: Path, name: str) -> None:
    with QemuMachine(program(tmp_path, "faults.c", f"-DFAULT={name}()"), TARGET) as machine:
        assert run_through(machine)[-1].reason == "exit"
        measured = machine.measure()
    assert measured.stack_peak_bytes is None
    assert "more than one stack" in measured.not_measured["stack_peak_bytes"]


@pytest.mark.parametrize(("interrupt", "level"), [(0x80, 1), (0x800, 3)])
def test_an_interrupt_that_nothing_serves_is_named(tmp_path: Path, interrupt: int, level: int) -> None:
    fault, _ = fault_of(tmp_path, "-DFAULT=interrupt()", f"-DINTERRUPT={interrupt}")
    assert (fault.kind, fault.function) == ("exception", "interrupt")
    assert f"an interrupt of level {level}, which nothing in the firmware serves" in fault.detail
    assert [frame.function for frame in fault.backtrace] == ["interrupt", "main", "_start"]


@pytest.mark.parametrize("vectors", ["own_vectors", "0x50400000"], ids=["own", "nowhere"])
def test_a_fault_is_seen_wherever_the_vectors_are(tmp_path: Path, vectors: str) -> None:
    does = ("-DDOES=null_pointer_write()", f"-DVECTORS={vectors}")
    with QemuMachine(program(tmp_path, "own_vectors.c", *does), TARGET, Instruments(limits=LIMITS)) as machine:
        fault = machine.boot().fault
    assert fault is not None
    assert (fault.kind, fault.address, fault.function) == ("unmapped_write", 12, "null_pointer_write")


def test_windows_whose_vectors_are_nowhere_are_a_fault(tmp_path: Path) -> None:
    does = ("-O0", "-DDOES=deep(40)", "-DVECTORS=0x50400000")
    with QemuMachine(program(tmp_path, "own_vectors.c", *does), TARGET, Instruments(limits=LIMITS)) as machine:
        fault = machine.boot().fault
    assert fault is not None
    # The first frame to be spilled is that of _start, which calls by CALL4.
    assert (fault.kind, fault.address, fault.function) == ("unmapped_fetch", 0x50400000, "deep")


def test_the_stack_of_an_interrupt_s_handler_counts(tmp_path: Path) -> None:
    does = ("-DDOES=interrupt_itself()", "-DVECTORS=own_vectors")
    firmware = program(tmp_path, "own_vectors.c", *does)
    with QemuMachine(firmware, TARGET, Instruments(limits=LIMITS)) as machine:
        stop, measured = machine.boot(), machine.measure()
    assert stop.exit_status == 10
    assert measured.instructions.by_function["own_handler"] == 10 * 16
    interrupted = 32 + 32 + BASE_SAVE_BYTES  # main and interrupt_itself
    assert measured.stack_peak_bytes == interrupted + 128
    assert measured.stack_touched_bytes == interrupted - BASE_SAVE_BYTES + 128


def test_a_fault_below_spilled_frames_has_them_all(tmp_path: Path) -> None:
    fault, _ = fault_of(tmp_path, "-O0", "-DFAULT=deep_fault(30)")
    assert fault.function == "unmapped_read"
    functions = [frame.function for frame in fault.backtrace for _ in range(frame.times)]
    assert functions == ["unmapped_read", *["deep_fault"] * 31, "main", "_start"]


@pytest.mark.parametrize("call", ["endless_recursion(0)", "large_frame(1<<20)"])
@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_an_overflow_of_the_stack_is_one(tmp_path: Path, call: str, level: str) -> None:
    fault, measured = fault_of(tmp_path, level, f"-DFAULT={call}")
    assert fault.kind == "stack_overflow"
    assert any((frame.function or "").startswith(call.partition("(")[0]) for frame in fault.backtrace)
    assert measured.stack_peak_bytes is not None
    assert measured.stack_limit_bytes is not None
    assert measured.stack_peak_bytes > measured.stack_limit_bytes


def test_unaligned_accesses_work_as_on_the_chip(tmp_path: Path) -> None:
    for name in ("unaligned_read", "unaligned_write"):
        with QemuMachine(program(tmp_path, "faults.c", f"-DFAULT={name}()"), TARGET) as machine:
            assert run_through(machine)[-1].reason == "exit"


def test_an_exit_gives_its_status(tmp_path: Path) -> None:
    with QemuMachine(program(tmp_path, "faults.c", "-DFAULT=exits()"), TARGET) as machine:
        assert run_through(machine)[-1].exit_status == 42


def test_firmware_that_waits_for_the_clock_does_the_same_in_every_run(tmp_path: Path) -> None:
    clocked = program(tmp_path, "faults.c", "-DFAULT=wait_for_cycles(10000)")
    runs: list[tuple[list[Stop], Measurements]] = []
    for _ in range(10):
        with QemuMachine(clocked, TARGET, Instruments(limits=LIMITS)) as machine:
            runs.append((run_through(machine), machine.measure()))
    assert runs[0][0][-1].reason == "exit"
    assert runs == runs[:1] * 10


def test_what_is_printed_is_captured(tmp_path: Path) -> None:
    with QemuMachine(program(tmp_path, "prints.c"), TARGET) as machine:
        assert run_through(machine)[-1].exit_status == 3
        assert machine.measure().output == "hello from UART0\nand from USB\n"


def test_the_limits_end_what_does_not_end_by_itself(tmp_path: Path) -> None:
    fault, _ = fault_of(tmp_path, "-DFAULT=endless_loop()")
    assert (fault.kind, fault.function) == ("instruction_budget", "endless_loop")
    began = time.monotonic()
    fault, _ = fault_of(tmp_path, "-DFAULT=endless_loop()", limits=Limits(seconds=0.3))
    assert (fault.kind, fault.function) == ("time_limit", "endless_loop")
    assert time.monotonic() - began < 5
    fault, _ = fault_of(tmp_path, "-DFAULT=wait_for_interrupt()", limits=Limits(seconds=0.3))
    assert (fault.kind, fault.line) == ("wait_for_interrupt", line_of("wait_for_interrupt"))


# ---- the process -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sent", "words"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGSTOP, "does not answer")])
def test_a_qemu_that_is_gone_or_hangs_is_a_fault(tmp_path: Path, sent: signal.Signals, words: str) -> None:
    endless = program(tmp_path, "faults.c", "-DFAULT=endless_loop()")
    with QemuMachine(endless, TARGET, Instruments(limits=Limits(seconds=0.5))) as machine:
        machine.boot()
        process = machine.process_id
        timer = threading.Timer(0.2, os.kill, (process, sent))
        timer.start()
        fault = machine.resume().fault
        timer.join()
    assert fault is not None
    assert (fault.kind, fault.function) == ("emulator_lost", "endless_loop")
    assert words in fault.detail
    wait_until_gone(process)


def test_no_process_is_left_behind(tmp_path: Path) -> None:
    with QemuMachine(program(tmp_path, "faults.c", "-DFAULT=exits()"), TARGET) as machine:
        machine.boot()
        process = machine.process_id
        assert is_running(process)
    assert not is_running(process)


# ---- the command line ------------------------------------------------------------------------------------------------


def emu(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "emu", *map(str, arguments)], capture_output=True, text=True)


def test_one_command_runs_both_boards() -> None:
    outcome = emu("run", "har", "-t", "esp32s3-qemu", "-t", "stm32h7-unicorn", "--limit", "2")
    assert outcome.returncode == 0, outcome
    assert outcome.stdout.count("2 of 2") == 2


def test_a_fault_is_exit_code_1(tmp_path: Path) -> None:
    elf = build(tmp_path, "stack_shapes.c", "-DSHAPE=(*(volatile int *)0x10000000)")
    outcome = emu("run", elf, "-t", "esp32s3-qemu")
    assert outcome.returncode == 0, outcome  # it yields before, and nobody resumes it
    elf = build(tmp_path, "stack_shapes.c", "-Demu_yield=leaf_of_another_name", "-DSHAPE=(*(volatile int *)0x10000000)")
    outcome = emu("run", elf, "-t", "esp32s3-qemu")
    assert outcome.returncode == 1, outcome
    assert "no memory there" in outcome.stdout


def test_an_elf_for_the_other_processor_is_refused(tmp_path: Path) -> None:
    outcome = emu("run", build(tmp_path, "prints.c"), "-t", "stm32h7-unicorn")
    assert outcome.returncode == 2
    assert "is for Xtensa; stm32h7-unicorn runs Arm" in outcome.stderr
