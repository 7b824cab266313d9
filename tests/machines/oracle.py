"""The slow truth: plain Python that looks at every instruction, and shares no code with what it checks."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from unicorn import UC_ARCH_ARM, UC_HOOK_CODE, UC_MODE_THUMB
from unicorn.arm_const import (
    UC_ARM_REG_LR,
    UC_ARM_REG_PC,
    UC_ARM_REG_R0,
    UC_ARM_REG_R1,
    UC_ARM_REG_R2,
    UC_ARM_REG_SP,
    UC_CPU_ARM_CORTEX_M7,
)
from unicorn.unicorn import Uc

MEMORY = {0: 64, 0x0800_0000: 2048, 0x2000_0000: 128, 0x2400_0000: 512, 0xE000_E000: 4}
"""Start and KB."""
HEAP_NAMES = ("malloc", "calloc", "realloc", "memalign", "free", "sbrk")
ARGUMENTS = (UC_ARM_REG_R0, UC_ARM_REG_R1, UC_ARM_REG_R2)


@dataclass
class Truth:
    legs: list[int] = field(default_factory=list)
    """Instructions from stop to stop, the boot first."""
    by_function: Counter[str] = field(default_factory=Counter)
    by_address: Counter[int] = field(default_factory=Counter)
    by_path: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """The functions that had called each other, outermost first."""
    stack_pointers: set[int] = field(default_factory=set)
    """Every value that SP had."""
    lowest_sp: int = 0xFFFF_FFFF
    lowest_by_interval: dict[int, int] = field(default_factory=dict)
    """The lowest SP of each 1024 instructions."""
    heap: "Heap" = field(default_factory=lambda: Heap({}))
    stack_bytes: int = 0

    @property
    def total(self) -> int:
        return sum(self.legs)


@dataclass
class Heap:
    """Follows each instruction: the allocator's outermost calls by their entries, their returns by address and SP."""

    symbols: dict[str, int]
    live: dict[int, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    """Size and callers (outermost first) of each block."""
    at_peak: dict[int, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    peak: int = 0
    allocations: int = 0
    frees: int = 0
    failures: int = 0
    breaks: list[int] = field(default_factory=list)
    inside: tuple[str, list[int], int, int, tuple[str, ...]] | None = None
    """Function, arguments, return address, SP and callers of the call that has not returned."""
    in_break: tuple[int, int, int] | None = None

    def step(self, address: int, callers: Sequence[str], sp: int, lr: int, arguments: list[int]) -> None:
        if self.in_break is not None and (address, sp) == self.in_break[1:]:
            increment = (self.in_break[0] ^ 1 << 31) - (1 << 31)
            if arguments[0] != 0xFFFF_FFFF:
                self.breaks += [arguments[0], arguments[0] + increment]
            self.in_break = None
        if self.inside is not None and (address, sp) == self.inside[2:4]:
            self.returned(arguments[0])
        if address == self.symbols.get("_sbrk") and self.in_break is None:
            self.in_break = (arguments[0], lr & ~1, sp)
        for name in ("malloc", "calloc", "realloc", "memalign", "free"):
            for symbol, skipped in ((name, 0), (f"_{name}_r", 1)):
                if address == self.symbols.get(symbol) and self.inside is None:
                    self.inside = (name, arguments[skipped:], lr & ~1, sp, tuple(callers))

    def returned(self, result: int) -> None:
        assert self.inside is not None
        name, arguments, _, _, callers = self.inside
        self.inside = None
        sizes = {"malloc": arguments[0], "calloc": arguments[0] * arguments[1]}
        size = sizes.get(name, arguments[1])
        if name == "free" or (name == "realloc" and (result or not size)):
            self.frees += self.live.pop(arguments[0], None) is not None
        if name != "free" and result:
            self.allocations += 1
            self.live[result] = (size, callers)
            total = sum(size for size, _ in self.live.values())
            if total > self.peak:
                self.peak, self.at_peak = total, dict(self.live)
        elif name != "free" and size:
            self.failures += 1


def by_callers(blocks: dict[int, tuple[int, tuple[str, ...]]]) -> dict[tuple[str, ...], tuple[int, int]]:
    """Return bytes and number of ``blocks`` by their callers."""
    found: dict[tuple[str, ...], tuple[int, int]] = {}
    for size, callers in blocks.values():
        total, count = found.get(callers, (0, 0))
        found[callers] = total + size, count + 1
    return found


@dataclass
class Calls:
    """Follows each instruction: calls by the instruction before, returns by address and SP, longjmp by its name."""

    symbols: dict[str, int]
    path: list[str] = field(default_factory=list)
    returns: list[tuple[int, int]] = field(default_factory=list)
    """Address and SP with which each function but the first goes back to its caller."""
    depths: dict[int, int] = field(default_factory=dict)
    """The depth of each caller of setjmp, by the address of the buffer."""
    target: int | None = None
    jumped_from: str | None = None
    """The function that has just ended with a jump to another one (a tail call)."""
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
        self.jumped_from = None
        if not self.path or self.path[-1] != name:
            self.jumped_from = self.path[-1] if self.path else None
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

    truth = Truth(heap=Heap(symbols))
    heap_starts = {symbols[name] for name in symbols if name.strip("_").removesuffix("_r") in HEAP_NAMES}
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
        heap = truth.heap
        if address in heap_starts or heap.inside is not None or heap.in_break is not None:
            arguments = [engine.reg_read(register) for register in ARGUMENTS]
            callers = [*calls.path[:-1], *filter(None, [calls.jumped_from])]
            heap.step(address, callers, sp, engine.reg_read(UC_ARM_REG_LR), arguments)
        interval = (sum(truth.legs) + len(seen)) // 1024
        truth.lowest_by_interval[interval] = min(sp, truth.lowest_by_interval.get(interval, sp))
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
