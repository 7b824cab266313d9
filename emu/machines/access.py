"""What an access that the board's memory does not allow means, in words that a firmware author can act on."""

from typing import Literal

from emu.targets import Board

Access = Literal["read", "write", "fetch"]

_NULL_PAGE = 0x1000
_NULL_POINTER = "a null pointer"
_PERIPHERALS = range(0x4000_0000, 0x6000_0000)  # Armv7-M, B3.1: the system address map
_SYSTEM = range(0xE000_0000, 0xE010_0000)
_RETURN_VALUES = range(0xF000_0000, 0x1_0000_0000)


def describe_access(board: Board, access: Access, address: int, size: int) -> tuple[str, str]:
    """Return the fault's kind and a sentence about an access of ``size`` bytes (of a fetch: any) at ``address``."""
    region = board.region_at(address)
    if access == "fetch":
        if region is not None:
            return "fetch_from_no_execute", f"jump to {address:#010x}: {region.name} holds no instructions"
        return "unmapped_fetch", f"jump to {address:#010x}: {_why_nothing(board, address, fetch=True)}"
    what = f"{access} of {size} byte{'s' * (size != 1)} at {address:#010x}"
    if region is not None and access == "write":
        return "write_to_read_only", f"{what}: {region.name} cannot be written"
    return f"unmapped_{access}", f"{what}: {_why_nothing(board, address, fetch=False)}"


def describe_arm_state(address: int) -> str:
    """Return why a jump to ``address`` left Thumb state, in which alone the core can be."""
    if address < _NULL_PAGE:
        return _NULL_POINTER
    return "the address is without the Thumb bit, and the core has no Arm instructions"


def _why_nothing(board: Board, address: int, *, fetch: bool) -> str:
    if address < _NULL_PAGE:
        return _NULL_POINTER
    if fetch and address in _RETURN_VALUES and board.architecture == "armv7em":
        return "a return from the reset handler or from an exception, of which there is none"
    peripheral = board.peripheral_at(address)
    if peripheral is not None and fetch:
        return f"{peripheral.name} holds no instructions"
    if peripheral is not None:
        return f"{peripheral.name} is not modelled; add `stub = true` to it in the board file of {board.name}"
    nothing = f"no memory there on {board.name}"
    if board.architecture != "armv7em":
        return nothing
    if address in _PERIPHERALS:
        return f"{nothing} (and no peripheral that its board file knows)"
    if address in _SYSTEM:
        return f"{nothing} (the core's own peripherals are not emulated)"
    return nothing
