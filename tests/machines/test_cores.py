"""What an architecture makes of a core that stands, whoever holds it: here a table of registers and memory."""

import struct
from collections.abc import Mapping

import pytest
import xtensa_builds
from builds import firmware

from emu.architectures.core import Core, CoreError, StackPeak, stack_bytes
from emu.architectures.cores import core_of
from emu.firmware import Firmware

FAULT_REGISTERS = 0xE000ED28
PRECISERR, BFARVALID, DIVBYZERO = 1 << 9, 1 << 15, 1 << 25
HARD_FAULT, USAGE_FAULT, SUPERVISOR_CALL = 3, 6, 11
FROM_MAIN_STACK, FROM_PROCESS_STACK = 0xFFFFFFF9, 0xFFFFFFFD
SP = 0x2001FF00


class Table:
    """A core that stands, with memory by address."""

    def __init__(self, registers: Mapping[str, int], memory: Mapping[int, bytes], program: Firmware):
        self._registers, self._memory, self._program = registers, memory, program

    def register(self, name: str) -> int:
        return self._registers.get(name, 0)

    def read(self, address: int, size: int) -> bytes:
        for start, data in self._memory.items():
            if start <= address < start + len(data):
                return data[address - start :][:size]
        return self._program.bytes_at(address, size)


# ---- a Cortex-M ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    return firmware(tmp_path_factory.mktemp("cores"), "faults.c", "-DFAULT=wait_for_interrupt()")


@pytest.fixture(scope="module")
def core(program: Firmware) -> Core:
    return core_of(program)


def in_exception(program: Firmware, number: int, cfsr: int, bfar: int = 0, lr: int = FROM_MAIN_STACK) -> Table:
    """Return a core that has pushed a frame of ``main`` for an exception."""
    pc = program.entry_of("main")
    assert pc is not None
    frame = struct.pack("<8I", 1, 2, 3, 4, 12, program.reset_pc + 5, pc, 1 << 24)
    system = struct.pack("<5I", cfsr, 1 << 30, 0, 0, bfar)
    registers = {"xpsr": number, "lr": lr, "sp": SP, "pc": 0x08000400, "r4": 40, "r11": 110}
    return Table(registers, {SP: frame, FAULT_REGISTERS: system}, program)


def test_a_fault_is_read_from_the_frame_and_the_fault_registers(program: Firmware, core: Core) -> None:
    fault = core.fault(in_exception(program, HARD_FAULT, PRECISERR | BFARVALID, 0x40002C00), at_handler=True)
    assert fault is not None
    # main begins with a push
    assert (fault.kind, fault.address, fault.pc) == ("unmapped_write", 0x40002C00, program.entry_of("main"))
    assert "and no peripheral that its board file knows" in fault.detail
    assert "HardFault: CFSR 0x00008200, HFSR 0x40000000, BFAR 0x40002c00" in fault.detail
    assert fault.registers is not None
    assert list(fault.registers[:5]) == [1, 2, 3, 4, 40]
    assert fault.registers[13] == SP + 32
    assert core.pc_of(fault.registers) == fault.pc
    assert not fault.is_jump


def test_a_frame_on_the_process_stack_is_not_guessed(program: Firmware, core: Core) -> None:
    stopped = in_exception(program, USAGE_FAULT, DIVBYZERO, lr=FROM_PROCESS_STACK)
    fault = core.fault(stopped, at_handler=True)
    assert fault is not None
    assert (fault.registers, fault.pc) == (None, None)
    assert "division by zero" in fault.detail


def test_an_exception_that_is_served_is_no_fault(program: Firmware, core: Core) -> None:
    assert core.fault(in_exception(program, SUPERVISOR_CALL, 0), at_handler=False) is None
    assert core.fault(in_exception(program, 0, 0), at_handler=True) is None


def test_fault_registers_that_cannot_be_read_are_not_zero(program: Firmware, core: Core) -> None:
    with pytest.raises(CoreError, match="0xe000ed28 cannot be read"):
        core.fault(Table({"xpsr": HARD_FAULT, "sp": SP}, {}, program), at_handler=True)


def test_a_core_that_waits_stands_behind_wfi(program: Firmware, core: Core) -> None:
    entry = program.entry_of("wait_for_interrupt")
    assert entry is not None
    waits = {at: core.waits(Table({"pc": at}, {}, program)) for at in range(entry, entry + 6, 2)}
    (place,) = (waited for waited in waits.values() if waited is not None)
    assert place == ("WFI", next(at for at, waited in waits.items() if waited) - 2)


def test_a_function_returns_by_lr_and_takes_r0(program: Firmware, core: Core) -> None:
    stopped = Table({"lr": 0x08000123, "r0": 42}, {}, program)
    assert core.return_address(stopped) == 0x08000122
    assert core.first_argument(stopped) == 42


def test_a_stack_of_no_bytes_has_no_frames(program: Firmware, core: Core) -> None:
    top = program.initial_sp
    assert (
        core.peak_backtrace(StackPeak(top, program.reset_pc, [0] * 13 + [top, 0, program.reset_pc], top, b""), top)
        == []
    )
    assert stack_bytes(core, top, top) == 0
    assert stack_bytes(core, top - 40, top) == 40


# ---- an LX7 ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def xtensa(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    elf = xtensa_builds.build(tmp_path_factory.mktemp("cores"), "faults.c", "-DFAULT=null_call()")
    return Firmware.load(elf, xtensa_builds.TARGET)


def test_a_jump_to_null_in_a_handler_is_not_taken_for_one_of_the_window_vectors(xtensa: Firmware) -> None:
    """Its address is lower than that of the vectors."""
    vectors = xtensa.entry_of("_WindowOverflow4")
    assert vectors is not None
    registers = {"pc": vectors + 0x3C0, "vecbase": vectors, "exccause": 20, "depc": 0, "epc1": vectors + 0x340}
    fault = core_of(xtensa).fault(Table(registers, {}, xtensa), at_handler=True)
    assert fault is not None
    assert fault.registers is not None
    assert (fault.pc, fault.is_jump, fault.registers[0]) == (0, True, 0)
    assert "jump to 0x00000000: a null pointer" in fault.detail


def test_the_window_of_a_caller_holds_what_a_function_is_given(xtensa: Firmware) -> None:
    """PS.CALLINC is 2: the call was a CALL8."""
    registers = {"pc": 0x42000100, "ps": 2 << 16, "a8": 2 << 30 | 0x02000200, "a10": 7}
    core, stopped = core_of(xtensa), Table(registers, {}, xtensa)
    assert core.return_address(stopped) == 0x42000200
    assert core.first_argument(stopped) == 7
    assert stack_bytes(core, 0x3FC90000, 0x3FC90100) == 0x100 + 16
