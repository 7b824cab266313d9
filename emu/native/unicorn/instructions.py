"""The table of instructions for the hook on every instruction, as C has it.

The structures mirror ``instructions.h`` field by field, and ``instructions.h`` describes the fields.
"""

from ctypes import POINTER, Structure, c_int32, c_uint8, c_uint32, c_uint64, c_void_p
from enum import IntEnum

WATCH_STACK_POINTER, WATCH_ALLOCATOR, WATCH_STOP, WATCH_PROGRAM, WATCH_STRING, WATCH_STACK_CHANGE = 1, 2, 4, 8, 16, 32
WATCH_COPY = 64


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
