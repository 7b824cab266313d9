"""Trace one input through the firmware, tensor by tensor."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emu.build import BuildOptions, build_firmware
from emu.errors import InputError
from emu.firmware import Firmware
from emu.inputs import EvaluationInputs
from emu.instruments import Instruments, Limits
from emu.machines import Stop
from emu.machines.shared import Shared
from emu.mailbox import Mailbox
from emu.model.image import read_image_info
from emu.model.sources import Model
from emu.model.tracing import compare_layers, reference_tensors, split_trace
from emu.record import LayerError
from emu.run.driving import find_mailbox, require_width
from emu.run.emulators import open_machine
from emu.targets import Target

if TYPE_CHECKING:
    from emu.live.source import LiveModel


def trace_layers(
    model: "Model | LiveModel",
    target: Target,
    inputs: EvaluationInputs,
    index: int,
    limits: Limits,
    shared: Shared | None = None,
) -> list[LayerError]:
    """Run one input through firmware that exposes its intermediate tensors; compare them with the model's.

    The model's tensors are the module's own if the inputs have them, else those of the checkpoint, as emu reads it.

    Raises InputError if there are no such tensors of the input, or if the firmware stops before the end of the input.
    """
    x, reference = inputs.x[index], _reference(model, inputs, index)
    info = read_image_info(model.image)
    firmware = Firmware.load(build_firmware(model.image, target.board, BuildOptions(1, trace=True)), target)
    address = find_mailbox(firmware, None)
    assert address is not None, "our own firmware has a mailbox"
    with open_machine(firmware, target, Instruments(limits=limits), shared) as machine:
        stop = machine.boot()
        if stop.reason != "yield":
            raise InputError(f"the firmware stopped before its first step: {_why(stop)}")
        mailbox = Mailbox.open(machine, address, firmware.ram)
        require_width(x, mailbox.columns)
        steps, outputs = [], []
        for index, row in enumerate(x):
            finish = info.each_step or index == len(x) - 1
            reply, trace = mailbox.step(row, index == 0, finish)
            if not reply.ok:
                why = f"status {reply.status}" if reply.stop.reason == "yield" else _why(reply.stop)
                raise InputError(f"the firmware stopped at step {index}: {why}")
            steps.append(trace)
            if finish:
                outputs.append(mailbox.read_outputs())
        traced = split_trace(np.stack(steps), info)
        traced["logits"] = np.stack(outputs)
    return compare_layers(traced, reference)


def _reference(model: "Model | LiveModel", inputs: EvaluationInputs, index: int) -> Mapping[str, NDArray[np.floating]]:
    """Return the model's tensors (T, width) of one input, by name."""
    if model.checkpoint is not None:
        return reference_tensors(model.checkpoint, inputs.x[index])
    assert inputs.tensors is not None, "what cannot be traced was refused"
    tensors: dict[str, NDArray[np.floating]] = {name: tensor[index] for name, tensor in inputs.tensors.items()}
    if inputs.logits64 is not None:
        tensors["logits"] = np.atleast_2d(inputs.logits64[index])
    return tensors


def require_reference(model: "Model | LiveModel", inputs: EvaluationInputs, index: int) -> None:
    """Raise InputError if the engine's tensors of an input can be compared with nothing."""
    if index >= len(inputs):
        raise InputError(f"--trace-input {index}: there are {len(inputs)} inputs")
    if model.checkpoint is not None:
        return
    if inputs.tensors is None:
        raise InputError(
            f"{model.path}: an image has no PyTorch side to compare with; give the checkpoint instead, or the "
            "inputs.npz that `emu export my_model.py:build` writes"
        )
    kept = len(next(iter(inputs.tensors.values())))
    if index >= kept:
        raise InputError(f"--trace-input {index}: the module's own tensors are kept for the first {kept} inputs")


def _why(stop: Stop) -> str:
    return stop.fault.detail if stop.fault is not None else f"it ended with exit status {stop.exit_status}"
