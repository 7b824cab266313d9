"""Faults of the core itself, read from its fault registers (Armv7-M Architecture Reference Manual, B3.2.15 and on)."""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from emu.architectures.access import NULL_PAGE, NULL_POINTER, Access, describe_access
from emu.architectures.armv7em.exception_model import (
    FIRST_INTERRUPT,
    NMI,
    RESERVED,
    USAGE_FAULT,
    Cfsr,
    exception_name,
)
from emu.architectures.core import CoreError, Memory, StoppedCore
from emu.targets import Board

_SP, _PC, _PSP = 13, 15, 16
_FAULTS = range(NMI, USAGE_FAULT + 1)
FAULT_VECTORS_BYTES = 4 * _FAULTS.stop
"""Bytes of a vector table up to the entry of the last fault."""
VECTOR_TABLE_BYTES = 4 * (FIRST_INTERRUPT + 496)
"""Bytes of the longest vector table."""

_FAULT_REGISTERS = 0xE000_ED28  # CFSR, HFSR, DFSR, MMFAR, BFAR

REGISTERS = (*(f"r{number}" for number in range(13)), "sp", "lr", "pc", "psp")
"""Names in a ``StoppedCore``, in the order of ``CortexM.registers``."""

_EXCEPTION_RETURNS = frozenset((0xFFFF_FFE1, 0xFFFF_FFE9, 0xFFFF_FFED, 0xFFFF_FFF1, 0xFFFF_FFF9, 0xFFFF_FFFD))
_ON_PROCESS_STACK, _SMALL_FRAME, _REALIGNED = 1 << 2, 1 << 4, 1 << 9
_FRAME = struct.Struct("<8I")  # r0 to r3, r12, lr, pc, xPSR
_FLOATS_BYTES = 72
"""s0 to s15, FPSCR and an unused word. With lazy stacking the core makes room for them, and may never write them."""
_BREAKPOINT = b"\xbe"
_SEMIHOSTING = 0xAB

_STORES = ("str", "stm", "push", "vstr", "vstm", "vpush")
_SIZES = {"b": 1, "h": 2}


@dataclass(frozen=True)
class CoreException:
    """A taken exception, before its handler's first instruction."""

    number: int
    cfsr: int
    hfsr: int
    mmfar: int
    bfar: int
    registers: Sequence[int] | None
    """r0 to r15 before the instruction; None if the exception's frame is not on the stack."""
    frame_not_pushed_at: int | None = None
    """MSP, below which there is no memory for the exception's frame; None if it was pushed, or belongs to PSP."""

    @property
    def is_fault(self) -> bool:
        """Whether no correct program takes this exception."""
        return self.number in _FAULTS

    @property
    def name(self) -> str:
        """Arm's name of the exception."""
        return exception_name(self.number)

    @property
    def is_jump(self) -> bool:
        """Whether the fault is a failed fetch at pc."""
        return bool(self.cfsr & (Cfsr.IACCVIOL | Cfsr.IBUSERR | Cfsr.INVSTATE))

    @property
    def registers_text(self) -> str:
        """The fault registers as text, for a fault's detail."""
        text = f"CFSR {self.cfsr:#010x}, HFSR {self.hfsr:#010x}"
        if self.cfsr & Cfsr.MMARVALID:
            text += f", MMFAR {self.mmfar:#010x}"
        if self.cfsr & Cfsr.BFARVALID:
            text += f", BFAR {self.bfar:#010x}"
        return f"{self.name}: {text}"


@dataclass(frozen=True)
class Interrupted:
    """The code that an exception interrupted, and the frame that the core pushed for it."""

    registers: list[int]
    """r0 to r15 (and PSP) before the exception; pc is the instruction that has not run."""
    frame: int
    """The address of the frame, which reaches up to the interrupted code's SP."""
    on_process_stack: bool


def is_exception_return(value: int) -> bool:
    """Return whether LR has a value that makes a handler's return leave the exception (B1.5.8)."""
    return value in _EXCEPTION_RETURNS


def on_process_stack(return_value: int) -> bool:
    """Return whether the frame of a handler that will return by ``return_value`` is on the process stack."""
    return bool(return_value & _ON_PROCESS_STACK)


def pushed_frame(sp: int, return_value: int) -> int:
    """Return the address of the frame that the core pushed below ``sp``; 0 if the handler has no process's frame."""
    if not is_exception_return(return_value) or not return_value & _ON_PROCESS_STACK:
        return 0
    return (sp - _FRAME.size - (0 if return_value & _SMALL_FRAME else _FLOATS_BYTES)) & ~7


def interrupted_by_handler(registers: Sequence[int], return_value: int, read: Memory) -> Interrupted | None:
    """Return the code to which a handler will return by ``return_value``; None if its frame is not known (B1.5.6).

    ``registers`` are r0 to r15 at the handler's first instruction, where r13 is MSP, then PSP if it is known. The frame
    is not known if it is on the process stack and PSP is 0 or missing, or if ``read`` has no memory there.
    """
    process = on_process_stack(return_value)
    psp = list(registers[_PSP:])
    frame = registers[_SP] if not process else psp[0] if psp else 0
    stacked = read(frame, _FRAME.size) if frame else b""
    if len(stacked) < _FRAME.size:
        return None
    r0, r1, r2, r3, r12, lr, pc, xpsr = _FRAME.unpack(stacked)
    floats = 0 if return_value & _SMALL_FRAME else _FLOATS_BYTES
    sp = frame + _FRAME.size + floats + (4 if xpsr & _REALIGNED else 0)
    return Interrupted([r0, r1, r2, r3, *registers[4:12], r12, sp, lr, pc & ~1, *psp], frame, process)


def exceptions_of_handler(vector_table: bytes, handler: int) -> list[str]:
    """Return the names of the exceptions that lead to the handler that begins at ``handler``.

    The table ends at the first word that is neither 0 nor the address of Thumb code. Reserved words are skipped: some
    boot loaders keep a checksum there.
    """
    vectors = struct.unpack_from(f"<{len(vector_table) // 4}I", vector_table)
    used = [(number, vectors[number]) for number in range(NMI, len(vectors)) if number not in RESERVED]
    entries = takewhile(lambda entry: entry[1] == 0 or entry[1] & 1, used)
    return [exception_name(number) for number, entry in entries if entry & ~1 == handler]


def fault_handlers(vector_table: bytes) -> frozenset[int]:
    """Return the entries of those handlers of NMI, HardFault, MemManage, BusFault and UsageFault that exist."""
    vectors = struct.unpack_from(f"<{len(vector_table) // 4}I", vector_table)[: _FAULTS.stop]
    return frozenset(entry & ~1 for entry in vectors[_FAULTS.start :] if entry)


def read_exception(core: StoppedCore) -> CoreException | None:
    """Return the core's current exception, or None if there is none."""
    number = core.register("xpsr") & 0x1FF
    if number == 0:
        return None
    cfsr, hfsr, _, mmfar, bfar = (_fault_register(core, _FAULT_REGISTERS + 4 * index) for index in range(5))
    return CoreException(number, cfsr, hfsr, mmfar, bfar, _registers_before(core, cfsr), _frame_not_pushed(core, cfsr))


def describe_exception(board: Board, exception: CoreException, code: bytes) -> tuple[str, str, int | None]:
    """Return the fault's kind, a sentence, and the faulting address; ``code`` are the bytes at pc."""
    kind, detail, address = _describe(board, exception, code)
    return kind, f"{detail} ({exception.registers_text})", address


def describe_arm_state(address: int) -> str:
    """Return why a jump to ``address`` left Thumb state, the only state of the core."""
    if address < NULL_PAGE:
        return NULL_POINTER
    return "the address is without the Thumb bit, and the core has no Arm instructions"


def _describe(board: Board, exception: CoreException, code: bytes) -> tuple[str, str, int | None]:
    cfsr = exception.cfsr
    pc = 0 if exception.registers is None else exception.registers[_PC]
    if cfsr & (Cfsr.MSTKERR | Cfsr.STKERR | Cfsr.MLSPERR | Cfsr.LSPERR):
        address = exception.bfar if cfsr & Cfsr.BFARVALID else None
        return "stack_overflow", "the core cannot push an exception's frame: no writable memory is at SP", address
    if cfsr & (Cfsr.IACCVIOL | Cfsr.IBUSERR):
        return *describe_access(board, "fetch", pc, 2), pc
    if cfsr & (Cfsr.DACCVIOL | Cfsr.PRECISERR):
        address = exception.mmfar if cfsr & Cfsr.DACCVIOL else exception.bfar
        access, size = _access(code)
        return *describe_access(board, access, address, size), address
    if cfsr & Cfsr.INVSTATE:
        return "invalid_instruction", f"jump to {pc:#010x}: {describe_arm_state(pc)}", pc
    if cfsr & Cfsr.UNDEFINSTR:
        instruction = int.from_bytes(code[:2], "little")
        return "invalid_instruction", f"the core does not know the instruction {instruction:#06x}", None
    if cfsr & Cfsr.NOCP:
        return "exception", "the FPU is used before it is enabled (CPACR)", None
    if cfsr & Cfsr.UNALIGNED:
        return "exception", "an unaligned access by an instruction that needs an aligned one", None
    if cfsr & Cfsr.DIVBYZERO:
        return "exception", "a division by zero, and the firmware traps it (CCR.DIV_0_TRP)", None
    if cfsr & Cfsr.INVPC:
        return "exception", "an exception return that the core does not allow", None
    if not exception.is_fault:
        return "exception", f"{exception.name} goes to a fault handler: it has no handler of its own", None
    if code[1:2] == _BREAKPOINT:  # without a debug monitor, BKPT becomes a HardFault
        if code[0] == _SEMIHOSTING:
            return "semihosting", "a semihosting call, and no debugger serves it here", None
        return "breakpoint", f"BKPT {code[0]:#04x}", None
    return "exception", f"the core has taken {exception.name}", None


def _access(code: bytes) -> tuple[Access, int]:
    """Return whether the first instruction of ``code`` reads or writes memory, and how many bytes at a time."""
    import capstone  # only for a fault

    disassembler = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB + capstone.CS_MODE_MCLASS)
    mnemonic = next((mnemonic for _, _, mnemonic, _ in disassembler.disasm_lite(code, 0)), "")
    access: Access = "write" if mnemonic.startswith(_STORES) else "read"
    match = re.fullmatch(r"(?:ldrs?|str)(?:ex)?([bh])(?:\.w|t)?", mnemonic)
    return access, _SIZES[match[1]] if match else 4


def _fault_register(core: StoppedCore, address: int) -> int:
    """Return one of the core's own registers, read as a word."""
    word = core.read(address, 4)
    if len(word) < 4:
        raise CoreError(f"the core's register at {address:#010x} cannot be read")
    return int.from_bytes(word, "little")


def _frame_not_pushed(core: StoppedCore, cfsr: int) -> int | None:
    """Return MSP from before the exception if the core could not push the frame there."""
    return_value = core.register("lr")
    if not cfsr & (Cfsr.MSTKERR | Cfsr.STKERR) or return_value & _ON_PROCESS_STACK:
        return None
    return core.register("sp") + _FRAME.size + (0 if return_value & _SMALL_FRAME else _FLOATS_BYTES)


def _registers_before(core: StoppedCore, cfsr: int) -> list[int] | None:
    if cfsr & (Cfsr.MSTKERR | Cfsr.STKERR):
        return None
    registers = [core.register(name) for name in REGISTERS]
    interrupted = interrupted_by_handler(registers, core.register("lr"), core.read)
    return None if interrupted is None else interrupted.registers
