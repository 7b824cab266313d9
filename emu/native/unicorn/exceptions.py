"""The core's exceptions in Unicorn: the native model of one run (``exceptions.h`` describes the fields)."""

import ctypes
from ctypes import byref, c_uint32, c_void_p, cast
from enum import IntEnum

from unicorn import UC_ERR_OK
from unicorn.unicorn_py3.unicorn import Uc, uclib

from emu.architectures.armv7em.interrupts import group_priority
from emu.firmware import Firmware
from emu.native.unicorn import ExceptionState, MemoryRange, Probe

SYSTEM_CONTROL_SPACE, _SIZE = 0xE000_E000, 4096
_CORES = {"cortex-m4": 0x410F_C241, "cortex-m7": 0x411F_C271}
"""CPUID of an STM32F4 (r0p1) and of an STM32H743 (r1p1)."""
UNALIGNED_TRAP, DIVISION_TRAP = 1 << 3, 1 << 4
TRAPS = UNALIGNED_TRAP | DIVISION_TRAP
"""Bits of CCR."""
MPU_TRAP = 1 << 0
"""The bit of MPU_CTRL that switches the MPU on."""
_STACK_ALIGNED = 1 << 9
_BRANCH_PREDICTION = 1 << 18


class Taken(IntEnum):
    """What has become of a synchronous exception (``enum take_result``)."""

    TAKEN = 0
    NO_HANDLER = 1
    LOCKS_UP = 2


class NativeExceptions:
    """The exceptions of one run, from reset on; attaching maps the core's registers if the board has them."""

    def __init__(self, library: ctypes.CDLL, engine: Uc, probe: Probe, firmware: Firmware):
        board, table = firmware.board, firmware.start.vector_table
        assert table is not None, "an Armv7-M starts by its vector table"
        self._library, self._engine, self._probe = library, engine, probe
        self._state = state = ExceptionState()
        state.cpuid = _CORES[board.cpu]
        state.vtor = table
        state.ccr = _STACK_ALIGNED | (_BRANCH_PREDICTION if board.cpu == "cortex-m7" else 0)
        ranges = [
            MemoryRange(region.start, region.end, region.writable, region.executable)
            for region in board.memory
            if region.kind == "memory"
        ]
        state.ranges, state.range_count = (MemoryRange * len(ranges))(*ranges), len(ranges)
        starts = sorted({function.start for function in firmware.functions})
        state.functions, state.function_count = (c_uint32 * len(starts))(*starts), len(starts)
        self._context = c_void_p()
        if uclib.uc_context_alloc(engine._uch, byref(self._context)) != UC_ERR_OK:
            raise MemoryError("Unicorn has no memory left")
        state.context, state.context_bytes = self._context, uclib.uc_context_size(engine._uch)
        probe.exceptions = ctypes.pointer(state)
        probe.event_at = (1 << 64) - 1
        if not library.find_core_state(byref(probe), engine._uch):
            raise AssertionError("emu/native/unicorn/core_state.c does not know this version of Unicorn")

    def map_registers(self) -> None:
        """Map the system control space."""
        read, write = (cast(function, c_void_p) for function in (self._library.scs_read, self._library.scs_write))
        probe = cast(byref(self._probe), c_void_p)
        error = uclib.uc_mmio_map(self._engine._uch, SYSTEM_CONTROL_SPACE, _SIZE, read, probe, write, probe)
        if error != UC_ERR_OK:
            raise MemoryError(f"Unicorn cannot map the system control space (error {error})")

    def take(self, number: int, pc: int, cfsr: int = 0, hfsr: int = 0) -> Taken:
        """Take a fault at ``pc``, which sets these bits of CFSR and HFSR."""
        return Taken(self._library.probe_take_exception(byref(self._probe), self._engine._uch, number, pc, cfsr, hfsr))

    def wait(self, *, for_event: bool) -> bool:
        """Let time go on to what ends WFI (or WFE); return False if nothing will."""
        return self._library.probe_wait(byref(self._probe), self._engine._uch, for_event)

    def set_bus_fault_address(self, address: int) -> None:
        """Set BFAR."""
        self._state.bfar = address

    def begin(self) -> None:
        """Forget what stopped the engine; it is about to run."""
        self._state.unprivileged_access = self._state.trap = 0

    @property
    def traps_wanted(self) -> int:
        """The traps of CCR, and the MPU, if their hooks are not there yet."""
        return (self._state.ccr & TRAPS | self._state.mpu_control & MPU_TRAP) & ~self._state.traps

    def note_traps(self) -> None:
        """Note that the hooks of the wanted traps are there."""
        self._state.traps |= self.traps_wanted

    @property
    def trap(self) -> tuple[int, int] | None:
        """The bit of CFSR of the trap that stopped the engine, and the address that was accessed; None without one."""
        return (self._state.trap, self._state.trap_address) if self._state.trap else None

    @property
    def refused(self) -> tuple[int, int]:
        """The number of the last exception that had no handler, and its vector."""
        return self._state.refused, self._state.refused_vector

    @property
    def unprivileged_access(self) -> int | None:
        """The address of the core's register that code without privilege has just accessed; None if there is none."""
        return self._state.unprivileged_access or None

    def priority(self, number: int) -> int:
        """Return the group priority of an exception."""
        return group_priority(number, self._state.priority[number], self._state.priority_group)

    def close(self) -> None:
        """Release what Unicorn allocated; calling it again does nothing."""
        if self._context:
            uclib.uc_context_free(self._context)
            self._context = c_void_p()
