"""Run firmware from reset on, put each input through the mailbox, and collect the answers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emu.errors import InputError
from emu.firmware import Firmware
from emu.machines import LostError, Machine, Measurements, Stop
from emu.mailbox import SYMBOL, Mailbox
from emu.record import Fault

if TYPE_CHECKING:  # firmware without inputs needs no numpy
    import numpy as np
    from numpy.typing import NDArray

    from emu.inputs import EvaluationInputs

Progress = Callable[[int, int], None]
"""Called with the number of inputs done and the number of all inputs."""


@dataclass
class Served:
    """The firmware's answers to the inputs."""

    outputs: NDArray[np.float32] | None = None
    """(N, C). From the first input without an answer on, all values are NaN."""
    instructions: list[int | None] = field(default_factory=list)
    """The instructions of each input that was answered."""
    faults: list[Fault] = field(default_factory=list)

    def is_as(self, other: Served) -> bool:
        """Return whether answers (to the bit), instructions and faults are equal."""
        answers = [b"" if one.outputs is None else one.outputs.tobytes() for one in (self, other)]
        return answers[0] == answers[1] and self.instructions == other.instructions and self.faults == other.faults


def drive(
    machine: Machine,
    firmware: Firmware,
    mailbox_address: int | None,
    inputs: EvaluationInputs | None,
    progress: Progress,
) -> tuple[Served, Measurements]:
    """Run the firmware from reset on, with every input. Return the answers and the measurements.

    If the emulator is lost, the answers before that stay.
    """
    with machine:
        stop = machine.boot()
        served = Served()
        if stop.reason == "yield" and mailbox_address is not None:
            with contextlib.suppress(LostError):  # a fault among the measurements
                mailbox = Mailbox.open(machine, mailbox_address, firmware.ram)
                _serve(served, mailbox, inputs, firmware, progress)
        elif stop.reason == "exit" and stop.exit_status:
            served.faults.append(_exit_fault(stop))
        return served, machine.measure()


def _serve(
    served: Served, mailbox: Mailbox, inputs: EvaluationInputs | None, firmware: Firmware, progress: Progress
) -> None:
    """Put each input through the mailbox, and add the answers to ``served``."""
    if mailbox.status != 0:
        served.faults.append(_refusal(firmware, f"the firmware refused to start: status {mailbox.status}"))
        return
    if inputs is None:
        return
    require_width(inputs.x, mailbox.columns)
    require_reference_width(inputs, mailbox.outputs)
    import numpy as np

    served.outputs = outputs = np.full((len(inputs), mailbox.outputs), np.nan, np.float32)
    for index, x in enumerate(inputs.x):
        progress(index, len(inputs))
        reply, answer = mailbox.infer(x)
        if not reply.ok:
            if reply.stop.reason == "yield":
                served.faults.append(_refusal(firmware, f"input {index}: the firmware answered status {reply.status}"))
            elif reply.stop.reason == "exit":
                served.faults.append(_refusal(firmware, f"input {index}: the firmware ended instead of answering"))
            break
        outputs[index] = answer
        served.instructions.append(reply.instructions)
    progress(len(inputs), len(inputs))


def find_mailbox(firmware: Firmware, inputs: EvaluationInputs | None) -> int | None:
    """Return the address of the firmware's mailbox, or None. Raises InputError if inputs need a missing mailbox."""
    symbol = firmware.symbol(SYMBOL)
    if symbol is None and inputs is not None:
        raise InputError(
            f"{firmware.path} has no mailbox (symbol {SYMBOL}), so it can take no inputs; "
            "run it without --inputs, or add runtime/port/mailbox.h to it"
        )
    return None if symbol is None else symbol.address


def require_width(x: NDArray[np.float32], columns: int) -> None:
    """Raise InputError if the width F of x (..., F) is not the firmware's ``columns``."""
    if x.shape[-1] != columns:
        raise InputError(f"the inputs have {x.shape[-1]} features a row; the firmware takes {columns}")


def require_reference_width(inputs: EvaluationInputs, outputs: int) -> None:
    """Raise InputError if the number of columns of PyTorch's answers is not the firmware's ``outputs``."""
    reference = inputs.logits64 if inputs.logits64 is not None else inputs.logits32
    if reference is not None and reference.shape[1] != outputs:
        raise InputError(
            f"the reference logits have {reference.shape[1]} columns; the firmware gives {outputs} outputs"
        )


def _refusal(firmware: Firmware, detail: str) -> Fault:
    entry = firmware.entry_of("emu_yield")
    place = firmware.locate(entry) if entry is not None else None
    return Fault(kind="firmware_error", detail=detail, pc=entry, **(place.model_dump() if place else {}))


def _exit_fault(stop: Stop) -> Fault:
    return Fault(kind="firmware_error", detail=f"the firmware ended with exit status {stop.exit_status}")
