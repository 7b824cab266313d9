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
    """(N, C), or (N, T, C) for outputs at each step. From the first step without an answer on, all values are NaN."""
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
    each_step: bool,
    progress: Progress,
) -> tuple[Served, Measurements]:
    """Run the firmware from reset on, with every input. Return the answers and the measurements.

    With ``each_step`` the firmware is asked for outputs at each step. If the emulator is lost, the answers before that
    stay.
    """
    with machine:
        stop = machine.boot()
        served = Served()
        if stop.reason == "yield" and mailbox_address is not None:
            with contextlib.suppress(LostError):  # a fault among the measurements
                mailbox = Mailbox.open(machine, mailbox_address, firmware.ram)
                _serve(served, mailbox, inputs, each_step, firmware, progress)
        elif stop.reason == "exit" and stop.exit_status:
            served.faults.append(_exit_fault(stop))
        return served, machine.measure()


def _serve(
    served: Served,
    mailbox: Mailbox,
    inputs: EvaluationInputs | None,
    each_step: bool,
    firmware: Firmware,
    progress: Progress,
) -> None:
    """Put each input through the mailbox, and add the answers to ``served``."""
    if mailbox.status != 0:
        served.faults.append(_refusal(firmware, f"the firmware refused to start: status {mailbox.status}"))
        return
    if inputs is None:
        return
    require_width(inputs.x, mailbox.columns)
    require_reference_shape(inputs, mailbox.outputs, each_step)
    import numpy as np

    steps = (inputs.x.shape[1],) if each_step else ()
    served.outputs = outputs = np.full((len(inputs), *steps, mailbox.outputs), np.nan, np.float32)
    for index, x in enumerate(inputs.x):
        progress(index, len(inputs))
        reply, answer = mailbox.infer(x, each_step)
        outputs[index] = answer
        if not reply.ok:
            if reply.stop.reason == "yield":
                served.faults.append(_refusal(firmware, f"input {index}: the firmware answered status {reply.status}"))
            elif reply.stop.reason == "exit":
                served.faults.append(_refusal(firmware, f"input {index}: the firmware ended instead of answering"))
            break
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


def require_rows(x: NDArray[np.float32], columns: int, n_tokens: int) -> None:
    """Raise InputError if x (N, T, F) is not rows of ``columns``, or if the model has tokens and x holds others."""
    if not n_tokens:
        require_width(x, columns)
        return
    if x.shape[-1] != 1:
        raise InputError(f"the model takes tokens: x has shape {list(x.shape)}, expected int [N, T]")
    import numpy as np

    wrong = np.argwhere((x < 0) | (x >= n_tokens) | (x != np.floor(x)))
    if len(wrong):
        at = tuple(map(int, wrong[0]))
        raise InputError(f"x holds {x[at]:g} at {list(at[:2])}; the model's tokens are 0 to {n_tokens - 1}")


def require_reference_shape(inputs: EvaluationInputs, outputs: int, each_step: bool) -> None:
    """Raise InputError if PyTorch's answers are not ``outputs`` columns, at each step or of each input."""
    reference = inputs.reference
    if reference is None:
        if inputs.labels is not None and (inputs.labels.ndim == 2) != each_step:
            raise InputError(
                _other_shape("y", list(inputs.labels.shape), ["N", "T"] if each_step else ["N"], each_step)
            )
        return
    if (reference.ndim == 3) != each_step:
        expected = ["N", "T", "C"] if each_step else ["N", "C"]
        raise InputError(_other_shape("logits", list(reference.shape), expected, each_step))
    if reference.shape[-1] != outputs:
        raise InputError(
            f"the reference logits have {reference.shape[-1]} columns; the firmware gives {outputs} outputs"
        )


def _other_shape(name: str, found: list[int], expected: list[str], each_step: bool) -> str:
    gives = "outputs at each step" if each_step else "outputs of a whole sequence"
    remedy = f"--set pooling={'mean' if each_step else 'none'}"
    return (
        f"{name} has shape {found}; the model gives {gives}, so expected [{', '.join(expected)}]. "
        f"If the checkpoint's model gives the other, state it: {remedy}"
    )


def _refusal(firmware: Firmware, detail: str) -> Fault:
    entry = firmware.entry_of("emu_yield")
    place = firmware.locate(entry) if entry is not None else None
    return Fault(kind="firmware_error", detail=detail, pc=entry, **(place.model_dump() if place else {}))


def _exit_fault(stop: Stop) -> Fault:
    return Fault(kind="firmware_error", detail=f"the firmware ended with exit status {stop.exit_status}")
