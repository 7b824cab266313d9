"""The memory checker's native half on one engine: the shadow of memory and registers, and what was found.

The structures mirror ``shadow.h`` field by field; their meaning is written there.
"""

import ctypes
from collections.abc import Callable, Iterable, Mapping
from ctypes import POINTER, Structure, c_int32, c_uint8, c_uint32, c_uint64, c_void_p
from dataclasses import fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from emu.dataflow import LR, PC, SP, Instruction, Operation, decode
from emu.firmware import Firmware
from emu.targets import Region

_REGISTERS = 51
_INSTRUCTIONS, _ORIGINS, _FINDINGS = 1 << 18, 1 << 16, 1024
WATCH_STACK_POINTER, WATCH_ALLOCATOR, WATCH_STOP, WATCH_PROGRAM, WATCH_STRING = 1, 2, 4, 8, 16
_ASSEMBLY = (".s", ".sx", ".asm")
_FIRST_SAVED = 4
"""Calls do not keep the registers before this one (AAPCS)."""
_INSIDE = 1
"""The number of what is no instruction but the second half of one."""


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
    ACCESS = 3
    UNALIGNED = 4


class NativeInstruction(Structure):
    """One instruction; everything that the checker needs to know of it."""

    _fields_ = (
        ("reads", c_uint64),
        ("writes", c_uint64),
        ("chooses", c_uint64),
        ("immediate", c_uint32),
        ("condition", c_uint32),
        ("displacement", c_int32),
        ("sp_delta", c_int32),
        *((name, c_uint8) for name in ("operation", "destination", "first", "second")),
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
            for name in ("base", "index", "index_shift", "count", "watch", "reserves", "string", "plain")
        ),
        ("registers", c_uint8 * 32),
        ("origin", c_uint32),
        ("findings", c_uint32 * len(FindingKind)),
    )

    def take(self, instruction: Instruction) -> None:
        """Take over what ``instruction`` says."""
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


class _Memory(Structure):
    _fields_ = (
        ("start", c_uint32),
        ("size", c_uint32),
        ("state", c_void_p),
        ("undefined", c_void_p),
        ("origin", c_void_p),
        ("block_size", c_void_p),
    )


class Origin(Structure):
    """Where an undefined value came from."""

    _fields_ = (("pc", c_uint32), ("address", c_uint32), ("sp", c_uint32))


class Finding(Structure):
    """What was found at one instruction, and the machine when it was."""

    _fields_ = (
        ("kind", c_uint32),
        ("pc", c_uint32),
        ("access", c_uint32),
        ("address", c_uint32),
        ("size", c_uint32),
        ("state", c_uint32),
        ("origin", c_uint32),
        ("registers", c_uint32 * 16),
        ("stack_bytes", c_uint32),
        ("times", c_uint64),
        ("stack", POINTER(c_uint8)),
    )


class _Shadow(Structure):
    _fields_ = (
        ("memory_count", c_uint64),
        ("memories", POINTER(_Memory)),
        ("recent", c_uint32),
        ("stack_bottom", c_uint32),
        ("stack_top", c_uint32),
        ("sp", c_uint32),
        ("sp_changed", c_uint32),
        ("choice", c_uint64),
        ("choice_undefined", c_uint32 * _REGISTERS),
        ("choice_end", c_uint32),
        ("choice_origin", c_uint32),
        ("in_program", c_uint32),
        ("unknown_address", c_uint32),
        ("unknown_size", c_uint32),
        ("instructions", POINTER(NativeInstruction)),
        ("instruction_count", c_uint32),
        ("instruction_capacity", c_uint32),
        ("instruction_at", POINTER(c_void_p)),
        ("undefined_registers", c_uint64),
        ("undefined", c_uint32 * _REGISTERS),
        ("register_origin", c_uint32 * _REGISTERS),
        ("origins", POINTER(Origin)),
        ("origin_count", c_uint32),
        ("origin_capacity", c_uint32),
        ("findings", POINTER(Finding)),
        ("finding_count", c_uint32),
        ("finding_capacity", c_uint32),
    )


class NativeShadow:
    """The shadow of one run, from reset on.

    ``states`` gives for each memory of the board whether its bytes may be accessed (``ByteState``), ``defined`` the
    addresses and sizes of the RAM that has values before the firmware starts, ``in_program`` whether there is no
    startup code that is free to write everywhere.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        firmware: Firmware,
        code_regions: Iterable[Region],
        states: Mapping[str, NDArray[np.uint8]],
        defined: Iterable[tuple[int, int]],
        *,
        in_program: bool,
    ):
        if library.shadow_size() != ctypes.sizeof(_Shadow) or (
            library.shadow_instruction_size() != ctypes.sizeof(NativeInstruction)
        ):
            raise AssertionError("emu/native/shadow.py does not mirror shadow.h")
        self._library, self._firmware = library, firmware
        self._shadow = _Shadow()
        self._regions = tuple(code_regions)
        self._memories = [(r, r.writable, states[r.name]) for r in firmware.board.memory if r.kind == "memory"]
        self._undefined: dict[str, NDArray[np.uint8]] = {}
        self._keep: list[NDArray[np.uint8] | NDArray[np.uint32]] = []  # the C side does not
        self._make_memories()
        for address, size in defined:
            self.define(address, size)
        self._make_tables()
        self._shadow.stack_bottom, self._shadow.stack_top = firmware.stack_limit, firmware.initial_sp
        self._shadow.sp = firmware.initial_sp
        self._shadow.in_program = in_program

    @property
    def address(self) -> int:
        """The address of the C structure."""
        return ctypes.addressof(self._shadow)

    # ---- code --------------------------------------------------------------------------------------------------------

    def describe_code(self, read: Callable[[int, int], bytes], watch_at: Callable[[int], int]) -> None:
        """Tell the C side what the instructions do at which it stopped; ``watch_at`` gives ``enum watch``."""
        address = self._shadow.unknown_address
        code = read(address, self._shadow.unknown_size)
        table = next(
            table[(address - region.start) // 2 :]
            for region, table in zip(self._regions, self._instruction_at, strict=True)
            if address in region
        )
        for instruction in decode(code, address):
            number = self._add(instruction, watch_at(instruction.address))
            offset = (instruction.address - address) // 2
            table[offset : offset + max(1, instruction.bytes // 2)] = _INSIDE
            table[offset] = number

    def _add(self, instruction: Instruction, watch: int) -> int:
        number = self._shadow.instruction_count
        if number == self._shadow.instruction_capacity:
            raise MemoryError("the firmware runs more instructions than the memory checker has room for")
        self._shadow.instruction_count += 1
        record = self._shadow.instructions[number]
        record.take(instruction)
        record.watch = watch
        record.reserves = self._reserved_by(instruction)
        function = self._firmware.function_at(instruction.address)
        if function is not None and function.name in _STRING_FUNCTIONS:
            record.string = _STRING_FUNCTIONS[function.name]
            record.watch |= WATCH_STRING if instruction.address == function.start else 0
        record.plain = not (instruction.access or instruction.sp_delta or record.watch)
        return number

    def _reserved_by(self, instruction: Instruction) -> int:
        """Return how many registers a push or pop moves only to move SP.

        A compiler that optimises for size makes room on the stack by pushing r0 to r3 along with what it saves; an
        assembly source that pushes them wants them back.
        """
        registers = instruction.registers
        if instruction.base != SP or instruction.sp_delta == 0 or not {LR, PC} & set(registers):
            return 0
        file = self._firmware.locate(instruction.address).file
        if file is None or file.lower().endswith(_ASSEMBLY):
            return 0
        return sum(register < _FIRST_SAVED for register in registers)

    # ---- memory ------------------------------------------------------------------------------------------------------

    def define(self, address: int, size: int) -> None:
        """Note that these bytes have values now, not from an instruction."""
        for region, _, _ in self._memories:
            if address in region and region.name in self._undefined:
                self._undefined[region.name][address - region.start :][:size] = 0

    def first_undefined(self, address: int, size: int) -> int | None:
        """Return the address of the first byte of these that has a bit without a value, or None."""
        for region, _, _ in self._memories:
            if address in region and region.name in self._undefined:
                undefined = np.flatnonzero(self._undefined[region.name][address - region.start :][:size])
                return address + int(undefined[0]) if undefined.size else None
        return None

    # ---- findings ----------------------------------------------------------------------------------------------------

    @property
    def findings(self) -> list[Finding]:
        """All findings of the run, oldest first."""
        return self._shadow.findings[: self._shadow.finding_count]

    @property
    def findings_cut(self) -> bool:
        """Whether there was no room for a further one."""
        return self._shadow.finding_count == self._shadow.finding_capacity

    def origin(self, number: int) -> Origin | None:
        """Return the origin with this number; None for 0."""
        return self._shadow.origins[number] if number else None

    def close(self) -> None:
        """Release what the C side allocated."""
        self._library.shadow_release(ctypes.byref(self._shadow))
        self._shadow.finding_count = 0

    # ---- making it ---------------------------------------------------------------------------------------------------

    def _make_memories(self) -> None:
        memories = []
        for region, writable, state in self._memories:
            arrays: list[NDArray[np.uint8] | NDArray[np.uint32]] = [state]
            if writable:
                self._undefined[region.name] = np.full(region.size, 0xFF, np.uint8)
                words = region.size // 4
                arrays += [self._undefined[region.name], np.zeros(words, np.uint32), np.zeros(words, np.uint32)]
            self._keep += arrays
            memories.append(_Memory(region.start, region.size, *(array.ctypes.data for array in arrays)))
        self._shadow.memories = (_Memory * len(memories))(*memories)
        self._shadow.memory_count = len(memories)

    def _make_tables(self) -> None:
        shadow = self._shadow
        self._instruction_at = [np.zeros(region.size // 2, np.uint32) for region in self._regions]
        tables = [table.ctypes.data for table in self._instruction_at]
        shadow.instruction_at = (c_void_p * len(tables))(*tables)
        shadow.instructions, shadow.instruction_capacity = (NativeInstruction * _INSTRUCTIONS)(), _INSTRUCTIONS
        shadow.instruction_count = _INSIDE + 1
        shadow.origins, shadow.origin_capacity, shadow.origin_count = (Origin * _ORIGINS)(), _ORIGINS, 1
        shadow.findings, shadow.finding_capacity = (Finding * _FINDINGS)(), _FINDINGS
