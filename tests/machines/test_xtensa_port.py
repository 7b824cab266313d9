"""The ESP32-S3's startup code, vectors and register windows, by what programs do that depend on them."""

import struct
from pathlib import Path

import numpy as np
import pytest
from xtensa_builds import TARGET, build

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits, Stop
from emu.machines.qemu import QemuMachine
from emu.resources import resource

LEVELS = ("-O0", "-O2", "-Os")
ROOM = "-Wl,--defsym=__stack_size=64K"
USER_VECTOR, SYSTEM_CALL = 0x340, 1


def run(elf: Path, symbol: str, size: int) -> tuple[Stop, bytes]:
    """Run from the first ``emu_yield`` on; return where it stopped, and what the variable ``symbol`` is then."""
    firmware = Firmware.load(elf, TARGET)
    with QemuMachine(firmware, TARGET, Instruments(limits=Limits(instructions=200_000))) as machine:
        assert machine.boot().reason == "yield"
        stop = machine.resume()
        variable = firmware.symbol(symbol)
        assert variable is not None
        return stop, machine.read(variable.address, size)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("shape", "result"),
    [
        ("recursion(200)", 200),  # hundreds of window overflows and underflows
        ("calls_by_four(100)", 100),
        ("calls_by_twelve(100)", 100),
        ("alloca_after_calls(100, 64)", 103),  # MOVSP while the caller's registers are in memory
        ("through_pointer(recursion, 30)", 31),
        ("varargs()", 45),  # doubles, which libgcc adds
        ("leaf(14)", 42),
    ],
)
def test_windows_are_stored_and_loaded(tmp_path: Path, shape: str, result: int, level: str) -> None:
    elf = build(tmp_path, "stack_shapes.c", f"-DSHAPE=sink = 0, sink = {shape}", ROOM, level)
    stop, sink = run(elf, "sink", 4)
    assert stop.reason == "yield"
    assert struct.unpack("<i", sink) == (result,)


@pytest.mark.parametrize(
    ("access", "value"), [("unaligned_read", 0x05040302), ("unaligned_write", 0x08A4A103)], ids=["read", "write"]
)
def test_data_is_copied_from_flash_and_accesses_may_be_unaligned(tmp_path: Path, access: str, value: int) -> None:
    stop, sink = run(build(tmp_path, "faults.c", f"-DFAULT={access}()"), "sink", 4)
    assert stop.reason == "yield"
    assert struct.unpack("<I", sink) == (value,)


def test_an_atomic_store_is_one(tmp_path: Path) -> None:
    stop, sink = run(build(tmp_path, "faults.c", "-DFAULT=atomic_store()"), "sink", 4)
    assert stop.reason == "yield"
    assert struct.unpack("<I", sink) == (7 << 8 | 5,)


@pytest.mark.parametrize("shape", ["calls_by_four(10000)", "calls_by_twelve(10000)", "recursion(10000)"])
def test_a_stack_that_overflows_runs_into_nothing(tmp_path: Path, shape: str) -> None:
    stop, _ = run(build(tmp_path, "stack_shapes.c", f"-DSHAPE={shape}"), "sink", 4)
    assert stop.fault is not None
    assert stop.fault.kind == "stack_overflow"


def test_an_unexpected_exception_is_written_down(tmp_path: Path) -> None:
    elf = build(tmp_path, "faults.c", "-DFAULT=system_call()")
    _, exception = run(elf, "emu_exception", 20)
    vector, cause, pc, _, _ = struct.unpack("<5I", exception)
    function = Firmware.load(elf, TARGET).function_at(pc)
    assert function is not None
    assert (vector, cause, function.name) == (USER_VECTOR, SYSTEM_CALL, "system_call")


def test_quotients_and_square_roots_are_rounded_right(tmp_path: Path) -> None:
    count, state, bits = 500, 1, []
    for _ in range(2 * count):
        state = (state * 1664525 + 1013904223) % 2**32
        bits.append(state & 0xBFFFFFFF if state & 0x7F800000 == 0x7F800000 else state)
    dividends, divisors = np.array(bits, np.uint32).view(np.float32).reshape(count, 2).T
    with np.errstate(all="ignore"):
        expected = {"quotients": dividends / divisors, "roots": np.sqrt(np.abs(divisors))}
    elf = build(tmp_path, "arithmetic.c", f"-I{resource('runtime') / 'src'}")
    for name, values in expected.items():
        stop, got = run(elf, name, 4 * count)
        assert stop.reason == "yield"
        np.testing.assert_array_equal(np.frombuffer(got, np.float32), values)
