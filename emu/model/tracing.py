"""The engine's intermediate tensors of one input, next to the model's tensors of those names in float64.

``runtime/src/trace.h`` lists the engine's tensors, in the order of this file.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from emu.model.checkpoint import Checkpoint
from emu.model.forward import forward
from emu.model.image import ImageInfo
from emu.record import LayerError

_BLOCK_TENSORS = ("in_proj.x", "in_proj.z", "conv1d", "x_proj", "dt", "gated", "output")

DIVERGED = 1e-4
"""Error relative to a tensor's largest value beyond which float32 roundings cannot explain it."""


def trace_widths(info: ImageInfo) -> list[int]:
    """Return the floats of each traced tensor: linear_in, then a block's tensors in the engine's order."""
    inner, x_proj = info.d_inner, info.dt_rank + 2 * info.d_state
    return [info.d_model, inner, inner, inner, x_proj, inner, inner, info.d_model]


def split_trace(trace: NDArray[np.float32], info: ImageInfo) -> dict[str, NDArray[np.float32]]:
    """Cut the trace of T steps (T, floats) into tensors (T, width) by name, without those that the export folded."""
    names = ["linear_in", *(f"layers.{block}.{name}" for block in range(info.n_blocks) for name in _BLOCK_TENSORS)]
    linear_in, *of_a_block = trace_widths(info)
    edges = np.cumsum([linear_in, *(of_a_block * info.n_blocks)])[:-1]
    tensors = dict(zip(names, np.split(trace, edges, axis=1), strict=True))
    if not info.has_linear_in:
        del tensors["linear_in"]
    if not info.has_last_out_proj:
        del tensors[names[-1]]
    return tensors


def reference_tensors(checkpoint: Checkpoint, x: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Return the tensors (T, width) of one input x (T, F) by name, and ``logits``, as emu reads the checkpoint.

    The logits are (1, C), or (T, C) without pooling.
    """
    tensors: dict[str, NDArray[np.float64]] = {}
    weights = {name: tensor.astype(np.float64) for name, tensor in checkpoint.weights.items()}
    config = checkpoint.config

    def keep(name: str, tensor: NDArray[np.float64]) -> None:
        padded = padded_like_the_image(tensor, config.dt_rank, config.d_state) if name.endswith("x_proj") else tensor
        tensors[name] = padded.reshape(-1, padded.shape[-1])

    forward(config, weights, x[np.newaxis], keep)
    return tensors


def compare_layers(
    traced: Mapping[str, NDArray[np.float32]], reference: Mapping[str, NDArray[np.floating]]
) -> list[LayerError]:
    """Compare the traced tensors of one input with those of the reference, in the order in which they are computed.

    Look at the first tensor that diverged: the tensors after it are computed from it. A tensor that the reference does
    not have is left out.
    """
    errors = []
    for name, tensor in traced.items():
        if name not in reference:
            continue
        expected = reference[name].astype(np.float64)
        largest = float(np.abs(expected).max())
        error = float(np.abs(tensor.astype(np.float64) - expected).max())
        error = error if np.isfinite(error) else np.inf
        errors.append(
            LayerError(tensor=name, max_abs_error=error, largest=largest, diverged=error > DIVERGED * largest)
        )
    return errors


def padded_like_the_image(x_proj: NDArray[np.float64], dt_rank: int, d_state: int) -> NDArray[np.float64]:
    """Pad the three parts of x_proj's output (B, T, R + 2N), each to a multiple of four columns."""
    parts = np.split(x_proj, [dt_rank, dt_rank + d_state], axis=-1)
    return np.concatenate([np.pad(part, ((0, 0), (0, 0), (0, -part.shape[-1] % 4))) for part in parts], axis=-1)
