"""Trace one input through the firmware, tensor by tensor."""

import numpy as np
from numpy.typing import NDArray

from emu.build import BuildOptions, build_firmware
from emu.errors import InputError
from emu.firmware import Firmware
from emu.instruments import Instruments, Limits
from emu.machines import Stop
from emu.mailbox import Mailbox
from emu.model.checkpoint import Checkpoint
from emu.model.image import read_image_info
from emu.model.sources import Model
from emu.model.tracing import compare_layers, split_trace
from emu.record import LayerError
from emu.run.driving import find_mailbox, require_width
from emu.run.emulators import open_machine
from emu.targets import Target


def trace_layers(model: Model, target: Target, x: NDArray[np.float32], limits: Limits) -> list[LayerError]:
    """Run one input x (T, F) through firmware that exposes its intermediate tensors; compare them with PyTorch's.

    Raises InputError if the model is only an image, or if the firmware stops before the end of the input.
    """
    checkpoint = require_checkpoint(model)
    info = read_image_info(model.image)
    firmware = Firmware.load(build_firmware(model.image, target.board, BuildOptions(1, trace=True)), target)
    address = find_mailbox(firmware, None)
    assert address is not None, "our own firmware has a mailbox"
    with open_machine(firmware, target, Instruments(limits=limits)) as machine:
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
    return compare_layers(traced, checkpoint, x)


def _why(stop: Stop) -> str:
    return stop.fault.detail if stop.fault is not None else f"it ended with exit status {stop.exit_status}"


def require_checkpoint(model: Model) -> Checkpoint:
    """Return the model's trained weights. Raises InputError if the model is only an image."""
    if model.checkpoint is None:
        raise InputError(f"{model.path}: an image has no PyTorch side to compare with; give the checkpoint instead")
    return model.checkpoint
