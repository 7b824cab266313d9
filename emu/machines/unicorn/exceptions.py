"""Faults and waits that the core's exceptions can end: the firmware's own handlers take them."""

from dataclasses import dataclass

from emu.architectures.armv7em.exception_model import (
    BUS_FAULT,
    CFSR_OF_MEM_MANAGE,
    HARD_FAULT,
    HFSR_DEBUGEVT,
    MEM_MANAGE,
    USAGE_FAULT,
    Cfsr,
    exception_name,
)
from emu.machines.idling import waits_in
from emu.machines.unicorn.faults import BREAKPOINT, UNDEFINED_COPROCESSOR, explain_stop, make_fault
from emu.machines.unicorn.run import DATA_ACCESSES, Run
from emu.native.unicorn.exceptions import Taken
from emu.record import Fault

WFE = "WFE"

_NEVER_EXECUTE = (range(0x4000_0000, 0x6000_0000), range(0xA000_0000, 1 << 32))
"""Addresses that the system address map never lets the core execute (B3.1)."""


@dataclass(frozen=True)
class _Cause:
    """The exception of a fault, and what its status registers say."""

    number: int
    cfsr: int = 0
    hfsr: int = 0
    address: int | None = None


def take_fault(run: Run, pc: int) -> Fault | None:
    """Let the firmware's handler take the fault that stopped the engine at ``pc``; return the fault if none takes it.

    A handler that is an endless loop takes none: the fault itself says more.
    """
    cause = _cause(run, pc)
    if cause is None:
        return explain_stop(run, pc)
    fault = explain_stop(run, pc)
    run.hooks.cut_block(pc)
    taken = run.hooks.exceptions.take(cause.number, pc, cause.cfsr, cause.hfsr)
    if taken == Taken.LOCKS_UP:
        return fault.model_copy(update={"detail": f"{fault.detail}; the core locks up: it is in a fault's handler"})
    if taken == Taken.NO_HANDLER:
        return fault
    if cause.address is not None:
        run.hooks.exceptions.set_bus_fault_address(cause.address)
    return None


def no_handler(run: Run, pc: int) -> Fault:
    """Return the fault of an interrupt before the instruction at ``pc``, for which the firmware has no handler."""
    number, vector = run.hooks.exceptions.refused
    name = exception_name(number)
    return make_fault(run, "exception", pc, f"{name} has no handler: its vector holds {vector:#010x}, which is no code")


def waits_forever(run: Run, pc: int, hint: str) -> Fault:
    """Return the fault of a WFI or WFE that nothing ends; ``pc`` is after the instruction."""
    return make_fault(run, "wait_for_interrupt", pc - 2, waits_in(hint))


def _cause(run: Run, pc: int) -> _Cause | None:
    exception, access = run.hooks.exception, run.hooks.access
    unprivileged = run.hooks.exceptions.unprivileged_access
    if unprivileged is not None:
        return _Cause(BUS_FAULT, Cfsr.PRECISERR | Cfsr.BFARVALID, address=unprivileged)
    trap = run.hooks.exceptions.trap
    if trap is not None:
        return _Cause(MEM_MANAGE if trap[0] & CFSR_OF_MEM_MANAGE else USAGE_FAULT, trap[0])
    if run.hooks.peripherals.refused is not None:
        return _Cause(BUS_FAULT, Cfsr.PRECISERR | Cfsr.BFARVALID, address=run.hooks.peripherals.refused[1])
    if access is not None and access[0] in DATA_ACCESSES:
        return _Cause(BUS_FAULT, Cfsr.PRECISERR | Cfsr.BFARVALID, address=access[1])
    if not run.in_thumb_state:
        return _Cause(USAGE_FAULT, Cfsr.INVSTATE)
    if run.fetch_failed:
        never = any(pc in addresses for addresses in _NEVER_EXECUTE)
        return _Cause(MEM_MANAGE, Cfsr.IACCVIOL) if never else _Cause(BUS_FAULT, Cfsr.IBUSERR)
    if exception == BREAKPOINT:
        return _Cause(HARD_FAULT, hfsr=HFSR_DEBUGEVT)
    if exception == UNDEFINED_COPROCESSOR:
        return _Cause(USAGE_FAULT, Cfsr.NOCP)
    return _Cause(USAGE_FAULT, Cfsr.UNDEFINSTR) if exception is None else None
