"""The task that an RTOS runs, read from the RTOS's own variables as its debug information describes them."""

from dataclasses import dataclass

from emu.architectures.core import Memory
from emu.firmware import Firmware

_LONGEST_NAME = 64


@dataclass(frozen=True)
class _Kernel:
    """An RTOS: its variable for the running task, and where that leads to, through members and pointers."""

    variable: str
    stack: str
    """The lowest address of the task's stack."""
    name: str
    """The task's name."""


_KERNELS = (
    _Kernel("pxCurrentTCB", "pxStack", "pcTaskName"),  # FreeRTOS
    _Kernel("_tx_thread_current_ptr", "tx_thread_stack_start", "tx_thread_name"),  # ThreadX
    _Kernel("_kernel", "cpus.current.stack_info.start", "cpus.current.name"),  # Zephyr
)


@dataclass(frozen=True)
class Task:
    """The running task."""

    stack: int
    """The lowest address of its stack."""
    name: str


class Tasks:
    """The tasks of a firmware; none are known without an RTOS that emu knows, or without debug information."""

    def __init__(self, firmware: Firmware):
        self._firmware = firmware
        self._kernel = next((each for each in _KERNELS if firmware.symbol(each.variable) is not None), None)

    def running(self, read: Memory) -> Task | None:
        """Return the running task; None if there is none yet, or if its name cannot be read."""
        if self._kernel is None:
            return None
        stack = self._value(self._kernel.stack, read)
        name = self._value(self._kernel.name, read)
        if len(stack) < 4 or not name:
            return None
        text = name.split(b"\0")[0].decode(errors="replace")
        return Task(int.from_bytes(stack[:4], "little"), text) if text.isprintable() and text else None

    def _value(self, path: str, read: Memory) -> bytes:
        """Return the bytes of a number, or the text that a pointer or an array of characters holds."""
        assert self._kernel is not None, "a value belongs to a kernel's variable"
        symbol = self._firmware.symbol(self._kernel.variable)
        member = self._firmware.member(self._kernel.variable, tuple(path.split(".")))
        if symbol is None or member is None:
            return b""
        address = symbol.address
        for offset in member.offsets[:-1]:
            address = int.from_bytes(read(address + offset, 4), "little")
        address += member.offsets[-1]
        return read(address, member.size or _LONGEST_NAME)
