"""Two float64 numpy oracles that share no code with the package's PyTorch reference.

`recurrence` writes down the equations of the paper (Gu and Dao, arXiv 2312.00752, section 3 and algorithm 2) for
trained weights, a whole sequence at a time. `evaluate` runs a graph as the engine does: one time step, one tail of
inputs, one state. The letters are the dimensions in `emu/model/config.py`; T is time.
"""

import math

import numpy as np
from numpy.typing import NDArray

from emu.model.checkpoint import Checkpoint
from emu.model.graph import Graph
from emu.model.ops import Activation, Embedding, Fork, Linear, Mixer, Norm, Pool

Array = NDArray[np.float64]


def recurrence(checkpoint: Checkpoint, x: Array) -> Array:
    """x (T, F) -> logits (C,), or (T, C) without pooling."""
    config, weights = checkpoint.config, checkpoint.weights
    hidden = intermediates(checkpoint, x)[f"layers.{config.n_blocks - 1}.output"]
    if config.block == "residual":
        hidden = _rms_norm(hidden, weights["norm_f.weight"].astype(np.float64), config.norm_epsilon)
    pooled = {"mean": hidden.sum(axis=0) / len(hidden), "last": hidden[-1], "none": hidden}[config.pooling]
    if not config.head:
        return pooled
    return pooled @ weights["head.weight"].astype(np.float64).T + weights["head.bias"]


def intermediates(checkpoint: Checkpoint, x: Array) -> dict[str, Array]:
    """x (T, F) -> every tensor on the way to the last block's output, (T, width) each, in the order of execution."""
    config = checkpoint.config
    weights = {name: tensor.astype(np.float64) for name, tensor in checkpoint.weights.items()}
    tensors: dict[str, Array] = {}
    hidden = x.astype(np.float64)
    if config.linear_in:
        hidden = hidden @ weights["linear_in.weight"].T + weights["linear_in.bias"]
        tensors["linear_in"] = hidden
    for layer in (f"layers.{number}." for number in range(config.n_blocks)):
        own = {name.removeprefix(layer): weight for name, weight in weights.items() if name.startswith(layer)}
        if config.block == "residual":
            inside, out = _mixer(own, _rms_norm(hidden, own["norm.weight"], config.norm_epsilon))
            hidden = hidden + out
        else:
            inside, hidden = _mixer(own, hidden)
        tensors |= {layer + name: tensor for name, tensor in inside.items()} | {f"{layer}output": hidden}
    return tensors


def _mixer(weights: dict[str, Array], hidden: Array) -> tuple[dict[str, Array], Array]:
    """Return the tensors inside one block, (T, width) each, and its output (T, M), for hidden (T, M)."""
    steps = len(hidden)
    d_inner, d_state = weights["mixer.A_log"].shape
    dt_rank = weights["mixer.dt_proj.weight"].shape[1]
    taps = weights["mixer.conv1d.weight"].shape[2]

    xz = hidden @ weights["mixer.in_proj.weight"].T + weights.get("mixer.in_proj.bias", 0.0)
    x, z = xz[:, :d_inner], xz[:, d_inner:]

    convolved = np.zeros_like(x) + weights.get("mixer.conv1d.bias", 0.0)
    for t in range(steps):
        for tap in range(taps):
            past = t - (taps - 1) + tap
            if past >= 0:
                convolved[t] += weights["mixer.conv1d.weight"][:, 0, tap] * x[past]
    u = _silu(convolved)

    x_dbl = u @ weights["mixer.x_proj.weight"].T
    b, c = x_dbl[:, dt_rank : dt_rank + d_state], x_dbl[:, dt_rank + d_state :]
    dt = _softplus(x_dbl[:, :dt_rank] @ weights["mixer.dt_proj.weight"].T + weights["mixer.dt_proj.bias"])

    a = -np.exp(weights["mixer.A_log"])
    y = np.empty_like(u)
    h = np.zeros((d_inner, d_state))
    for t in range(steps):
        for n in range(d_state):
            h[:, n] = np.exp(dt[t] * a[:, n]) * h[:, n] + dt[t] * b[t, n] * u[t]
        y[t] = weights["mixer.D"] * u[t]
        for n in range(d_state):
            y[t] += c[t, n] * h[:, n]

    gated = y * _silu(z)
    out = gated @ weights["mixer.out_proj.weight"].T + weights.get("mixer.out_proj.bias", 0.0)
    return {"in_proj.x": x, "in_proj.z": z, "conv1d": u, "x_proj": x_dbl, "dt": dt, "gated": gated}, out


def evaluate(graph: Graph, x: Array) -> Array:
    """x (T, F) -> logits (C,), or (T, C) without pooling, one time step after the other."""
    config = graph.config
    at = next(index for index, operation in enumerate(graph.operations) if isinstance(operation, Pool))
    pool, each_step, at_the_end = graph.operations[at], graph.operations[:at], graph.operations[at + 1 :]
    assert isinstance(pool, Pool)
    mixers = [operation for operation in each_step if isinstance(operation, Mixer)]
    tails = {mixer: np.zeros_like(mixer.conv_weight) for mixer in mixers}  # the last K inputs, the newest at the end
    states = {mixer: np.zeros_like(mixer.a) for mixer in mixers}
    total, hidden, largest = np.zeros(1), np.zeros(1), None
    each: list[Array] = []
    for row in x.astype(np.float64):
        hidden, kept = row, np.zeros(1)
        for operation in each_step:
            match operation:
                case Linear():
                    hidden = _apply(operation, hidden) + (kept if operation.adds else 0.0)
                case Norm() | Activation():
                    hidden = _pointwise(operation, hidden)
                case Embedding():
                    hidden = operation.weight[int(hidden[0])]
                case Mixer():
                    hidden = _mix(operation, tails[operation], states[operation], hidden, config.dt_rank)
                case Fork():
                    kept = hidden
                case Pool():
                    raise AssertionError("one pooling ends the steps")
        each.append(hidden)
        total = total + hidden
        largest = hidden if largest is None else np.maximum(largest, hidden)
    vectors = {"mean": [total / len(x)], "last": [hidden], "max": [largest], "sum": [total], "none": each}[pool.pooling]
    for operation in at_the_end:
        assert isinstance(operation, Linear | Norm | Activation)
        vectors = [
            _apply(operation, vector) if isinstance(operation, Linear) else _pointwise(operation, vector)
            for vector in vectors
        ]
    return np.stack(vectors) if pool.pooling == "none" else vectors[0]


def _pointwise(operation: Norm | Activation, hidden: Array) -> Array:
    if isinstance(operation, Activation):
        sigmoid = 1.0 / (1.0 + np.exp(-hidden))
        normal = np.array([math.erfc(-value / math.sqrt(2.0)) / 2.0 for value in hidden])
        return {
            "silu": hidden * sigmoid,
            "gelu": hidden * normal,
            "relu": np.where(hidden > 0.0, hidden, 0.0),
            "tanh": 2.0 / (1.0 + np.exp(-2.0 * hidden)) - 1.0,
            "sigmoid": sigmoid,
        }[operation.function]
    centred = hidden - hidden.mean() if operation.kind == "layer" else hidden
    return _rms_norm(centred, operation.weight, operation.epsilon) + (0.0 if operation.bias is None else operation.bias)


def _mix(mixer: Mixer, tail: Array, state: Array, hidden: Array, dt_rank: int) -> Array:
    """Advance one mixer by one time step, changing its tail (D, K) and its state (D, N)."""
    d_inner, d_state = state.shape
    x, z = np.split(_apply(mixer.in_proj, hidden), [d_inner])
    tail[:, :-1] = tail[:, 1:]
    tail[:, -1] = x
    u = _silu((tail * mixer.conv_weight).sum(axis=1) + mixer.conv_bias)
    low_rank_dt, b, c = np.split(mixer.x_proj @ u, [dt_rank, dt_rank + d_state])
    if mixer.inner_norms is not None:
        norms = mixer.inner_norms
        low_rank_dt = _rms_norm(low_rank_dt, norms.dt, norms.epsilon)
        b, c = _rms_norm(b, norms.b, norms.epsilon), _rms_norm(c, norms.c, norms.epsilon)
    dt = _softplus(_apply(mixer.dt_proj, low_rank_dt))
    state[:] = np.exp(np.outer(dt, np.ones(d_state)) * mixer.a) * state + np.outer(dt * u, b)
    return (state @ c + mixer.d * u) * _silu(z)


def _apply(linear: Linear, vector: Array) -> Array:
    product = linear.weight @ vector
    return product if linear.bias is None else product + linear.bias


def _rms_norm(hidden: Array, scale: Array, epsilon: float) -> Array:
    return scale * hidden / np.sqrt((hidden * hidden).mean(axis=-1, keepdims=True) + epsilon)


def _silu(value: Array) -> Array:
    return value / (1.0 + np.exp(-value))


def _softplus(value: Array) -> Array:
    return np.logaddexp(0.0, value)
