"""An Xtensa LX7 with a firmware (see ``emu.architectures.core.Core``).

Registers are pc, PS, WINDOWBASE, WINDOWSTART, EXCCAUSE, EPC1, EXCVADDR, DEPC and the 64 address registers.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

from emu.architectures.core import CoreFault, Memory, StackPeak, StoppedCore
from emu.architectures.xtensa.exceptions import UNSERVED, describe_exception, is_jump, read_unserved
from emu.architectures.xtensa.instructions import is_wait, sets_sp_anew
from emu.architectures.xtensa.windows import (
    BASE_SAVE_BYTES,
    Windows,
    before_entry,
    call_increment,
    is_in_window_vectors,
    old_base,
    returns_to,
    unwind,
)
from emu.firmware import Firmware
from emu.record import Frame

SPECIAL = ("pc", "ps", "windowbase", "windowstart", "exccause", "epc1", "excvaddr", "depc")
"""The registers before the register file, by their names in a ``StoppedCore``."""
FILE = 64
"""The number of address registers."""
_PS_EXCM = 1 << 4
_WAITI_BYTES = 3
_DEBUG, _DOUBLE = ("_DebugExceptionVector", 0x280), ("_DoubleExceptionVector", 0x3C0)
"""The name of a vector in Cadence's and Espressif's startup code, and its offset from VECBASE."""
_NAMED_VECTORS = (_DEBUG[0], "_KernelExceptionVector", "_UserExceptionVector", _DOUBLE[0])
_SERVED = (1, 4, 5)
"""Causes of exceptions that firmware handles before it goes on: SYSCALL, an interrupt of level 1, MOVSP."""

_IDLE_LOOP = bytes.fromhex("06ffff")
"""J to itself."""


class Lx7:
    """The core."""

    stack_pointer: ClassVar[Literal["MSP", "a1"]] = "a1"
    stack_register: ClassVar[str] = "a1"
    # At reset and in the window handlers a1 is not an SP, and PS.EXCM is set.
    not_on_stack: ClassVar[tuple[str, int] | None] = ("ps", _PS_EXCM)
    below_sp: ClassVar[int] = BASE_SAVE_BYTES

    def __init__(self, firmware: Firmware):
        self._firmware = firmware

    def fault_handlers(self, read: Memory) -> frozenset[int]:
        """Return the named exception vectors, and the place of our own startup code for all other exceptions."""
        del read
        return frozenset(filter(None, [self.unserved, *map(self._firmware.entry_of, _NAMED_VECTORS)]))

    @property
    def unserved(self) -> int | None:
        """The place in our own startup code for exceptions without a handler."""
        return self._firmware.entry_of(UNSERVED)

    def return_address(self, core: StoppedCore) -> int:
        """Return the address from the call's register: before ENTRY the caller's window is still current."""
        return returns_to(_argument(core, 0), core.register("pc"))

    def first_argument(self, core: StoppedCore) -> int:
        """Return the register that becomes a2 after ENTRY."""
        return _argument(core, 2)

    # ---- why it stopped ----------------------------------------------------------------------------------------------

    def fault(self, core: StoppedCore, *, at_handler: bool) -> CoreFault | None:
        """Return the fault that made the core take its current exception."""
        if not at_handler:
            return None
        _, ps, base, start, cause, pc, address, depc, *file = self.registers(core)
        shown: int | None = None
        if core.register("pc") == self.unserved:
            unserved = read_unserved(self._firmware, core.read)
            if unserved is not None:
                cause, pc, address = unserved.cause, unserved.pc, unserved.address
            if unserved is not None and unserved.level > 1:
                detail = f"an interrupt of level {unserved.level}, which nothing in the firmware serves"
                return CoreFault("exception", detail, None, [pc, ps, base, start, cause, pc, address, depc, *file], pc)
        elif self._stands_at(core, *_DEBUG):
            pc = core.register("epc6")
            registers = [pc, ps, base, start, cause, pc, address, depc, *file]
            return CoreFault("breakpoint", "BREAK, and no debugger", None, registers, pc)
        elif self._stands_at(core, *_DOUBLE):
            if is_in_window_vectors(depc, core.register("vecbase")):
                shown, base = pc, old_base(ps)  # a call or return in another function has led to the vector
            pc = depc
        elif cause in _SERVED:
            return None
        kind, detail, about = describe_exception(self._firmware, cause, address, pc, core.read(pc, 3))
        shown = pc if shown is None else shown
        registers = [shown, ps, base, start, cause, shown, address, depc, *file]
        return CoreFault(kind, detail, about, registers, pc, is_jump(cause))

    def _stands_at(self, core: StoppedCore, name: str, offset: int) -> bool:
        pc = core.register("pc")
        return pc == self._firmware.entry_of(name) or pc - core.register("vecbase") == offset

    def handler_without_exception(self, core: StoppedCore) -> None:
        """Return nothing: firmware handles other exceptions at these vectors, too."""

    def waits(self, core: StoppedCore) -> tuple[str, int] | None:
        """Return the WAITI before pc."""
        before = core.register("pc") - _WAITI_BYTES
        return ("WAITI", before) if is_wait(core.read(before, _WAITI_BYTES)) else None

    def idles(self, core: StoppedCore) -> str | None:
        """Return `j .` if it is at pc."""
        return "j ." if core.read(core.register("pc"), len(_IDLE_LOOP)) == _IDLE_LOOP else None

    def is_after_main(self, core: StoppedCore) -> bool:
        """Return False: main is a task of ESP-IDF, which goes on after it."""
        del core
        return False

    # ---- its registers -----------------------------------------------------------------------------------------------

    def registers(self, core: StoppedCore) -> list[int]:
        """Return the special registers and the file."""
        return [*map(core.register, SPECIAL), *(core.register(f"ar{number}") for number in range(FILE))]

    def pc_of(self, registers: Sequence[int]) -> int:
        """Return pc."""
        return registers[0]

    def at(self, registers: Sequence[int], pc: int) -> list[int]:
        """Return ``registers`` with another pc."""
        return [pc, *registers[1:]]

    # ---- the stack ---------------------------------------------------------------------------------------------------

    def stack_pointers(self, registers: Sequence[int]) -> tuple[int, int]:
        """Return a1 twice: ENTRY, which lowers a1, accesses no memory."""
        sp = _windows(registers).register(1)
        return sp, sp

    def backtrace(self, registers: Sequence[int], read: Memory, top: int | None = None) -> list[Frame]:
        """Return the frames from the register windows, up to the start of the firmware's first stack."""
        del top
        return unwind(self._firmware, self.pc_of(registers), _windows(registers), self._with_code(read))

    def peak_backtrace(self, peak: StackPeak, top: int) -> list[Frame]:
        """Return the frames; the innermost frame includes the base save area below SP."""
        if peak.lowest == top:
            return []
        registers, read = peak.registers, self._with_code(peak.read)
        return unwind(self._firmware, self.pc_of(registers), _windows(registers), read, peak.lowered_from)

    def _with_code(self, read: Memory) -> Memory:
        """Return ``read``, or the ELF's bytes if ``read`` has none: a frame is found by ENTRY in the code."""
        return lambda address, size: read(address, size) or self._firmware.bytes_at(address, size)

    def sets_sp_anew(self, address: int) -> bool:
        """Return whether the instruction moves or loads a value to a1; MOVSP and additions do not count."""
        return sets_sp_anew(self._firmware.bytes_at(address, 3))


def file_with_window(base: int, window: Sequence[int], known: Sequence[int] = ()) -> list[int]:
    """Return the visible part of the register file, in which ``window`` begins at WINDOWBASE ``base``.

    ``known`` are the first registers of the file. The other registers are 0, which is not a valid SP.
    """
    file = [*known, *[0] * (FILE - len(known))]
    for number, value in enumerate(window):
        file[(4 * base + number) % FILE] = value
    return file


def _windows(registers: Sequence[int]) -> Windows:
    _, ps, base, start, *_ = registers
    return Windows(registers[len(SPECIAL) :], base, start, call_increment(ps))


def _argument(core: StoppedCore, number: int) -> int:
    """Return the future value of register ``number`` in a function that was just called."""
    return core.register(f"a{before_entry(number, core.register('ps'))}")
