"""The slow truth: plain Python that looks at every instruction, and shares no code with what it checks."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from unicorn import UC_ARCH_ARM, UC_HOOK_CODE, UC_MODE_THUMB
from unicorn.arm_const import UC_ARM_REG_LR, UC_ARM_REG_PC, UC_ARM_REG_R0, UC_ARM_REG_SP, UC_CPU_ARM_CORTEX_M7
from unicorn.unicorn import Uc

MEMORY = {0: 64, 0x0800_0000: 2048, 0x2000_0000: 128, 0x2400_0000: 512, 0xE000_E000: 4}
"""Start and KB."""


@dataclass
class Truth:
    legs: list[int] = field(default_factory=list)
    """Instructions from stop to stop, the boot first."""
    by_function: Counter[str] = field(default_factory=Counter)
    by_address: Counter[int] = field(default_factory=Counter)
    by_path: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Of the functions that had called each other, outermost first."""
    stack_pointers: set[int] = field(default_factory=set)
    """Every value that SP had."""
    lowest_sp: int = 0xFFFF_FFFF
    stack_bytes: int = 0

    @property
    def total(self) -> int:
        return sum(self.legs)


@dataclass
class Calls:
    """Follows each instruction: calls by the instruction before, returns by address and SP, longjmp by its name."""

    symbols: dict[str, int]
    path: list[str] = field(default_factory=list)
    returns: list[tuple[int, int]] = field(default_factory=list)
    """Address and SP with which each function but the first goes back to its caller."""
    depths: dict[int, int] = field(default_factory=dict)
    """Of the callers of setjmp, by its buffer."""
    target: int | None = None
    before: bytes = b"\0\0"
    following: int = 0

    def step(self, address: int, code: bytes, name: str, sp: int, r0: int) -> None:
        first, last = (int.from_bytes(self.before[at : at + 2], "little") for at in (0, len(self.before) - 2))
        is_call = first & 0xFF87 == 0x4780 if len(self.before) == 2 else (first >> 11, last & 0xD000) == (0x1E, 0xD000)
        if is_call and address != self.following:
            self.returns.append((self.following, sp))
            self.path.append(name)
        elif (address, sp) in self.returns:
            while self.returns.pop() != (address, sp):
                self.path.pop()
            self.path.pop()
        elif self.target is not None and name != "longjmp":
            del self.returns[self.target :], self.path[self.target + 1 :]
            self.target = None
        if not self.path or self.path[-1] != name:
            self.path[-1:] = [name]
        if address == self.symbols.get("setjmp"):
            self.depths[r0] = len(self.returns) - 1
        if address == self.symbols.get("longjmp"):
            self.target = self.depths[r0]
        self.before, self.following = code, address + len(code)


def watch(
    elf_path: Path, name_of: Callable[[int], str], writes: Sequence[Sequence[tuple[int, bytes]]] | None = None
) -> Truth:
    """Run to ``_exit`` through every ``emu_yield``; ``name_of`` names the function at an address.

    ``writes`` are addresses and bytes to put there at each ``emu_yield``; the run ends when they are used up.
    """
    with elf_path.open("rb") as stream:
        elf = ELFFile(stream)
        table = elf.get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        symbols = {s.name: s["st_value"] & ~1 for s in table.iter_symbols()}
        segments = [(s["p_paddr"], s.data()) for s in elf.iter_segments("PT_LOAD") if s["p_filesz"]]
    engine = Uc(UC_ARCH_ARM, UC_MODE_THUMB)
    engine.ctl_set_cpu_model(UC_CPU_ARM_CORTEX_M7)
    for start, kilobytes in MEMORY.items():
        engine.mem_map(start, kilobytes * 1024)
    for address, data in segments:
        engine.mem_write(address, data)
    top, pc = (int.from_bytes(engine.mem_read(0x0800_0000 + 4 * i, 4), "little") for i in range(2))
    engine.reg_write(UC_ARM_REG_SP, top)

    truth = Truth()
    seen: list[int] = []
    calls = Calls(symbols)
    it_blocks: dict[int, list[int]] = {}
    credited: set[int] = set()  # instructions of IT blocks, counted with their IT whether they take effect or not
    end, pause = symbols.get("_exit"), symbols["emu_yield"]

    def halfword(address: int) -> int:
        return int.from_bytes(engine.mem_read(address, 2), "little")

    def it_block_at(address: int) -> list[int]:
        """Return the addresses of the instructions that the instruction at ``address`` makes conditional."""
        code = halfword(address)
        if code >> 8 != 0xBF or not code & 0xF:
            return []
        trailing_zeros = ((code & 0xF) & -(code & 0xF)).bit_length() - 1
        block = [address + 2]
        while len(block) < 4 - trailing_zeros:
            block.append(block[-1] + (4 if halfword(block[-1]) >> 11 >= 29 else 2))
        return block

    def on_instruction(engine: Uc, address: int, size: int, _data: object) -> None:
        sp = engine.reg_read(UC_ARM_REG_SP)
        truth.stack_pointers.add(sp)
        truth.lowest_sp = min(truth.lowest_sp, sp)
        calls.step(address, bytes(engine.mem_read(address, size)), name_of(address), sp, engine.reg_read(UC_ARM_REG_R0))
        if address in (end, pause):
            engine.emu_stop()
            return
        before = len(seen)
        if address not in credited:
            seen.append(address)
        if address not in it_blocks:
            it_blocks[address] = it_block_at(address)
            credited.update(it_blocks[address])
        seen.extend(it_blocks[address])
        truth.by_path[tuple(calls.path)] += len(seen) - before

    engine.hook_add(UC_HOOK_CODE, on_instruction)
    pending = list(writes) if writes is not None else None
    while True:
        seen.clear()
        engine.emu_start(pc | 1, 0xFFFF_FFF0)
        truth.legs.append(len(seen))
        truth.by_function.update(map(name_of, seen))
        truth.by_address.update(seen)
        pc = engine.reg_read(UC_ARM_REG_PC)
        if pc == end or pending == []:
            break
        for address, data in pending.pop(0) if pending else ():
            engine.mem_write(address, data)
        pc = engine.reg_read(UC_ARM_REG_LR)
    truth.stack_bytes = top - truth.lowest_sp
    return truth
