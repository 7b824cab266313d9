"""Say in words what an access that the board's memory does not allow means to a firmware author."""

from typing import Literal

from emu.architectures import architecture_of
from emu.filler import PAINT, is_never_set
from emu.targets import Board

Access = Literal["read", "write", "fetch"]

NULL_PAGE = 0x1000
"""Addresses below this one are taken for null pointers."""
NULL_POINTER = "a null pointer"


def describe_access(board: Board, access: Access, address: int, size: int) -> tuple[str, str]:
    """Return the fault's kind and a sentence about an access of ``size`` bytes; a fetch ignores ``size``."""
    region = board.region_at(address)
    if access == "fetch":
        if region is not None:
            return "fetch_from_no_execute", f"jump to {address:#010x}: {region.name} holds no instructions"
        return "unmapped_fetch", f"jump to {address:#010x}: {_why_no_code(board, address)}"
    what = f"{access} of {size} byte{'s' * (size != 1)} at {address:#010x}"
    if region is not None and access == "write":
        return "write_to_read_only", f"{what}: {region.name} cannot be written"
    return f"unmapped_{access}", f"{what}: {_why_no_data(board, address)}"


def _why_no_code(board: Board, address: int) -> str:
    if address < NULL_PAGE:
        return NULL_POINTER
    meaning = architecture_of(board).explain_jump(address)
    if meaning is not None:
        return meaning
    peripheral = board.peripheral_at(address)
    return _nothing(board, address) if peripheral is None else f"{peripheral.name} holds no instructions"


def _why_no_data(board: Board, address: int) -> str:
    if address < NULL_PAGE:
        return NULL_POINTER
    peripheral = board.peripheral_at(address)
    if peripheral is None:
        return _nothing(board, address)
    return f"{peripheral.name} is not modelled; add `stub = true` to it in the board file of {board.name}"


def _nothing(board: Board, address: int) -> str:
    if is_never_set(address):
        return f"the address is a value that was never set ({PAINT:#x} fills the RAM of {board.name} before the start)"
    note = architecture_of(board).explain_hole(address)
    return f"no memory there on {board.name}" + ("" if note is None else f" ({note})")
