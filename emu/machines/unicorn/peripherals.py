"""The board's peripherals in Unicorn: registers that keep their value, and registers that print."""

from collections.abc import Callable

from unicorn.unicorn import Uc

from emu.architectures.access import Access
from emu.targets import Board, Peripheral

PAGE = 4096
"""Bytes of a page, the smallest memory that Unicorn maps."""


class Peripherals:
    """The modelled peripherals of ``board`` at reset; ``output`` takes the bytes written to transmit registers.

    Unicorn maps whole pages, and peripherals share them. An access in such a page that belongs to no peripheral stops
    the engine before it retires, and is ``refused``.
    """

    def __init__(self, board: Board, output: Callable[[bytes], None]):
        self._modelled = [peripheral for peripheral in board.peripherals if peripheral.modelled]
        self._contents = {peripheral.start: bytearray(peripheral.size) for peripheral in self._modelled}
        self._output = output
        self.refused: tuple[Access, int, int] | None = None
        """Access, address and bytes of the access that stopped the engine."""

    def attach(self, engine: Uc) -> None:
        """Map the pages of all peripherals."""
        pages = {page for p in self._modelled for page in range(p.start & -PAGE, p.end, PAGE)}
        for page in sorted(pages):
            engine.mmio_map(page, PAGE, self._read, page, self._write, page)

    def _find(self, address: int, size: int) -> Peripheral | None:
        return next((p for p in self._modelled if address in p and address + size <= p.end), None)

    def _refuse(self, engine: Uc, access: Access, address: int, size: int) -> None:
        if self.refused is None:  # an unaligned access comes in pieces
            self.refused = (access, address, size)
        engine.emu_stop()

    def _read(self, engine: Uc, offset: int, size: int, page: int) -> int:
        address = page + offset
        peripheral = self._find(address, size)
        if peripheral is None:
            self._refuse(engine, "read", address, size)
            return 0
        register = address - peripheral.start
        if register in peripheral.reads:
            return peripheral.reads[register] & _mask(size)
        return int.from_bytes(self._contents[peripheral.start][register : register + size], "little")

    def _write(self, engine: Uc, offset: int, size: int, value: int, page: int) -> None:
        address = page + offset
        peripheral = self._find(address, size)
        if peripheral is None:
            self._refuse(engine, "write", address, size)
            return
        register = address - peripheral.start
        data = (value & _mask(size)).to_bytes(size, "little")
        self._contents[peripheral.start][register : register + size] = data
        if register == peripheral.output:
            self._output(data[:1])


def _mask(size: int) -> int:
    return (1 << 8 * size) - 1
