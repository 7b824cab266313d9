"""Describe instructions for the hook on every instruction, block by block, when a block first runs."""

from collections.abc import Callable, Iterable
from ctypes import addressof, c_uint32, c_void_p
from dataclasses import fields

from emu.architectures.armv7em.code_map import zeros
from emu.architectures.armv7em.dataflow import LR, PC, SP, Access, Instruction, Operation, decode
from emu.firmware import Firmware
from emu.native.unicorn.instructions import WATCH_COPY, WATCH_STRING, NativeInstruction, NativeTable
from emu.targets import Region

_CAPACITY = 1 << 18
_INSIDE = 1
"""The number for the second half of an instruction."""
_ASSEMBLY = (".s", ".sx", ".asm")
_FIRST_SAVED = 4
"""Calls do not keep the registers before this one (AAPCS)."""
_STRING_FUNCTIONS = {
    "strlen": 1, "strnlen": 2, "strcpy": 3, "stpcpy": 3, "strncpy": 4, "stpncpy": 4, "strcat": 5, "strncat": 6,
    "strcmp": 7, "strncmp": 8, "strchr": 9, "memchr": 10, "memcmp": 11, "strrchr": 1,
}  # fmt: skip
"""``enum string_function`` by name."""
_SETS = ("reads", "writes", "chooses")
_NUMBERS = {field[0] for field in NativeInstruction._fields_} - {*_SETS, "registers"}
_DESCRIBED = tuple(field.name for field in fields(Instruction) if field.name in _NUMBERS)


class InstructionTable:
    """Fills the table of one run; ``regions`` are the regions that code may run from, in the hooks' order."""

    def __init__(self, table: NativeTable, firmware: Firmware, regions: Iterable[Region]):
        self._table, self._firmware, self._regions = table, firmware, tuple(regions)
        copy = firmware.entry_of("memcpy")
        self._copy = copy if copy != firmware.entry_of("memmove") else None
        """The first instruction of memcpy; None if memmove is the same code, as then nothing tells which was called."""
        self._numbers = [zeros(c_uint32, region.size // 2) for region in self._regions]  # C does not keep them
        addresses = [addressof(numbers) for numbers in self._numbers]
        table.number_at = (c_void_p * len(addresses))(*addresses)
        table.instructions, table.capacity = (NativeInstruction * _CAPACITY)(), _CAPACITY
        table.count = _INSIDE + 1

    def describe_code(self, read: Callable[[int, int], bytes], watch_at: Callable[[int], int]) -> None:
        """Describe the block at which the engine stopped; ``watch_at`` gives ``enum watch`` by address."""
        address = self._table.unknown_address
        code = read(address, self._table.unknown_size)
        start, numbers = next(
            (region.start, numbers)
            for region, numbers in zip(self._regions, self._numbers, strict=True)
            if address in region
        )
        for instruction in decode(code, address):
            offset = (instruction.address - start) // 2
            for inside in range(offset + 1, min(offset + instruction.bytes // 2, len(numbers))):
                numbers[inside] = _INSIDE
            numbers[offset] = self._add(instruction, watch_at(instruction.address))

    def _add(self, instruction: Instruction, watch: int) -> int:
        number = self._table.count
        if number == self._table.capacity:
            raise MemoryError("the firmware runs more instructions than there is room for")
        self._table.count += 1
        record = self._table.instructions[number]
        describe(record, instruction)
        record.watch = watch
        record.reserves = self._reserved_by(instruction)
        function = self._firmware.function_at(instruction.address)
        if function is not None and function.symbol in _STRING_FUNCTIONS:
            record.string = _STRING_FUNCTIONS[function.symbol]
            record.watch |= WATCH_STRING if instruction.address == function.start else 0
        if instruction.address == self._copy:
            record.watch |= WATCH_COPY
        return number

    def _reserved_by(self, instruction: Instruction) -> int:
        """Return how many registers a push or pop moves only to move SP.

        A compiler that optimises for size makes room on the stack by pushing r0 to r3 together with the saved
        registers. Assembly that pushes r0 to r3 needs their values again.
        """
        registers = instruction.registers
        if instruction.base != SP or instruction.sp_delta == 0 or not {LR, PC} & set(registers):
            return 0
        file = self._firmware.locate(instruction.address).file
        if file is None or file.lower().endswith(_ASSEMBLY):
            return 0
        if instruction.access == Access.STORE and not self._firmware.describes_push(instruction.address):
            return 0  # a naked function is assembly, too
        return sum(register < _FIRST_SAVED for register in registers)


def describe(record: NativeInstruction, instruction: Instruction) -> None:
    """Copy the fields of ``instruction`` into ``record``."""
    for name in _DESCRIBED:
        setattr(record, name, int(getattr(instruction, name)))
    for name in _SETS:
        setattr(record, name, sum(1 << number for number in getattr(instruction, name)))
    registers = instruction.registers
    record.registers[: len(registers)] = registers
    moves = instruction.operation == Operation.MOVE and not instruction.access
    record.count = instruction.block or len(registers) // (2 if moves else 1)
