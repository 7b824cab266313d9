"""The firmware's output, kept up to a limit."""

KEPT_BYTES = 1024 * 1024


class Output:
    """Text that grows as the firmware runs; only the last ``KEPT_BYTES`` are kept."""

    def __init__(self) -> None:
        self._end = bytearray()
        self._written = 0

    def write(self, data: bytes) -> None:
        """Add ``data``."""
        self._written += len(data)
        self._end += data
        if len(self._end) > 2 * KEPT_BYTES:
            del self._end[:-KEPT_BYTES]

    @property
    def text(self) -> str:
        """The kept text, as UTF-8; other bytes become U+FFFD."""
        return self._end[-KEPT_BYTES:].decode(errors="replace")

    @property
    def cut_bytes(self) -> int:
        """Bytes that were printed before the kept ones."""
        return max(0, self._written - KEPT_BYTES)
