"""A module's own intermediate tensors, under the names that the engine's trace gives them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emu.live.capture import Call, Capture
from emu.live.origins import ROUNDED, difference
from emu.live.reading import Step
from emu.model.evaluation import mixer_tensors
from emu.model.ops import Array, Linear, Mixer
from emu.model.tracing import padded_like_the_image

_MOST_BYTES = 1 << 25
_PARTS = ("in_proj", "x_proj", "dt_proj", "out_proj")
_CLOSE = 10 * ROUNDED
"""A difference from emu's own reading up to which a tensor is taken to be the one that the engine's name means."""


def module_tensors(capture: Capture, steps: Sequence[Step], inputs: int) -> dict[str, NDArray[np.float32]]:
    """Return the module's own tensors (inputs, T, width) of the first inputs, as many as have room, by name.

    A tensor that the module shows nowhere is left out, for one because a block does not call its in_proj as a module.
    """
    tensors = dict(_tensors(capture, steps))
    of_one_input = sum(tensor[0].nbytes // 2 for tensor in tensors.values())
    count = max(1, min(inputs, _MOST_BYTES // max(of_one_input, 1)))
    return {name: tensor[:count].astype(np.float32) for name, tensor in tensors.items()}


def _tensors(capture: Capture, steps: Sequence[Step]) -> Iterator[tuple[str, Array]]:
    """Yield each tensor (B, T, width) with its name, in the engine's order."""
    first = steps[0]
    if isinstance(first.operation, Linear) and first.expected is not None:
        yield "linear_in", first.expected
    calls: dict[str, list[Call]] = {}
    for call in capture.calls:
        calls.setdefault(call.path, []).append(call)
    uses: dict[str, int] = {}
    mixers = [(step, after) for step, after in pairwise(steps) if isinstance(step.operation, Mixer)]
    for number, (step, after) in enumerate(mixers):
        assert isinstance(step.operation, Mixer)
        use = uses[step.path] = uses.get(step.path, -1) + 1
        read = mixer_tensors(step.operation, calls[step.path][use].inputs[0])
        for name, tensor in _inside({part: calls.get(f"{step.path}.{part}", ())[use : use + 1] for part in _PARTS}):
            if tensor.size == read[name].size and difference(tensor.reshape(read[name].shape), read[name]) <= _CLOSE:
                yield f"layers.{number}.{name}", _padded(name, tensor.reshape(read[name].shape), step.operation)
        if after.expected is not None:
            yield f"layers.{number}.output", after.expected


def _inside(calls: Mapping[str, Sequence[Call]]) -> Iterator[tuple[str, Array]]:
    """Yield the tensors that a block's submodules took and gave, by the engine's names."""
    for call in calls["in_proj"]:
        x, z = np.split(call.outputs[0], 2, axis=-1)
        yield from (("in_proj.x", x), ("in_proj.z", z))
    for call in calls["x_proj"]:
        yield from (("conv1d", call.inputs[0]), ("x_proj", call.outputs[0]))
    for call in calls["dt_proj"]:
        yield "dt", np.logaddexp(0.0, call.outputs[0])
    for call in calls["out_proj"]:
        yield "gated", call.inputs[0]


def _padded(name: str, tensor: Array, mixer: Mixer) -> Array:
    if name != "x_proj":
        return tensor
    return padded_like_the_image(tensor, mixer.dt_proj.weight.shape[1], mixer.a.shape[1])
