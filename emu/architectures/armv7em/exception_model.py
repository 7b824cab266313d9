"""Numbers, names and status bits of exceptions (Armv7-M Architecture Reference Manual, B1.5.2, B3.2.15 and B3.2.16)."""

from enum import IntFlag

NMI, HARD_FAULT, MEM_MANAGE, BUS_FAULT, USAGE_FAULT = range(2, 7)
SUPERVISOR_CALL, DEBUG_MONITOR, PEND_SV, SYS_TICK, FIRST_INTERRUPT = 11, 12, 14, 15, 16
RESERVED = (7, 8, 9, 10, 13)

_NAMES = {
    NMI: "NMI",
    HARD_FAULT: "HardFault",
    MEM_MANAGE: "MemManage",
    BUS_FAULT: "BusFault",
    USAGE_FAULT: "UsageFault",
    SUPERVISOR_CALL: "SVC",
    DEBUG_MONITOR: "DebugMonitor",
    PEND_SV: "PendSV",
    SYS_TICK: "SysTick",
}


class Cfsr(IntFlag):
    """Bits of the Configurable Fault Status Register."""

    IACCVIOL, DACCVIOL, MSTKERR, MLSPERR, MMARVALID = 1 << 0, 1 << 1, 1 << 4, 1 << 5, 1 << 7
    IBUSERR, PRECISERR, STKERR, LSPERR, BFARVALID = 1 << 8, 1 << 9, 1 << 12, 1 << 13, 1 << 15
    UNDEFINSTR, INVSTATE, INVPC, NOCP = 1 << 16, 1 << 17, 1 << 18, 1 << 19
    UNALIGNED, DIVBYZERO = 1 << 24, 1 << 25


CFSR_OF_MEM_MANAGE = 0xFF
"""The bits of CFSR that say why the core took MemManage."""
HFSR_DEBUGEVT = 1 << 31
"""The bit of the HardFault Status Register that says that the fault is a breakpoint."""


def exception_name(number: int) -> str:
    """Return Arm's name of an exception, or the number of an interrupt."""
    return _NAMES.get(number, f"interrupt {number - FIRST_INTERRUPT}")
