"""The firmware's first stack, measured by its lowest SP alone, for emulators that follow no other stack."""

from typing import Literal

from emu.firmware import Firmware
from emu.record import Frame, StackUse

NO_LIMIT = "the stack's limit is not known: SP starts inside a section, and no single variable there is the stack"


def main_stack_use(
    firmware: Firmware, pointer: Literal["MSP", "a1"], lowest: int, peak: int, backtrace: list[Frame]
) -> StackUse | None:
    """Return the use of the stack; None if SP may have been on another stack when it was ``lowest``.

    ``peak`` is in bytes, with the bytes below SP that belong to the stack. ``backtrace`` has the frames at the peak.
    """
    top, limit = firmware.initial_sp, firmware.stack_limit
    # SP below the limit is an overflow if the frames lead to the top; else SP is on another stack.
    doubtful = limit is None or (lowest < limit and firmware.is_static(lowest))
    if doubtful and sum(frame.frame_bytes or 0 for frame in backtrace) != peak:
        return None
    return StackUse(
        name=main_stack_name(firmware, pointer),
        pointer=pointer,
        top=top,
        limit_bytes=firmware.stack_limit_bytes,
        peak_bytes=peak,
        backtrace=backtrace,
    )


def main_stack_name(firmware: Firmware, pointer: Literal["MSP", "a1"]) -> str:
    """Return the name of the stack in records: its variable, or else the core's name for it."""
    array = firmware.stack_array(firmware.initial_sp)
    return f"main stack ({pointer})" if array is None else array.readable


def why_no_limit(firmware: Firmware) -> dict[str, str]:
    """Return the reason why the stack's limit is not known, by the figure's name; nothing if it is known."""
    return {} if firmware.stack_limit is not None else {"stack_limit_bytes": NO_LIMIT}


def main_stack_by_region(firmware: Firmware, stack: StackUse) -> dict[str, int]:
    """Return the peak by memory; nothing if the stack is in static RAM, which already counts the stack."""
    if firmware.is_static(stack.top - 1):
        return {}
    return {firmware.stack_region.name: stack.peak_bytes}
