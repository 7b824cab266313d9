"""Whatever firmware does wrong ends the run with a fault that names the function and the line."""

import time
from pathlib import Path

import pytest
from builds import TARGET, firmware, line_of

from emu.instruments import Instruments
from emu.machines import Limits, Measurements, Stop
from emu.machines.unicorn import UnicornMachine

SOURCE = "faults.c"
LIMITS = Limits(instructions=2_000_000, seconds=20)


def run(directory: Path, call: str, limits: Limits = LIMITS, *flags: str) -> tuple[Stop, Measurements]:
    with UnicornMachine(
        firmware(directory, SOURCE, *flags, f"-DFAULT={call}"), TARGET, Instruments(limits=limits)
    ) as machine:
        assert machine.boot().reason == "yield"
        return machine.resume(), machine.measure()


@pytest.mark.parametrize("level", ["-O0", "-O2"])
@pytest.mark.parametrize(
    ("call", "kind", "address", "words"),
    [
        (
            "unmapped_read()",
            "unmapped_read",
            0x40002C00,
            "read of 4 bytes at 0x40002c00: no memory there on stm32h7 (and",
        ),
        ("unmapped_write()", "unmapped_write", 0x10000000, "write of 1 byte at 0x10000000: no memory there"),
        ("write_to_read_only()", "write_to_read_only", 0x08000100, "write of 2 bytes at 0x08000100: flash cannot be"),
        ("unmapped_fetch()", "unmapped_fetch", 0x60000000, "jump to 0x60000000: no memory there"),
        ("fetch_from_no_execute()", "fetch_from_no_execute", 0xE000E000, "scs holds no instructions"),
        ("arm_state()", "invalid_instruction", 0x08000100, "without the Thumb bit"),
        ("null_call()", "invalid_instruction", 0, "jump to 0x00000000: a null pointer"),
        (
            "never_set_jump()",
            "unmapped_fetch",
            0xC5C5C5C4,
            "jump to 0xc5c5c5c4: the address is a value that was never set",
        ),
        ("never_set_read()", "unmapped_read", 0xC5C5C5D1, "the address is a value that was never set"),
        ("never_set_write()", "unmapped_write", 0xC5C5C5C5, "the address is a value that was never set"),
        ("invalid_instruction()", "invalid_instruction", None, "0xde01"),
        ("breakpoint()", "breakpoint", None, "BKPT 0x07"),
        ("supervisor_call()", "exception", None, "SVC"),
        ("wait_for_interrupt()", "wait_for_interrupt", None, "WFI"),
        ("wait_for_event()", "wait_for_interrupt", None, "WFE"),
        ("endless_loop()", "instruction_budget", None, "2000000 instructions"),
    ],
)
def test_fault_names_its_place(
    tmp_path: Path, call: str, kind: str, address: int | None, words: str, level: str
) -> None:
    stop, measured = run(tmp_path, call, LIMITS, level)
    assert stop.reason == "fault"
    fault = stop.fault
    assert fault is not None
    assert (fault.kind, fault.address) == (kind, address)
    assert words in fault.detail
    name = call.removesuffix("()")
    assert (fault.function, fault.line) == (name, line_of(SOURCE, name))
    assert fault.file is not None
    assert fault.file.endswith(SOURCE)
    assert [frame.function for frame in fault.backtrace] == [name, "main", "reset_handler"]
    assert measured.faults == (fault,)


@pytest.mark.parametrize(
    ("call", "function", "mark"),
    [
        ("endless_recursion(1)", "endless_recursion", "endless_recursion"),
        ("large_frame(200000)", "large_frame", "large_frame"),
    ],
)
def test_stack_overflow_stops_where_the_stack_ends(tmp_path: Path, call: str, function: str, mark: str) -> None:
    stop, measured = run(tmp_path, call)
    fault = stop.fault
    assert fault is not None
    assert fault.kind == "stack_overflow"
    assert fault.function is not None
    assert fault.function.split(".")[0] == function
    assert fault.line == line_of(SOURCE, mark)
    assert measured.stack_peak_bytes is not None
    assert measured.stack_limit_bytes is not None
    assert measured.stack_peak_bytes > measured.stack_limit_bytes
    assert sum(frame.frame_bytes or 0 for frame in fault.backtrace) == measured.stack_peak_bytes


@pytest.mark.parametrize(
    ("call", "retired"),
    # What `main` runs from its return from emu_yield on: the call, and the instructions before the one that faults.
    [("breakpoint()", 1), ("unmapped_read()", 6)],
)
def test_a_faulting_block_counts_only_what_retired(tmp_path: Path, call: str, retired: int) -> None:
    stop, measured = run(tmp_path, call)
    assert stop.instructions == retired
    assert sum(measured.instructions.by_function.values()) == measured.instructions.total


def test_exit_status_is_handed_on(tmp_path: Path) -> None:
    stop, _ = run(tmp_path, "exits()")
    assert (stop.reason, stop.exit_status, stop.fault) == ("exit", 42, None)


def test_the_yield_hint_is_no_end(tmp_path: Path) -> None:
    stop, _ = run(tmp_path, "yields_to_the_core()")
    assert stop.reason == "yield"
    assert stop.instructions == 5  # bl, yield, yield, bx lr, bl


def test_budget_is_kept_to_the_block(tmp_path: Path) -> None:
    stop, _ = run(tmp_path, "endless_loop()", Limits(instructions=12_345))
    assert stop.instructions == 12_345  # `b .` is a block of one instruction


def test_wall_clock_ends_a_run(tmp_path: Path) -> None:
    start = time.monotonic()
    stop, _ = run(tmp_path, "endless_loop()", Limits(instructions=10**15, seconds=0.3))
    assert stop.fault is not None
    assert stop.fault.kind == "time_limit"
    assert time.monotonic() - start < 10


def test_nothing_is_left_behind_when_the_caller_fails(tmp_path: Path) -> None:
    machine = UnicornMachine(firmware(tmp_path, SOURCE, "-DFAULT=exits()"), TARGET)

    def fail() -> None:
        with machine:
            machine.boot()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with pytest.raises(RuntimeError, match="booted"):
        machine.read(0x20000000, 4)
    machine.close()


def test_resume_needs_a_firmware_that_waits(tmp_path: Path) -> None:
    with UnicornMachine(firmware(tmp_path, SOURCE, "-DFAULT=exits()"), TARGET) as machine:
        machine.boot()
        machine.resume()
        with pytest.raises(RuntimeError, match="does not wait"):
            machine.resume()
