"""A Cortex-M with a firmware on it (see ``emu.architectures.core.Core``): registers are r0 to r15, then PSP."""

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar, Literal

from emu.architectures.armv7em.code_map import CodeMap
from emu.architectures.armv7em.exceptions import (
    FAULT_VECTORS_BYTES,
    REGISTERS,
    describe_exception,
    fault_handlers,
    read_exception,
)
from emu.architectures.armv7em.thumb import DYNAMIC, WAITS, is_call
from emu.architectures.armv7em.unwind import end_of_stack, unwind
from emu.architectures.core import CoreFault, Memory, StackPeak, StoppedCore
from emu.firmware import Firmware
from emu.record import Frame

IDLE_LOOP = bytes.fromhex("fee7")
"""B ."""
_AFTER_MAIN = 16
"""Bytes from the call of main to the `b .` after it, at most: firmware may call another function there."""
_EXCEPTION_NUMBER = 0x1FF
"""Bits of xPSR."""
_SP, _PC = 13, 15


class CortexM:
    """The core."""

    stack_pointer: ClassVar[Literal["MSP", "a1"]] = "MSP"
    stack_register: ClassVar[str] = "sp"
    not_on_stack: ClassVar[tuple[str, int] | None] = None
    below_sp: ClassVar[int] = 0

    def __init__(self, firmware: Firmware):
        self._firmware = firmware

    @cached_property
    def code(self) -> CodeMap:
        """How the firmware's instructions change SP."""
        return CodeMap(self._firmware)

    def fault_handlers(self, read: Memory) -> frozenset[int]:
        """Return the entries of the handlers of NMI, HardFault, MemManage, BusFault and UsageFault."""
        table = self._firmware.start.vector_table
        assert table is not None, "an Armv7-M starts by its vector table"
        return fault_handlers(read(table, FAULT_VECTORS_BYTES))

    def return_address(self, core: StoppedCore) -> int:
        """Return LR without its Thumb bit."""
        return core.register("lr") & ~1

    def first_argument(self, core: StoppedCore) -> int:
        """Return r0."""
        return core.register("r0")

    # ---- why it stopped ----------------------------------------------------------------------------------------------

    def fault(self, core: StoppedCore, *, at_handler: bool) -> CoreFault | None:
        """Return the fault that made the core take its current exception."""
        exception = read_exception(core)
        if exception is None or not (at_handler or exception.is_fault):
            return None
        registers = exception.registers
        pc = None if registers is None else registers[_PC]
        code = b"" if pc is None else core.read(pc, 4)
        kind, detail, address = describe_exception(self._firmware.board, exception, code)
        return CoreFault(kind, detail, address, registers, pc, exception.is_jump, exception.frame_not_pushed_at)

    def handler_without_exception(self, core: StoppedCore) -> CoreFault:
        """Return a fault: code called the handler as a function, or ran on into it."""
        registers = self.registers(core)
        pc = registers[_PC]
        detail = f"the firmware went to the fault handler at {pc:#010x} without an exception"
        return CoreFault("exception", detail, None, registers, pc)

    def waits(self, core: StoppedCore) -> tuple[str, int] | None:
        """Return the WFI or WFE before pc."""
        before = core.register("pc") - 2
        name = WAITS.get(int.from_bytes(core.read(before, 2), "little"))
        return None if name is None else (name, before)

    def idles(self, core: StoppedCore) -> str | None:
        """Return `b .` if it is at pc."""
        return "b ." if core.read(core.register("pc"), len(IDLE_LOOP)) == IDLE_LOOP else None

    def is_after_main(self, core: StoppedCore) -> bool:
        """Return whether pc soon follows a call of main, in Thread mode."""
        main, pc = self._firmware.entry_of("main"), core.register("pc")
        if main is None or core.register("xpsr") & _EXCEPTION_NUMBER:
            return False
        start = pc - _AFTER_MAIN
        code = core.read(start, _AFTER_MAIN)
        return any(is_call(code[offset : offset + 4], start + offset, main) for offset in range(0, len(code) - 3, 2))

    # ---- its registers -----------------------------------------------------------------------------------------------

    def registers(self, core: StoppedCore) -> list[int]:
        """Return r0 to r15 and PSP."""
        return [core.register(name) for name in REGISTERS]

    def pc_of(self, registers: Sequence[int]) -> int:
        """Return r15."""
        return registers[_PC]

    def at(self, registers: Sequence[int], pc: int) -> list[int]:
        """Return ``registers`` with another r15."""
        return [*registers[:_PC], pc, *registers[_PC + 1 :]]

    # ---- the stack ---------------------------------------------------------------------------------------------------

    def stack_pointers(self, registers: Sequence[int]) -> tuple[int, int]:
        """Return r13, and r13 after a push at pc that has failed."""
        sp, change = registers[_SP], self.code.delta_at(registers[_PC])
        return sp, sp if change == DYNAMIC else sp + min(change, 0)

    def backtrace(self, registers: Sequence[int], read: Memory, top: int | None = None) -> list[Frame]:
        """Return the frames from unwind information, or from the instructions if there is none.

        If ``top`` is missing, or is not the end of the stack that SP is on, the variables tell where the stack ends.
        """
        sp, end = registers[_SP], end_of_stack(self._firmware, registers[_SP])
        stack_top = top if top is not None and sp <= top <= end else end
        return unwind(self.code, registers, read, sp, registers[_PC], stack_top)

    def peak_backtrace(self, peak: StackPeak, top: int) -> list[Frame]:
        """Return the frames; their sizes add up to the peak."""
        if peak.lowest == top:
            return []
        at = self._lowering_instruction(peak)
        frames = unwind(self.code, peak.registers, peak.read, peak.lowest, at, top, one_stack=True)
        return [frames[0].model_copy(update={"interrupted_by": peak.exception}), *frames[1:]]

    def _lowering_instruction(self, peak: StackPeak) -> int:
        """Return the address of the instruction that brought SP to its lowest."""
        sp, pc = peak.registers[_SP], peak.lowered_from
        if pc & 1:
            return pc & ~1  # no instruction: an exception's frame lies below the function that it interrupted
        while sp > peak.lowest:
            delta = self.code.delta_at(pc)
            if delta == DYNAMIC:
                break
            sp += delta
            if sp <= peak.lowest:
                break
            pc += 2
        return pc

    def sets_sp_anew(self, address: int) -> bool:
        """Return whether the instruction may lead to another stack."""
        return not self.code.behind_anew.isdisjoint((address + 2, address + 4))
