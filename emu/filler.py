"""The byte that fills RAM at reset. An address made of this byte is a value that the firmware never set."""

PAINT = 0xC5
"""RAM's contents after reset: not zero, as in real RAM, and a float (-6328.7) large enough to be noticed."""

_UPPER_HALF = int.from_bytes([PAINT, PAINT])


def is_never_set(address: int) -> bool:
    """Return whether a 32-bit address is a pointer of filler, a member after it, or a jump target without a low bit."""
    return address >> 16 == _UPPER_HALF
