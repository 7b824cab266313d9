"""The slow truth about a run on the Xtensa: QEMU's own log of the core before every single instruction.

It shares the board's memory with the machine under test, and nothing of what counts and measures there.
"""

import os
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from emu.firmware import Firmware
from emu.machines.qemu import QemuMachine
from emu.machines.qemu.lx7 import QemuLx7
from emu.machines.qemu.process import qemu_version
from emu.targets import Target

_EXCM = 1 << 4
_VECTOR_BYTES, _VECTOR_ALIGNMENT = 0x400, 0x40
_PS, _EPC = re.compile(rb" PS=(\w+)"), re.compile(rb"EPC1=(\w+)")
_REGISTERS = re.compile(rb"=(\w+)")


@dataclass
class Truth:
    """What the log says; an instruction counts when the core went on behind it."""

    total: int = 0
    by_function: Counter[str] = field(default_factory=Counter)
    lowest_sp: int = 1 << 32
    lowest_store: int = 1 << 32
    """The lowest address in the stack's memory that an instruction stored to."""
    exceptions: int = 0
    """Instructions that led to a vector instead, most of them to those of the windows."""


class _Logging(QemuLx7):
    log: Path
    from_reset: bool

    def arguments(self) -> list[str]:
        what = "nochain,cpu" if self.from_reset else "nochain"
        one_by_one = ["-singlestep"] if qemu_version(QemuLx7).startswith("7.") else ["-accel", "tcg,one-insn-per-tb=on"]
        return [*super().arguments(), *one_by_one, "-d", what, "-D", str(self.log)]


def begin(machine: QemuMachine) -> None:
    """Begin to watch: what ran before is not in the truth."""
    gdb = machine._running.process.gdb  # pyright: ignore[reportPrivateUsage]
    gdb._expect_ok(f"qRcmd,{b'log nochain,cpu'.hex()}")  # pyright: ignore[reportPrivateUsage]


def watch(
    firmware: Firmware,
    target: Target,
    drive: Callable[[QemuMachine], object],
    directory: Path,
    *,
    from_reset: bool = True,
) -> Truth:
    """Return what happens while ``drive`` runs the firmware, from the reset on or from where it calls ``begin``."""
    pipe = directory / "log"
    os.mkfifo(pipe)
    machine = QemuMachine(firmware, target)
    machine._in_qemu = core = _Logging(firmware)  # pyright: ignore[reportPrivateUsage]
    core.log, core.from_reset = pipe, from_reset
    truth = Truth()
    reader = threading.Thread(target=_read, args=(pipe, firmware, truth))
    reader.start()
    try:
        with machine:
            drive(machine)
    finally:
        os.close(os.open(pipe, os.O_RDWR))  # the reader must not wait for a QEMU that never came
        reader.join()
    return truth


def _read(pipe: Path, firmware: Firmware, truth: Truth) -> None:
    vectors = firmware.entry_of("_WindowOverflow4")
    assert vectors is not None
    previous: int | None = None  # not yet known to have retired
    pc = ps = epc = 0
    registers: list[int] = []
    state: list[bytes] = []  # the lines of one look at the core
    last_state: list[bytes] = []

    def retire(address: int) -> None:
        function = firmware.function_at(address)
        truth.total += 1
        truth.by_function[function.name if function else "(no symbol)"] += 1

    with pipe.open("rb") as lines:
        for line in lines:
            state.append(line)
            if line.startswith(b"PC="):
                pc, registers, state = int(line[3:], 16), [], [line]
            elif line.startswith(b"        EPC1="):
                found = _EPC.search(line)
                epc = int(found[1], 16) if found else 0
            elif line.startswith(b" WINDOWSTART="):
                found = _PS.search(line)
                ps = int(found[1], 16) if found else 0
            elif line.startswith(b" A"):
                registers += [int(value, 16) for value in _REGISTERS.findall(line)]
                if len(registers) < 16:
                    continue
                if state == last_state:  # every 65535 instructions QEMU looks at its clock, and then logs again
                    continue
                last_state = state.copy()
                offset = pc - vectors
                at_vector = 0 <= offset < _VECTOR_BYTES and offset % _VECTOR_ALIGNMENT == 0
                if at_vector and ps & _EXCM and epc == previous:
                    truth.exceptions += 1
                elif previous is not None:
                    retire(previous)
                previous = pc
                if not ps & _EXCM:
                    truth.lowest_sp = min(truth.lowest_sp, registers[1])
                stored = _store_address(firmware.bytes_at(pc, 3), registers)
                if stored is not None and stored in firmware.stack_region and stored < firmware.initial_sp:
                    truth.lowest_store = min(truth.lowest_store, stored)
    if previous is not None:
        retire(previous)


def _store_address(code: bytes, registers: list[int]) -> int | None:
    """Return where the instruction stores to, by the formats of the Instruction Set Architecture; None for others."""
    if len(code) < 3:  # the last one in its section, which is none of those
        return None
    t, kind, s, r, last = code[0] >> 4, code[0] & 15, code[1] & 15, code[1] >> 4, code[2]
    base = registers[s]
    if kind == 9:  # S32I.N
        return base + 4 * r
    if kind == 2 and r in (4, 5, 6):  # S8I, S16I, S32I
        return base + (last << (r - 4))
    if kind == 3 and r in (4, 12):  # SSI; SSIP stores before it adds
        return base + 4 * last * (r == 4)
    if kind == 0 and last == 0x49:  # S32E
        return base + 4 * r - 64
    if kind == 0 and last & 15 == 8 and last >> 4 in (4, 5):  # SSX, SSXP
        return base + registers[t] * (last >> 4 == 4)
    return None
