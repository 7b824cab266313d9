"""Faults: say in words why the engine stopped."""

from emu.architectures.access import describe_access
from emu.architectures.armv7em.exceptions import describe_arm_state
from emu.architectures.armv7em.thumb import WAITS, instruction_addresses
from emu.machines.unicorn.run import DATA_ACCESSES, Run
from emu.machines.unicorn.stacks import stack_peak
from emu.native.unicorn import Block
from emu.record import Fault

YIELD = "YIELD"
BREAKPOINT = 7
_SUPERVISOR_CALL, _EXCEPTION_RETURN = 2, 8
UNDEFINED_COPROCESSOR = 17
_NOT_EXECUTED, _MPU_REFUSES, _DIVIDED_BY_ZERO = 1 << 0, 0xFF, 1 << 25
"""Bits of CFSR (B3.2.15)."""
_HINTS = {**WAITS, 0xBF10: YIELD}


def explain_stop(run: Run, pc: int) -> Fault:
    """Return the fault that stopped the engine at ``pc``."""
    exception, access = run.hooks.exception, run.hooks.access
    refused = run.hooks.peripherals.refused
    if refused is not None:
        kind, detail = describe_access(run.firmware.board, *refused)
        return make_fault(run, kind, pc, detail, address=refused[1])
    unprivileged = run.hooks.exceptions.unprivileged_access
    if unprivileged is not None:
        detail = f"code without privilege accesses the core's register at {unprivileged:#010x}"
        return make_fault(run, "exception", pc, detail, address=unprivileged)
    trap = run.hooks.exceptions.trap
    if trap is not None and trap[0] == _DIVIDED_BY_ZERO:
        return make_fault(run, "exception", pc, "a division by zero, and the firmware traps it (CCR.DIV_0_TRP)")
    if trap is not None and trap[0] & _MPU_REFUSES:
        what = "code" if trap[0] & _NOT_EXECUTED else "an access"
        return make_fault(run, "exception", pc, f"the MPU forbids {what} at {trap[1]:#010x}", address=trap[1])
    if trap is not None:
        detail = f"an unaligned access at {trap[1]:#010x}, and the firmware traps it (CCR.UNALIGN_TRP)"
        return make_fault(run, "exception", pc, detail, address=trap[1])
    if access is not None and access[0] in DATA_ACCESSES:
        kind, detail = describe_access(run.firmware.board, DATA_ACCESSES[access[0]], *access[1:])
        return make_fault(run, kind, pc, detail, address=access[1])
    if run.fetch_failed and (run.in_thumb_state or not _executable(run, pc)):
        kind, detail = describe_access(run.firmware.board, "fetch", pc, 2)
        return make_fault(run, kind, _jump(run, run.hooks.current_block), detail, address=pc)
    if exception == BREAKPOINT:
        return make_fault(run, "breakpoint", pc, f"BKPT {run.peek(pc, 1)[0]:#04x}")
    if exception == _SUPERVISOR_CALL:
        _, vector = run.hooks.exceptions.refused
        return make_fault(
            run, "exception", pc - 2, f"SVC has no handler: its vector holds {vector:#010x}, which is no code"
        )
    if exception == _EXCEPTION_RETURN:
        return make_fault(run, "exception", pc, f"an exception return that the core does not allow: {pc | 1:#010x}")
    if exception == UNDEFINED_COPROCESSOR:
        return make_fault(run, "exception", pc, "the FPU is used before it is enabled (CPACR)")
    if exception is not None:
        return make_fault(run, "exception", pc, f"exception {exception} of the emulated core")
    if not run.in_thumb_state:
        detail = f"jump to {pc:#010x}: {describe_arm_state(pc)}"
        jumped = run.hooks.current_block if run.fetch_failed else run.hooks.previous_block
        return make_fault(run, "invalid_instruction", _jump(run, jumped), detail, address=pc)
    detail = f"the core does not know the instruction {int.from_bytes(run.peek(pc, 2), 'little'):#06x}"
    return make_fault(run, "invalid_instruction", pc, detail)


def stack_overflow(run: Run) -> Fault:
    """Return the fault of an SP below its stack."""
    stacks = run.stacks
    assert stacks is not None, "only a bare machine follows none"
    assert stacks.current is not None, "an overflow is noted only on a known stack"
    firmware, lowest, limit = run.firmware, stacks.state.peak.lowest, stacks.state.limit
    peak = stack_peak(stacks.state.peak, stacks.state.floor, stacks.current.top)
    backtrace = run.core.peak_backtrace(peak, stacks.current.top)
    pc = backtrace[0].pc
    whose = "the stack" if len(stacks.found.stacks) == 1 else stacks.current.name
    detail = f"SP goes to {lowest:#010x}, {limit - lowest} bytes below the limit {limit:#010x} of {whose}"
    return Fault(
        **firmware.locate(pc).model_dump(),
        kind="stack_overflow",
        address=lowest,
        pc=pc,
        detail=detail,
        backtrace=backtrace,
        task=run.task,
    )


def make_fault(run: Run, kind: str, pc: int, detail: str, address: int | None = None) -> Fault:
    """Return a fault of the instruction at ``pc``, with the current stack."""
    return Fault(
        **run.firmware.locate(pc).model_dump(),
        kind=kind,
        address=address,
        pc=pc,
        detail=detail,
        backtrace=run.backtrace(pc),
        task=run.task,
    )


def last_hint(run: Run) -> str | None:
    """Return the hint instruction (WFI, WFE, YIELD) that has just stopped Unicorn, or None."""
    block = run.hooks.current_block
    if block is None or run.pc != block.address + block.size or _was_stopped(run):
        return None
    return _HINTS.get(int.from_bytes(run.peek(run.pc - 2, 2), "little"))


def _was_stopped(run: Run) -> bool:
    """Return whether something else than a hint has stopped the engine."""
    return bool(run.hooks.access or run.hooks.exception or run.hooks.exceptions.trap)


def _jump(run: Run, block: Block | None) -> int:
    """Return the address of the instruction that ended ``block``."""
    if block is None:
        return run.pc
    return [*instruction_addresses(run.peek(block.address, block.size), block.address)][-1]


def _executable(run: Run, address: int) -> bool:
    region = run.firmware.board.region_at(address)
    return region is not None and region.executable
