"""Reserved and touched stack, the stack's limits, and the memory figures around it."""

import struct
from pathlib import Path

import pytest
from builds import TARGET, build, firmware

from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits
from emu.machines.unicorn import UnicornMachine

STACK_BYTES = 4096


class Touched:
    """Drives tests/firmware/touched.c."""

    def __init__(self, machine: UnicornMachine, firmware: Firmware):
        self.machine, self.firmware = machine, firmware
        machine.boot()

    def write(self, index: int, value: int) -> int:
        """Let the firmware write ``value`` at ``index`` of its array; return the bytes from there to the top."""
        self.machine.write(self._address("index_to_write"), struct.pack("<I", index))
        self.machine.write(self._address("value_to_write"), bytes([value]))
        assert self.machine.resume().reason == "yield"
        (array,) = struct.unpack("<I", self.machine.read(self._address("array"), 4))
        return self.firmware.initial_sp - (array + index)

    def touched(self) -> int | None:
        return self.machine.measure().stack_touched_bytes

    def _address(self, name: str) -> int:
        symbol = self.firmware.symbol(name)
        assert symbol is not None
        return symbol.address


@pytest.fixture
def reserved_stack(tmp_path: Path) -> Firmware:
    """Firmware that says with a symbol which memory is its stack's alone."""
    limit = 0x2002_0000 - STACK_BYTES
    return firmware(tmp_path, "touched.c", f"-Wl,--defsym=__stack_limit={limit:#x}")


def test_reserved_and_touched_are_two_figures(reserved_stack: Firmware) -> None:
    with UnicornMachine(reserved_stack, TARGET) as machine:
        program = Touched(machine, reserved_stack)
        program.write(1000, 0)
        peak = machine.measure().stack_peak_bytes
        assert peak is not None
        assert peak > 1000
        before = program.touched()
        assert before is not None
        assert before < 1000
        depth = program.write(400, 7)
        assert program.touched() == depth
        depth = program.write(0, 7)
        assert program.touched() == depth
        program.write(600, 7)
        assert program.touched() == depth
        assert machine.measure().stack_peak_bytes == peak


@pytest.mark.parametrize("value", range(0, 256, 5))
def test_no_value_hides_a_byte_for_two_legs(reserved_stack: Firmware, value: int) -> None:
    with UnicornMachine(reserved_stack, TARGET) as machine:
        program = Touched(machine, reserved_stack)
        program.write(200, value)
        depth = program.write(200, value)
        assert program.touched() == depth


@pytest.mark.parametrize("value", [0xC5, 0x3A])
def test_the_paint_itself_is_seen_the_second_time(reserved_stack: Firmware, value: int) -> None:
    with UnicornMachine(reserved_stack, TARGET) as machine:
        program = Touched(machine, reserved_stack)
        program.write(200, value)
        depth = program.write(200, value)
        assert program.touched() == depth


def test_limit_comes_from_the_symbol_or_from_what_lies_below(tmp_path: Path, reserved_stack: Firmware) -> None:
    assert reserved_stack.stack_limit == reserved_stack.initial_sp - STACK_BYTES
    without = firmware(tmp_path, "touched.c")
    end_of_data = without.symbol("_bss_end")
    assert end_of_data is not None
    assert without.stack_limit == end_of_data.address


def test_heap_below_the_stack_makes_touched_unknown(tmp_path: Path) -> None:
    """newlib's usual place for the heap is the memory between the data and the stack."""
    beside = firmware(tmp_path, "heap_values.c")
    below = firmware(
        tmp_path, "heap_values.c", "-Wl,--defsym=_heap_start=0x20004000", "-Wl,--defsym=_heap_end=0x2001f000"
    )
    for elf, known in ((beside, True), (below, False)):
        with UnicornMachine(elf, TARGET) as machine:
            machine.boot()
            measured = machine.measure()
        assert (measured.stack_touched_bytes is not None) == known
        assert ("stack_touched_bytes" in measured.not_measured) != known


def test_ram_is_not_zero_after_reset(reserved_stack: Firmware) -> None:
    with UnicornMachine(reserved_stack, TARGET) as machine:
        machine.boot()
        assert set(machine.read(0x3000_0000, 64)) == {0xC5}
        with pytest.raises(ValueError, match="0x10000000"):
            machine.read(0x1000_0000, 4)
        with pytest.raises(ValueError, match="0x10000000"):
            machine.write(0x1000_0000, b"1")


def test_boot_resets_everything(reserved_stack: Firmware) -> None:
    with UnicornMachine(reserved_stack, TARGET) as machine:
        program = Touched(machine, reserved_stack)
        fresh = machine.measure()
        program.write(0, 1)
        assert machine.measure() != fresh
        machine.boot()
        assert machine.measure() == fresh


def test_traffic_by_memory(tmp_path: Path) -> None:
    program = firmware(tmp_path, "traffic.S")
    with UnicornMachine(program, TARGET, Instruments(traffic=True)) as machine:
        machine.boot()
        before = machine.measure().instructions
        assert machine.resume().reason == "yield"
        after = machine.measure().instructions
    assert before.loads_by_region is not None
    assert after.loads_by_region is not None
    assert before.stores_by_region is not None
    assert after.stores_by_region is not None
    loads = {name: count - before.loads_by_region.get(name, 0) for name, count in after.loads_by_region.items()}
    stores = {name: count - before.stores_by_region.get(name, 0) for name, count in after.stores_by_region.items()}
    # By construction, see traffic.S.
    assert {name: count for name, count in loads.items() if count} == {"flash": 2, "axi": 30, "dtcm": 4}
    assert {name: count for name, count in stores.items() if count} == {"axi": 10, "dtcm": 4, "sram1": 8}


def test_traffic_is_counted_only_on_request(reserved_stack: Firmware) -> None:
    with UnicornMachine(reserved_stack, TARGET) as machine:
        machine.boot()
        measured = machine.measure()
    assert measured.instructions.loads_by_region is None
    assert {"loads_by_region", "stores_by_region"} <= measured.not_measured.keys()


def test_bare_machine_runs_the_same_and_claims_nothing(tmp_path: Path) -> None:
    program = firmware(tmp_path, "exact.S")
    with UnicornMachine(program, TARGET, Instruments(limits=Limits()), bare=True) as machine:
        stop = machine.boot()
        measured = machine.measure()
    assert (stop.reason, stop.exit_status, stop.instructions) == ("exit", 0, None)
    assert measured.instructions.total is None
    assert measured.stack_peak_bytes is None
    assert {"instructions", "stack_peak_bytes", "heap"} <= measured.not_measured.keys()


def test_counts_known_by_construction(tmp_path: Path) -> None:
    with UnicornMachine(Firmware.load(build(tmp_path, "exact.S"), TARGET), TARGET) as machine:
        machine.boot()
        measured = machine.measure()
    assert measured.instructions.by_function["main"] == 7 + 4 * 1000
    frames = {frame.function: frame.frame_bytes for frame in measured.stack.backtrace}
    assert frames["main"] == 64
