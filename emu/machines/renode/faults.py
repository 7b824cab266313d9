"""Faults of a run in Renode, with their place in the firmware."""

from emu.architectures.access import describe_access
from emu.architectures.core import Core, StoppedCore
from emu.firmware import Firmware
from emu.machines.idling import IDLES, last_activity, waits_in
from emu.machines.renode.log import Abort, UnexpectedAccess
from emu.probes.overflow import find_overflow, overflow_fault
from emu.record import Fault

_BELOW_STACK = 4096
"""Bytes below the stack's memory; what writes there is taken for a stack that has grown too long."""
_MOST = 10
"""The most faults of accesses to nothing at one stop."""


def exception_fault(firmware: Firmware, core: Core, stopped: StoppedCore) -> Fault | None:
    """Return the fault that has led the core to a handler; None if the firmware handles the exception."""
    found = core.fault(stopped, at_handler=True) or core.handler_without_exception(stopped)
    if found is None:
        return None
    if found.registers is None:
        return Fault(kind=found.kind, detail=found.detail, pc=found.pc, address=found.address)
    overflow = find_overflow(firmware, core, found.kind, found.registers, stopped.read)
    if overflow is not None:
        return overflow_fault(firmware, core, overflow)
    pc = core.pc_of(found.registers)
    return Fault(
        **firmware.locate(pc).model_dump(),
        kind=found.kind,
        detail=found.detail,
        pc=pc,
        address=found.address,
        backtrace=core.backtrace(found.registers, stopped.read, firmware.initial_sp),
    )


def access_faults(firmware: Firmware, accesses: list[UnexpectedAccess], counted: int, log_tail: str) -> list[Fault]:
    """Return one fault for each different access to nothing, and at least one fault.

    Renode has counted ``counted`` accesses, and has gone on after each. ``accesses`` are the accesses in its log.
    """
    times = f"Renode counts {counted} such access{'es' * (counted != 1)} and lets the firmware go on"
    if not accesses:
        return [Fault(kind="unmapped_read", detail=f"{times}, but does not say where; its log ends with {log_tail}")]
    faults: dict[tuple[str, int, int], Fault] = {}
    for access in accesses:
        pc = firmware.architecture.code_address(access.pc)
        kind, what = _kind_of(firmware, access)
        place, detail = firmware.locate(pc).model_dump(), f"{what} ({times}: {access.line})"
        fault = Fault(**place, kind=kind, address=access.address, pc=pc, detail=detail)
        faults.setdefault((kind, pc, access.address), fault)
    return list(faults.values())[:_MOST]


def limit_fault(firmware: Firmware, core: Core, stopped: StoppedCore, kind: str, limit: str) -> Fault:
    """Return the fault of a run that reached its limit, with its place."""
    detail = f"the run has not ended after {limit}"
    pc, waits = stopped.register("pc"), core.waits(stopped)
    if kind == "time_limit" and waits is not None:
        kind, detail = "wait_for_interrupt", f"{waits[0]} waits, and {detail}"
    else:
        detail += last_activity(firmware.board, core, stopped, None, 0)
    backtrace = core.backtrace(core.registers(stopped), stopped.read, firmware.initial_sp)
    return Fault(**firmware.locate(pc).model_dump(), kind=kind, pc=pc, detail=detail, backtrace=backtrace)


def _kind_of(firmware: Firmware, access: UnexpectedAccess) -> tuple[str, str]:
    """Return the kind and the words of an access; a write just below the stack's memory is the stack's overflow."""
    kind, what = describe_access(firmware.board, access.access, access.address, access.size)
    floor = firmware.stack_region.start
    if kind == "unmapped_write" and firmware.stack_limit == floor and floor - _BELOW_STACK <= access.address < floor:
        return "stack_overflow", f"{what}, {floor - access.address} bytes below the limit {floor:#010x} of the stack"
    return kind, what


def idle_fault(firmware: Firmware, core: Core, stopped: StoppedCore, sleeps_at: bytes) -> Fault | None:
    """Return the fault of a core that nothing wakes; None if it neither waits nor stands at ``sleeps_at``."""
    pc, waits = stopped.register("pc"), core.waits(stopped)
    if sleeps_at and stopped.read(pc, len(sleeps_at)) == sleeps_at:
        detail = IDLES
    elif waits is not None:
        pc, detail = waits[1], waits_in(waits[0])
    else:
        return None
    backtrace = core.backtrace(core.registers(stopped), stopped.read, firmware.initial_sp)
    return Fault(
        **firmware.locate(pc).model_dump(), kind="wait_for_interrupt", pc=pc, detail=detail, backtrace=backtrace
    )


def lost_fault(firmware: Firmware, error: Exception, abort: Abort | None, log_tail: str) -> Fault:
    """Return the fault of a lost Renode; often its core has stopped for good."""
    if abort is None:
        return Fault(kind="emulator_lost", detail=f"Renode is lost: {error}; its log ends with {log_tail}")
    pc = abort.pc
    if pc is None or firmware.board.region_at(pc) is not None:
        return Fault(kind="exception", pc=pc, detail=f"Renode's core has stopped for good: {abort.why}")
    kind, detail = describe_access(firmware.board, "fetch", pc, 2)
    return Fault(kind=kind, address=pc, pc=pc, detail=f"{detail} (Renode: {abort.why})")


def changed_constant(firmware: Firmware, address: int) -> Fault:
    """Return the fault of a run that has changed constants: a board cannot write them, but Renode writes any memory."""
    _, detail = describe_access(firmware.board, "write", address, 1)
    told = f"{detail}; the run has changed it, and Renode does not tell which instruction did"
    return Fault(kind="write_to_read_only", address=address, detail=told)
