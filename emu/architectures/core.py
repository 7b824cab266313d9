"""A core that has stopped: what an emulator or a probe tells of the core, and what its architecture makes of that.

Whoever can stop a core and read its registers and memory is a ``StoppedCore``: a gdb stub, a monitor, an engine. What
the stop means is said once for all of them, by the ``Core`` of the architecture.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from emu.record import Frame

Memory = Callable[[int, int], bytes]
"""Returns so many bytes from an address; fewer, or none, if there is no memory."""


class CoreError(Exception):
    """A core cannot be asked: whoever held it has gone, or refuses. The text says what was refused."""


class StoppedCore(Protocol):
    """A core that stands still. Both methods raise CoreError if nobody answers.

    The names of the registers are those of Arm's and Cadence's manuals, in lower case:

    - of a Cortex-M: r0 to r12, ``sp``, ``lr``, ``pc`` and ``xpsr``;
    - of an LX7: ``pc``, the window a0 to a15, the whole register file ar0 to ar63 (0 if a register cannot be seen), and
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
    """What the fault is about, if it is about a place in memory."""
    registers: Sequence[int] | None = None
    """As the instruction found them, in the order of ``Core.registers``; None if they are lost."""
    pc: int | None = None
    """The instruction that has not retired; None if it is lost."""
    is_jump: bool = False
    """Whether no instruction could be fetched at ``pc``."""


@dataclass(frozen=True)
class StackPeak:
    """The machine when a stack was lowest, or some instructions before that."""

    lowest: int
    """The lowest SP."""
    lowered_from: int
    """The address in straight-line code from which on SP came from what ``registers`` have to its lowest."""
    registers: Sequence[int]
    """In the order of ``Core.registers``."""
    stack_start: int
    stack: bytes
    """What is known of the stack's memory."""

    def read(self, address: int, size: int) -> bytes:
        """Return what is known of the stack's memory there."""
        return self.stack[address - self.stack_start :][:size] if address >= self.stack_start else b""


class Core(Protocol):
    """One kind of core with a firmware on it: what its registers mean."""

    stack_pointer: ClassVar[Literal["MSP", "a1"]]
    """What the record calls the register that the stack is known by."""
    stack_register: ClassVar[str]
    """Which register of a ``StoppedCore`` that is."""
    not_on_stack: ClassVar[tuple[str, int] | None]
    """A register, and bits of it: while one of them is set, ``stack_register`` points to no stack."""
    below_sp: ClassVar[int]
    """Bytes below SP that belong to the stack."""

    # ---- where it goes -----------------------------------------------------------------------------------------------

    def fault_handlers(self, read: Memory) -> frozenset[int]:
        """Return where the core goes for an exception that no right program takes; ``read`` as after reset."""
        ...

    def return_address(self, core: StoppedCore) -> int:
        """Return, before the first instruction of a function, where the function will return to."""
        ...

    def first_argument(self, core: StoppedCore) -> int:
        """Return, before the first instruction of a function, its first argument."""
        ...

    # ---- why it stands -----------------------------------------------------------------------------------------------

    def fault(self, core: StoppedCore, *, at_handler: bool) -> CoreFault | None:
        """Return the fault that the core is in; None if there is none, or the firmware serves the exception.

        ``at_handler`` tells whether the core stands before the first instruction of a handler, or may do so.
        """
        ...

    def handler_without_exception(self, core: StoppedCore) -> CoreFault | None:
        """Return the fault of code that has got to one of ``fault_handlers`` with no exception; None if it may."""
        ...

    def waits(self, core: StoppedCore) -> tuple[str, int] | None:
        """Return the instruction by which the core waits for an interrupt, and its address; None if it does not."""
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

    def backtrace(self, registers: Sequence[int], read: Memory, top: int | None = None) -> list[Frame]:
        """Return the frames, innermost first, by ``registers`` and the stack's memory.

        The stack begins at ``top``, if that is known; older code has another stack.
        """
        ...

    def peak_backtrace(self, peak: StackPeak, top: int) -> list[Frame]:
        """Return the frames when a stack that begins at ``top`` was lowest.

        Their sizes add up to the stack's bytes if all of them are known.
        """
        ...

    def sets_sp_anew(self, address: int) -> bool:
        """Return whether the instruction at ``address`` gives SP a value that is not computed from SP."""
        ...


def stack_bytes(core: Core, lowest: int, top: int) -> int:
    """Return the bytes of a stack that begins at ``top`` when SP was ``lowest``."""
    return top - lowest + core.below_sp if lowest != top else 0
