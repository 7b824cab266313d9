"""The firmware's output, kept up to a limit."""

from emu.native import PrintedBytes

KEPT_BYTES = 1024 * 1024


class Output:
    """Text that grows as the firmware runs; only the last ``KEPT_BYTES`` are kept."""

    def __init__(self) -> None:
        self._end = bytearray()
        self._taken = 0
        self.written = 0
        """The number of bytes so far, the lost ones too."""

    def take(self, printed: PrintedBytes) -> None:
        """Add what peripherals have printed since the last call."""
        data = printed.since(self._taken)
        lost = printed.printed - self._taken - len(data)
        self._taken = printed.printed
        self.skip(lost)
        self.write(data)

    def skip(self, number: int) -> None:
        """Note that ``number`` bytes were printed and are lost."""
        self.written += number
        if number:
            self._end.clear()

    def write(self, data: bytes) -> None:
        """Add ``data``."""
        self.written += len(data)
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
        return self.written - len(self._end[-KEPT_BYTES:])
