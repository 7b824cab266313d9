"""A stopped core: its registers and memory, and what its architecture reads from them.

Everything that can stop a core and read its registers and memory is a ``StoppedCore``: a gdb stub, a monitor, an
engine. The ``Core`` of the architecture says, once for all of them, what a stop means.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from emu.record import Frame

Memory = Callable[[int, int], bytes]
"""Takes an address and a size, and returns that many bytes; fewer, or none, if there is no memory."""


class CoreError(Exception):
    """The emulator of a stopped core is gone, or refuses a request. The text names the request."""


class StoppedCore(Protocol):
    """A core that is stopped. Both methods raise CoreError if the emulator does not answer.

    The names of the registers are those of Arm's and Cadence's manuals, in lower case:

    - Cortex-M: r0 to r12, ``sp``, ``lr``, ``pc``, ``xpsr`` and ``psp`` (0 if PSP cannot be seen);
    - LX7: ``pc``, the window a0 to a15, the whole register file ar0 to ar63 (0 if a register cannot be seen), and
      the special registers.
    """

    def register(self, name: str, /) -> int:
        """Return a 32-bit register."""
        ...

    def read(self, address: int, size: int, /) -> bytes:
        """Return memory, or registers of the core that are mapped there; nothing if there is neither."""
        ...


@dataclass(frozen=True)
class CoreFault:
    """An exception that means a fault, before its handler's first instruction."""

    kind: str
    detail: str
    address: int | None = None
    """The memory address that the fault is about; None if it is about no address."""
    registers: Sequence[int] | None = None
    """The registers before the instruction, in the order of ``Core.registers``; None if they are lost."""
    pc: int | None = None
    """The address of the instruction that did not retire; None if it is lost."""
    is_jump: bool = False
    """Whether the fault is a failed fetch at ``pc``."""
    lowest_sp: int | None = None
    """MSP if the core could not push an exception's frame below it; else None."""


@dataclass(frozen=True)
class StackPeak:
    """The machine when a stack was lowest, or some instructions before that moment."""

    lowest: int
    """The lowest SP."""
    lowered_from: int
    """The address in straight-line code from which SP fell from its value in ``registers`` to ``lowest``.

    It is odd if no instruction lowered SP: a core has pushed an exception's frame there.
    """
    registers: Sequence[int]
    """The registers, in the order of ``Core.registers``."""
    stack_start: int
    stack: bytes
    """The known bytes of the stack's memory, from ``stack_start`` on."""
    exception: str | None = None
    """The exception whose frame, or whose handler, made the stack lowest; None if an instruction of the stack did."""

    def read(self, address: int, size: int) -> bytes:
        """Return the known bytes of the stack's memory at ``address``."""
        return self.stack[address - self.stack_start :][:size] if address >= self.stack_start else b""


class Core(Protocol):
    """One kind of core with a firmware: what its registers mean."""

    stack_pointer: ClassVar[Literal["MSP", "a1"]]
    """The record's name of the stack pointer."""
    stack_register: ClassVar[str]
    """The name of the stack pointer in a ``StoppedCore``."""
    not_on_stack: ClassVar[tuple[str, int] | None]
    """A register and some of its bits: while one of the bits is set, ``stack_register`` points to no stack."""
    below_sp: ClassVar[int]
    """Bytes below SP that belong to the stack."""

    # ---- where it goes -----------------------------------------------------------------------------------------------

    def fault_handlers(self, read: Memory) -> frozenset[int]:
        """Return the handlers of exceptions that no correct program takes; ``read`` returns memory as after reset."""
        ...

    def return_address(self, core: StoppedCore) -> int:
        """Return a function's return address; the core is before the function's first instruction."""
        ...

    def first_argument(self, core: StoppedCore) -> int:
        """Return a function's first argument; the core is before the function's first instruction."""
        ...

    # ---- why it stopped ----------------------------------------------------------------------------------------------

    def fault(self, core: StoppedCore, *, at_handler: bool) -> CoreFault | None:
        """Return the core's fault; None if there is none, or the firmware handles the exception.

        ``at_handler`` tells whether the core is, or may be, before the first instruction of a handler.
        """
        ...

    def handler_without_exception(self, core: StoppedCore) -> CoreFault | None:
        """Return the fault of reaching a fault handler without an exception; None if that is allowed."""
        ...

    def waits(self, core: StoppedCore) -> tuple[str, int] | None:
        """Return the instruction that waits for an interrupt, and its address; None if the core does not wait."""
        ...

    def idles(self, core: StoppedCore) -> str | None:
        """Return the instruction at pc as text if it jumps to itself, else None."""
        ...

    def is_after_main(self, core: StoppedCore) -> bool:
        """Return whether main has returned to the code at pc."""
        ...

    # ---- its registers -----------------------------------------------------------------------------------------------

    def registers(self, core: StoppedCore) -> Sequence[int]:
        """Return the registers that frames need, in the architecture's own order."""
        ...

    def pc_of(self, registers: Sequence[int]) -> int:
        """Return the pc among ``registers``."""
        ...

    def at(self, registers: Sequence[int], pc: int) -> Sequence[int]:
        """Return ``registers`` with another pc."""
        ...

    # ---- the stack ---------------------------------------------------------------------------------------------------

    def stack_pointers(self, registers: Sequence[int]) -> tuple[int, int]:
        """Return SP, and the lowest value that the instruction at pc gives SP."""
        ...

    def backtrace(self, registers: Sequence[int], read: Memory, top: int | None = None) -> list[Frame]:
        """Return the frames, innermost first, from ``registers`` and the stack's memory.

        The stack begins at ``top``, or None if that is not known. Frames beyond ``top`` belong to another stack.
        """
        ...

    def peak_backtrace(self, peak: StackPeak, top: int) -> list[Frame]:
        """Return the frames at the peak of a stack that begins at ``top``.

        The sizes of the frames add up to the stack's bytes if all sizes are known.
        """
        ...

    def sets_sp_anew(self, address: int) -> bool:
        """Return whether the instruction at ``address`` sets SP to a value that is not computed from SP."""
        ...


def stack_bytes(core: Core, lowest: int, top: int) -> int:
    """Return the bytes of a stack that begins at ``top`` and whose lowest SP was ``lowest``."""
    return top - lowest + core.below_sp if lowest != top else 0
