"""The Xtensa LX7 in QEMU: its registers as gdb's packet and the plugin have them, its exceptions by their cause."""

import struct
from collections.abc import Sequence
from typing import ClassVar, Literal

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
from emu.emulators import EMULATORS
from emu.firmware import Firmware
from emu.machines.lx7_exceptions import UNSERVED, describe_exception, is_jump, read_unserved
from emu.machines.qemu.core import CoreFault, Memory, Standing
from emu.native.qemu import Lowest
from emu.record import Frame

# Where in the packet of all registers one is: gdb-config.c.inc of QEMU's core de233_fpu.
_PC, _WINDOWBASE, _WINDOWSTART, _PS = 0, 148, 152, 164
_EPC1, _EPC6, _DEPC, _VECBASE, _EXCCAUSE, _EXCVADDR, _A0 = 404, 424, 432, 508, 512, 536, 560
_WINDOW = 16
# What the plugin writes down (capture in emu/native/qemu/xtensa.c), before the register file.
_SPECIAL = 8
_FILE = 64
_WAITI_BYTES = 3
_DEBUG_VECTOR, _DOUBLE_VECTOR = 0x280, 0x3C0


class Lx7:
    """The core (see ``emu.machines.qemu.core.Core``).

    Registers are pc, PS, WINDOWBASE, WINDOWSTART, EXCCAUSE, EPC1, EXCVADDR, DEPC and the 64 address registers.
    """

    command: ClassVar = EMULATORS["qemu"].programs["xtensa"]
    package: ClassVar = "qemu-system-misc"
    stack_pointer: ClassVar[Literal["MSP", "a1"]] = "a1"
    below_sp: ClassVar = BASE_SAVE_BYTES
    endings: ClassVar[dict[str, str]] = {}

    def __init__(self, firmware: Firmware):
        self._firmware = firmware

    # ---- starting ----------------------------------------------------------------------------------------------------

    def arguments(self) -> list[str]:
        """Return the machine, and the address at which it starts."""
        start = f"loader,addr={self._firmware.reset_pc:#x},cpu-num=0"
        return ["-M", "sim", "-cpu", "de233_fpu", "-m", "1M", "-device", start]

    def sp_changes(self) -> bytes:
        """Return nothing: the plugin sees by itself which instructions change SP."""
        return b""

    def at_reset(self, qemu: Standing) -> dict[str, tuple[object, object]]:
        """Return pc and the code there as QEMU and as the ELF have them."""
        pc = self._firmware.reset_pc
        return {"pc": (self.pc(qemu), pc), "the code": (qemu.gdb.read_memory(pc, 8), qemu.read(pc, 8))}

    def handlers(self, qemu: Standing) -> frozenset[int]:
        """Return where our own startup code goes; at the vectors, wherever they are, the plugin stops."""
        del qemu
        return frozenset(filter(None, [self._firmware.entry_of(UNSERVED)]))

    # ---- at a stop ---------------------------------------------------------------------------------------------------

    def pc(self, qemu: Standing) -> int:
        """Return pc."""
        return _word(qemu.gdb.read_registers(), _PC)

    def return_from_function(self, qemu: Standing) -> None:
        """Go on at the address that the call left for ENTRY to rotate in: the window is still the caller's."""
        registers = qemu.gdb.read_registers()
        pc = returns_to(_argument(registers, 0), _word(registers, _PC))
        qemu.gdb.write_first_registers(struct.pack("<I", pc))

    def first_argument(self, qemu: Standing) -> int:
        """Return what ENTRY will make a2 of."""
        return _argument(qemu.gdb.read_registers(), 2)

    def registers(self, qemu: Standing) -> list[int]:
        """Return the registers; of a core that waits only those in the window, as the plugin does not get to run."""
        return _captured(qemu) if self.waits(qemu) is None else _in_window(qemu.gdb.read_registers())

    def fault(self, qemu: Standing, *, at_handler: bool) -> CoreFault | None:
        """Return what made the core take the exception that it is in."""
        if not at_handler:
            return None
        packet = qemu.gdb.read_registers()
        stopped_at, vectors = _word(packet, _PC), _word(packet, _VECBASE)
        _, ps, base, start, cause, pc, address, depc, *file = _captured(qemu)
        if stopped_at == self._firmware.entry_of(UNSERVED):
            unserved = read_unserved(self._firmware, qemu.read)
            if unserved is not None and unserved.level > 1:
                interrupted = unserved.pc
                registers = [interrupted, ps, base, start, cause, pc, address, depc, *file]
                detail = f"an interrupt of level {unserved.level}, which nothing in the firmware serves"
                return CoreFault("exception", detail, None, registers, interrupted, is_jump=False)
        if stopped_at - vectors == _DEBUG_VECTOR:
            pc = _word(packet, _EPC6)
            registers = [pc, ps, base, start, cause, pc, address, depc, *file]
            return CoreFault("breakpoint", "BREAK, and no debugger", None, registers, pc, is_jump=False)
        shown = pc
        if stopped_at - vectors == _DOUBLE_VECTOR:
            pc = depc
            if is_in_window_vectors(depc, vectors):  # which another function's call or return has led to
                base = old_base(ps)
            else:
                shown = depc
        sp = Windows(file, base, start, 0).register(1)
        kind, detail, about = describe_exception(self._firmware, cause, address, pc, sp, qemu.read(pc, 3))
        registers = [shown, ps, base, start, cause, shown, address, depc, *file]
        return CoreFault(kind, detail, about, registers, pc, is_jump(cause))

    def waits(self, qemu: Standing) -> tuple[str, int] | None:
        """Return the WAITI before pc."""
        before = self.pc(qemu) - _WAITI_BYTES
        return ("WAITI", before) if is_wait(qemu.read(before, _WAITI_BYTES)) else None

    def pc_of(self, registers: Sequence[int]) -> int:
        """Return pc."""
        return registers[0]

    def at(self, registers: Sequence[int], pc: int) -> list[int]:
        """Return the same with another pc."""
        return [pc, *registers[1:]]

    # ---- frames ------------------------------------------------------------------------------------------------------

    def backtrace(self, registers: Sequence[int], read: Memory) -> list[Frame]:
        """Return the frames by the register windows."""
        return unwind(self._firmware, registers[0], _windows(registers), read)

    def peak(self, lowest: Lowest) -> tuple[int, list[Frame]]:
        """Return all that SP has passed and the base save area below it, and the frames of then."""
        top = self._firmware.initial_sp
        if lowest.sp == top:
            return 0, []
        start, stack = lowest.stack_start, bytes(lowest.stack[: lowest.stack_bytes])

        def read(address: int, size: int) -> bytes:
            if start <= address < top:
                return stack[address - start :][:size]
            return self._firmware.bytes_at(address, size)

        frames = unwind(self._firmware, lowest.pc, _windows(lowest.registers), read, lowest.lowered_at)
        return top - lowest.sp + BASE_SAVE_BYTES, frames

    def callers(self, firmware: Firmware, registers: Sequence[int], read: Memory) -> list[Frame]:
        """Return the frames by the register windows."""

        def read_all(address: int, size: int) -> bytes:
            return read(address, size) or firmware.bytes_at(address, size)

        return unwind(firmware, registers[0], _windows(registers), read_all)

    def sets_sp_anew(self, address: int) -> bool:
        """Return whether it is a move to a1 or a load of it; MOVSP and additions reckon from a1."""
        return sets_sp_anew(self._firmware.bytes_at(address, 3))


def _windows(registers: Sequence[int]) -> Windows:
    _, ps, base, start, *_ = registers
    return Windows(registers[_SPECIAL:], base, start, call_increment(ps))


def _captured(qemu: Standing) -> list[int]:
    """Let the plugin write the registers down, which it does before the next instruction: unless that is nowhere."""
    packet = qemu.gdb.read_registers()
    qemu.shared.wanted = 1
    qemu.gdb.step()
    return list(qemu.shared.registers) if qemu.shared.wanted == 0 else _in_window(packet)


def _in_window(packet: bytes) -> list[int]:
    """Return the registers as far as gdb's packet has them: the others of the file are 0."""
    special = [_word(packet, at) for at in (_PC, _PS, _WINDOWBASE, _WINDOWSTART, _EXCCAUSE, _EPC1, _EXCVADDR, _DEPC)]
    file = [0] * _FILE
    for number in range(_WINDOW):
        file[(4 * special[2] + number) % _FILE] = _word(packet, _A0 + 4 * number)
    return [*special, *file]


def _argument(packet: bytes, number: int) -> int:
    """Return what a function that has just been called will find in its register ``number``."""
    return _word(packet, _A0 + 4 * before_entry(number, _word(packet, _PS)))


def _word(packet: bytes, offset: int) -> int:
    return int.from_bytes(packet[offset : offset + 4], "little")
