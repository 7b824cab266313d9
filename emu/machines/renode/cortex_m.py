"""A Cortex-M in Renode: its registers by number, its exceptions by the core's fault registers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from emu.architectures.armv7em.thumb import WAITS
from emu.architectures.armv7em.unwind import unwind
from emu.firmware import Firmware
from emu.machines.cortex_m_exceptions import FAULT_VECTORS_BYTES, describe_exception, fault_handlers, read_exception
from emu.machines.gdb_remote import GdbError
from emu.machines.renode.core import CoreFault, Memory, Standing
from emu.machines.renode.monitor import CPU, State
from emu.record import Frame

_GENERAL = ("r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "sp", "lr", "pc")
_XPSR = 25


class CortexM:
    """The core (see ``emu.machines.renode.core.Core``)."""

    stack_pointer: ClassVar[Literal["MSP", "a1"]] = "MSP"
    stack_register: ClassVar[str] = "sp"
    not_on_stack: ClassVar[tuple[str, int] | None] = None
    platform: ClassVar[str] = """\
cpu: CPU.CortexM @ sysbus
    cpuType: "{cpu}"
    nvic: nvic

nvic: IRQControllers.NVIC @ sysbus 0xE000E000
    priorityMask: 0xF0
    -> cpu@0
"""
    platform_registers: ClassVar[frozenset[str]] = frozenset({"scs"})
    registers: ClassVar[dict[str, int]] = {name: number for number, name in enumerate(_GENERAL)} | {"xpsr": _XPSR}
    frame_registers: ClassVar[dict[str, int]] = {}

    def __init__(self, firmware: Firmware):
        self._firmware = firmware
        assert firmware.start.vector_table is not None, "Armv7-M starts by one"
        self._vector_table = firmware.start.vector_table

    def start(self) -> list[str]:
        """Return the command that tells where the vector table is: the core starts by it when it first runs."""
        return [f"{CPU} VectorTableOffset {self._vector_table:#x}"]

    def handlers(self) -> frozenset[int]:
        """Return the entries of the handlers of NMI, HardFault, MemManage, BusFault and UsageFault."""
        return fault_handlers(self._firmware.bytes_at(self._vector_table, FAULT_VECTORS_BYTES))

    def return_address(self, state: State) -> int:
        """Return LR without its Thumb bit."""
        return state.registers["lr"] & ~1

    def first_argument(self, state: State) -> int:
        """Return r0."""
        return state.registers["r0"]

    def fault(self, standing: Standing) -> CoreFault:
        """Return what made the core take the exception that it is in."""
        state, read = standing.state, standing.read
        exception = read_exception(_Registers(state, read))
        if exception is None:
            detail = f"the firmware has got to a fault's handler at {state.pc:#010x} without an exception"
            return CoreFault("exception", detail, None, None, self.backtrace(standing, state.pc))
        registers = exception.registers
        pc = None if registers is None else registers[self.registers["pc"]]
        code = b"" if pc is None else _bytes_at(read, pc, 4)
        kind, detail, address = describe_exception(self._firmware.board, exception, code)
        return CoreFault(kind, detail, address, pc, [] if registers is None else self._unwind(registers, read))

    def waits(self, code: bytes) -> str | None:
        """Return whether the last instruction is WFI or WFE."""
        return WAITS.get(int.from_bytes(code[-2:], "little"))

    def backtrace(self, standing: Standing, pc: int) -> list[Frame]:
        """Return the frames by unwind information, or by the instructions where there is none."""
        return self._unwind(_at(standing.state, pc), standing.read)

    def peak(self, standing: Standing, lowered_at: int) -> tuple[int, list[Frame]]:
        """Return all that SP has passed, and the frames."""
        state = standing.state
        pc = self._firmware.architecture.code_address(state.pc)
        frames = self._unwind(_at(state, pc), standing.read, lowered_at)
        return self._firmware.initial_sp - state.registers["sp"], frames

    def _unwind(self, registers: Sequence[int], read: Memory, shown: int | None = None) -> list[Frame]:
        firmware, sp, pc = self._firmware, registers[self.registers["sp"]], registers[self.registers["pc"]]
        size = max(0, firmware.initial_sp - sp)
        stack = _bytes_at(read, sp, size) if sp in firmware.stack_region else b""

        def peek(address: int, wanted: int) -> bytes:
            return stack[address - sp :][:wanted] if address >= sp else b""

        return unwind(firmware, registers, peek, sp, pc if shown is None else shown, firmware.initial_sp)


@dataclass(frozen=True)
class _Registers:
    """A stopped core as ``read_exception`` looks at it."""

    state: State
    read: Memory

    def read_register(self, number: int) -> int:
        return next(self.state.registers[name] for name, each in CortexM.registers.items() if each == number)

    def read_memory(self, address: int, size: int) -> bytes:
        try:
            return self.read(address, size)
        except ValueError as error:
            raise GdbError(str(error)) from error


def _at(state: State, pc: int) -> list[int]:
    """Return r0 to r14 and another r15."""
    return [*(state.registers[name] for name in _GENERAL[:-1]), pc]


def _bytes_at(read: Memory, address: int, size: int) -> bytes:
    """Return memory, or nothing where there is none."""
    try:
        return read(address, size) if size else b""
    except ValueError:
        return b""
