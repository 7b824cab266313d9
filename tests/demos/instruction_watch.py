"""The slow truth about our own firmware: plain Python that looks at the stack pointer before every instruction.

It shares no code with the probes: its own memory map, its own reading of the ELF and of the mailbox.
"""

import struct
from pathlib import Path

import numpy as np
from elftools.elf.elffile import ELFFile
from unicorn import UC_ARCH_ARM, UC_HOOK_CODE, UC_MODE_THUMB
from unicorn.arm_const import UC_ARM_REG_LR, UC_ARM_REG_SP, UC_CPU_ARM_CORTEX_M7
from unicorn.unicorn import Uc


def stack_bytes(elf_path: Path, x: np.ndarray) -> int:
    """Return the stack that booting and one inference on x (T, F) reserve."""
    with elf_path.open("rb") as stream:
        elf = ELFFile(stream)
        symbols = {s.name: s["st_value"] for s in elf.get_section_by_name(".symtab").iter_symbols()}
        segments = [(s["p_paddr"], s.data()) for s in elf.iter_segments("PT_LOAD") if s["p_filesz"]]
    engine = Uc(UC_ARCH_ARM, UC_MODE_THUMB)
    engine.ctl_set_cpu_model(UC_CPU_ARM_CORTEX_M7)
    for start, kilobytes in {0x0800_0000: 2048, 0x2000_0000: 128, 0x2400_0000: 512, 0xE000_E000: 4}.items():
        engine.mem_map(start, kilobytes * 1024)
    for address, data in segments:
        engine.mem_write(address, data)
    top, pc = struct.unpack("<II", engine.mem_read(0x0800_0000, 8))
    engine.reg_write(UC_ARM_REG_SP, top)
    lowest = top

    def watch(engine: Uc, _address: int, _size: int, _: object) -> None:
        nonlocal lowest
        lowest = min(lowest, engine.reg_read(UC_ARM_REG_SP))

    engine.hook_add(UC_HOOK_CODE, watch)
    stop = symbols["emu_yield"] & ~1
    engine.emu_start(pc | 1, stop)
    mailbox = symbols["emu_mailbox"]
    (input_address,) = struct.unpack("<I", engine.mem_read(mailbox + 28, 4))
    engine.mem_write(input_address, np.ascontiguousarray(x, "<f4").tobytes())
    engine.mem_write(mailbox + 8, struct.pack("<II", 7, len(x)))
    engine.emu_start(engine.reg_read(UC_ARM_REG_LR) | 1, stop)
    return top - lowest
