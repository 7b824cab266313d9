"""Describe instructions for the hook on every instruction, block by block, when a block first runs.

The structures mirror ``instructions.h`` field by field, and ``instructions.h`` describes the fields.
"""

from collections.abc import Callable, Iterable
from ctypes import POINTER, Structure, c_int32, c_uint8, c_uint32, c_uint64, c_void_p
from dataclasses import fields
from enum import IntEnum

import numpy as np

from emu.architectures.armv7em.dataflow import LR, PC, SP, Access, Instruction, Operation, decode
from emu.firmware import Firmware
from emu.targets import Region

WATCH_STACK_POINTER, WATCH_ALLOCATOR, WATCH_STOP, WATCH_PROGRAM, WATCH_STRING, WATCH_STACK_CHANGE = 1, 2, 4, 8, 16, 32
WATCH_COPY = 64
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


class ByteState(IntEnum):
    """Whether a byte may be accessed (``enum byte_state``)."""

    ACCESSIBLE = 0
    OUTSIDE = 1
    PADDING = 2
    READ_ONLY = 3
    NULL = 4
    BELOW_STACK = 5
    HEAP = 6
    FREED = 7


class FindingKind(IntEnum):
    """``enum finding_kind``."""

    UNINITIALISED_BRANCH = 0
    UNINITIALISED_ADDRESS = 1
    UNINITIALISED_OUTPUT = 2
    UNALIGNED = 3
    OVERLAP = 4
    ACCESS = 5


class NativeInstruction(Structure):
    """One instruction, with all the facts that the checker needs."""

    _fields_ = (
        ("reads", c_uint64),
        ("writes", c_uint64),
        ("chooses", c_uint64),
        ("immediate", c_uint32),
        ("condition", c_uint32),
        ("displacement", c_int32),
        ("sp_delta", c_int32),
        *(
            (name, c_uint8)
            for name in ("operation", "destination", "first", "second", "third", "first_half", "second_half")
        ),
        *(
            (name, c_uint8)
            for name in (
                "shift",
                "amount",
                "amount_register",
                "lsb",
                "width",
                "covered",
                "taken",
                "is_signed",
                "inverted",
            )
        ),
        *((name, c_uint8) for name in ("sets_flags", "jumps", "access", "size", "alignment")),
        *(
            (name, c_uint8)
            for name in ("base", "index", "index_shift", "elements", "count", "watch", "reserves", "string", "status")
        ),
        ("registers", c_uint8 * 32),
        ("origin", c_uint32),
        ("findings", c_uint32 * (FindingKind.ACCESS + len(ByteState))),
    )

    def take(self, instruction: Instruction) -> None:
        """Copy the fields of ``instruction``."""
        for name in _DESCRIBED:
            setattr(self, name, int(getattr(instruction, name)))
        for name in _SETS:
            setattr(self, name, sum(1 << number for number in getattr(instruction, name)))
        registers = instruction.registers
        self.registers[: len(registers)] = registers
        moves = instruction.operation == Operation.MOVE and not instruction.access
        self.count = instruction.block or len(registers) // (2 if moves else 1)


_SETS = ("reads", "writes", "chooses")
_NUMBERS = {field[0] for field in NativeInstruction._fields_} - {*_SETS, "registers"}
_DESCRIBED = tuple(field.name for field in fields(Instruction) if field.name in _NUMBERS)


class NativeTable(Structure):
    """All instructions that have run."""

    _fields_ = (
        ("instructions", POINTER(NativeInstruction)),
        ("count", c_uint32),
        ("capacity", c_uint32),
        ("unknown_address", c_uint32),
        ("unknown_size", c_uint32),
        ("number_at", POINTER(c_void_p)),
    )


class InstructionTable:
    """Fills the table of one run; ``regions`` are the regions that code may run from, in the hooks' order."""

    def __init__(self, table: NativeTable, firmware: Firmware, regions: Iterable[Region]):
        self._table, self._firmware, self._regions = table, firmware, tuple(regions)
        copy = firmware.entry_of("memcpy")
        self._copy = copy if copy != firmware.entry_of("memmove") else None
        """The first instruction of memcpy; None if memmove is the same code, as then nothing tells which was called."""
        self._numbers = [np.zeros(region.size // 2, np.uint32) for region in self._regions]  # C does not keep them
        addresses = [numbers.ctypes.data for numbers in self._numbers]
        table.number_at = (c_void_p * len(addresses))(*addresses)
        table.instructions, table.capacity = (NativeInstruction * _CAPACITY)(), _CAPACITY
        table.count = _INSIDE + 1

    def describe_code(self, read: Callable[[int, int], bytes], watch_at: Callable[[int], int]) -> None:
        """Describe the block at which the engine stopped; ``watch_at`` gives ``enum watch`` by address."""
        address = self._table.unknown_address
        code = read(address, self._table.unknown_size)
        numbers = next(
            numbers[(address - region.start) // 2 :]
            for region, numbers in zip(self._regions, self._numbers, strict=True)
            if address in region
        )
        for instruction in decode(code, address):
            offset = (instruction.address - address) // 2
            numbers[offset : offset + max(1, instruction.bytes // 2)] = _INSIDE
            numbers[offset] = self._add(instruction, watch_at(instruction.address))

    def _add(self, instruction: Instruction, watch: int) -> int:
        number = self._table.count
        if number == self._table.capacity:
            raise MemoryError("the firmware runs more instructions than there is room for")
        self._table.count += 1
        record = self._table.instructions[number]
        record.take(instruction)
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
