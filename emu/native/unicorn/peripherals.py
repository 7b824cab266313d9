"""The board's peripherals in Unicorn: the registers of one run (``peripherals.c`` in ``common/`` says what they do)."""

import ctypes
from ctypes import byref, c_void_p, cast

from unicorn import UC_ERR_OK
from unicorn.unicorn_py3.unicorn import Uc, uclib

from emu.architectures.access import Access
from emu.native import Poll, PrintedBytes
from emu.native.unicorn import Page, Probe
from emu.peripherals import describe
from emu.targets import Board

PAGE = 4096
"""Bytes of a page, the smallest memory that Unicorn maps."""


class NativePeripherals:
    """The modelled peripherals of ``board`` at reset, mapped page by page."""

    def __init__(self, library: ctypes.CDLL, engine: Uc, probe: Probe, board: Board):
        self._library, self._probe = library, probe
        self.output = PrintedBytes()
        """What the peripherals have printed."""
        self.poll = Poll()
        """The last read of a register."""
        library.peripherals_start(byref(probe), engine._uch, byref(self.output), byref(self.poll))
        for line in describe(board.peripherals):
            if not library.peripherals_describe(byref(probe), line.encode()):
                raise MemoryError("no memory left for the peripherals")
        starts = {
            page for each in board.peripherals if each.modelled for page in range(each.start & -PAGE, each.end, PAGE)
        }
        address = cast(byref(probe), c_void_p)
        self._pages = [Page(address, start) for start in sorted(starts)]
        read, write = (cast(function, c_void_p) for function in (library.peripherals_read, library.peripherals_write))
        for page in self._pages:
            data = cast(byref(page), c_void_p)
            error = uclib.uc_mmio_map(engine._uch, page.start, PAGE, read, data, write, data)
            if error != UC_ERR_OK:
                raise MemoryError(f"Unicorn cannot map the peripherals at {page.start:#010x} (error {error})")

    def begin(self) -> None:
        """Forget the access that stopped the engine, which is about to run."""
        self._probe.refused_size = 0

    @property
    def refused(self) -> tuple[Access, int, int] | None:
        """Access, address and bytes of the access between peripherals that stopped the engine; None without one."""
        probe = self._probe
        if not probe.refused_size:
            return None
        return "write" if probe.refused_write else "read", probe.refused_address, probe.refused_size

    def close(self) -> None:
        """Release the registers; calling it again does nothing."""
        self._library.peripherals_release(byref(self._probe))
