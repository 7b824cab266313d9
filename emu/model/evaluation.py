"""What a list of operations computes, in float64: what the engine would give if it did not round.

Dimensions, as in ``config.py``: B batch, T time, M d_model, D d_inner, N d_state, R dt_rank.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from emu.model.forward import POOLINGS, scan, silu
from emu.model.ops import Array, Fork, Linear, Mixer, Norm, Operation, Pool


def evaluate(operations: Sequence[Operation], x: Array, epsilon: float) -> Iterator[Array]:
    """Yield the result of each operation for x (B, T, width): (B, T, width), after the pooling (B, width).

    ``epsilon`` is that of the norms. Values that overflow become infinite or NaN.
    """
    hidden, kept = x, x
    for operation in operations:
        with np.errstate(all="ignore"):
            match operation:
                case Linear():
                    hidden = _linear(operation, hidden) + (kept if operation.adds else 0.0)
                case Norm():
                    hidden = _norm(operation, hidden, epsilon)
                case Mixer():
                    hidden = mixer_tensors(operation, hidden)["gated"]
                case Fork():
                    kept = hidden
                case Pool():
                    hidden = POOLINGS[operation.pooling](hidden)
        yield hidden


def _linear(linear: Linear, hidden: Array) -> Array:
    product = hidden @ linear.weight.T
    return product if linear.bias is None else product + linear.bias


def _norm(norm: Norm, hidden: Array, epsilon: float) -> Array:
    centred = hidden - hidden.mean(axis=-1, keepdims=True) if norm.kind == "layer" else hidden
    scaled = centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + epsilon) * norm.weight
    return scaled if norm.bias is None else scaled + norm.bias


def mixer_tensors(mixer: Mixer, hidden: Array) -> dict[str, Array]:
    """Return the tensors inside a mixer for hidden (B, T, width), by the engine's names; ``gated`` is the result."""
    steps = hidden.shape[1]
    taps = mixer.conv_weight.shape[1]
    ranks, states = mixer.dt_proj.weight.shape[1], mixer.a.shape[1]
    x, z = np.split(_linear(mixer.in_proj, hidden), 2, axis=-1)  # (B, T, D) each
    past = np.pad(x, ((0, 0), (taps - 1, 0), (0, 0)))
    convolved = np.sum([past[:, k : k + steps] * mixer.conv_weight[:, k] for k in range(taps)], axis=0)
    u = silu(convolved + mixer.conv_bias)  # (B, T, D)
    x_dbl = u @ mixer.x_proj.T  # (B, T, R + 2N)
    low_rank_dt, b, c = np.split(x_dbl, [ranks, ranks + states], axis=-1)
    dt = np.logaddexp(0.0, _linear(mixer.dt_proj, low_rank_dt))  # softplus: (B, T, D)
    gated = (scan(dt, u, mixer.a, b, c) + u * mixer.d) * silu(z)
    return {"in_proj.x": x, "in_proj.z": z, "conv1d": u, "x_proj": x_dbl, "dt": dt, "gated": gated}
