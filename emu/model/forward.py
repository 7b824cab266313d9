"""What a checkpoint computes, as emu reads it, in float64.

The block is that of ``mamba_ssm.modules.mamba_simple.Mamba`` (Gu and Dao, arXiv 2312.00752, algorithm 2), with every
choice of ``choices.py``, whether the engine computes it or not.

Dimensions, as in ``config.py``: B batch, T time, F features, M d_model, D d_inner, N d_state, R dt_rank, C outputs.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from emu.model.config import Activation, LayerActivation, ModelConfig, Pooling

Array = NDArray[np.float64]
Tap = Callable[[str, Array], None]
"""Receives each intermediate tensor by its name."""


def forward(
    config: ModelConfig, weights: Mapping[str, Array], x: NDArray[np.floating], tap: Tap | None = None
) -> Array:
    """Return the logits of x (B, T, F): (B, C), or (B, T, C) without pooling.

    ``tap`` gets each intermediate tensor, (B, T, width), and the logits.

    ``weights`` have the names and shapes of ``Checkpoint.weights``. Values that overflow become infinite or NaN.
    """
    seen = tap or _ignore
    with np.errstate(all="ignore"):
        hidden = weights["embedding.weight"][x[..., 0].astype(np.int64)] if config.n_tokens else x.astype(np.float64)
        if config.linear_in:
            hidden = _linear(weights, "linear_in", hidden)  # (B, T, M)
            seen("linear_in", hidden)
        for number in range(config.n_blocks):
            hidden = _block(config, weights, number, hidden, seen)
        if "norm_f.weight" in weights:
            hidden = _norm(config, weights, "norm_f", hidden)
        pooled = POOLINGS[config.pooling](hidden)  # (B, M), or (B, T, M) without pooling
        logits = _linear(weights, "head", pooled) if config.head else pooled
    seen("logits", logits)
    return logits


def _block(config: ModelConfig, weights: Mapping[str, Array], number: int, x: Array, tap: Tap) -> Array:
    """Return a block's output (B, T, M) for x (B, T, M)."""
    name = f"layers.{number}"

    def mixer(hidden: Array) -> Array:
        match config.direction:
            case "alternating" if number % 2:
                return mix(config, weights, name, hidden[:, ::-1], tap)[:, ::-1]
            case "both" | "both-mean":
                total = mix(config, weights, name, hidden, tap)
                total = total + mix(config, weights, name, hidden[:, ::-1], _ignore)[:, ::-1]
                return total / 2 if config.direction == "both-mean" else total
        return mix(config, weights, name, hidden, tap)

    def norm(hidden: Array) -> Array:
        return _norm(config, weights, f"{name}.norm", hidden)

    match config.block:
        case "plain":
            y = mixer(x)
        case "residual":
            y = x + mixer(norm(x))
        case "plain-residual":
            y = x + mixer(x)
        case "post-norm":
            added = x + mixer(x)
            tap(f"{name}.output", added)
            return norm(added)
        case "norm":
            y = mixer(norm(x))
    tap(f"{name}.output", y)
    return y


def mix(config: ModelConfig, weights: Mapping[str, Array], name: str, hidden: Array, tap: Tap) -> Array:
    """Return a Mamba block's output (B, T, M) for hidden (B, T, M)."""
    prefix = f"{name}.mixer."
    steps = hidden.shape[1]
    x, z = np.split(_linear(weights, f"{prefix}in_proj", hidden), 2, axis=-1)  # (B, T, D) each
    taps = weights[f"{prefix}conv1d.weight"][:, 0]  # (D, K)
    past = np.pad(x, ((0, 0), (taps.shape[1] - 1, 0), (0, 0)))
    convolved = np.sum([past[:, k : k + steps] * taps[:, k] for k in range(taps.shape[1])], axis=0)
    u = ACTIVATIONS[config.activation](convolved + weights.get(f"{prefix}conv1d.bias", np.float64(0.0)))  # (B, T, D)
    x_dbl = u @ weights[f"{prefix}x_proj.weight"].T  # (B, T, R + 2N)
    low_rank_dt, b, c = np.split(x_dbl, [config.dt_rank, config.dt_rank + config.d_state], axis=-1)
    if config.inner_norm == "rms":
        parts = {"dt": low_rank_dt, "b": b, "c": c}
        low_rank_dt, b, c = (
            rms(part, config.inner_norm_epsilon) * weights.get(f"{prefix}{norm}_norm.weight", np.float64(1.0))
            for norm, part in parts.items()
        )
    dt = np.logaddexp(0.0, _linear(weights, f"{prefix}dt_proj", low_rank_dt))  # softplus: (B, T, D)
    y = scan(dt, u, -np.exp(weights[f"{prefix}A_log"]), b, c) + u * weights[f"{prefix}D"]  # (B, T, D)
    gated = y * ACTIVATIONS[config.gate](z)
    tensors = {"in_proj.x": x, "in_proj.z": z, "conv1d": u, "x_proj": x_dbl, "dt": dt, "gated": gated}
    for tensor, value in tensors.items():
        tap(f"{name}.{tensor}", value)
    return _linear(weights, f"{prefix}out_proj", gated)  # (B, T, M)


def scan(dt: Array, u: Array, a: Array, b: Array, c: Array) -> Array:
    """Return y (B, T, D): h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t and y_t = C_t . h_t.

    dt and u are (B, T, D), a is (D, N), b and c are (B, T, N).
    """
    h = np.zeros((len(dt), *a.shape))  # (B, D, N)
    y = np.empty_like(dt)
    for t in range(dt.shape[1]):
        step = dt[:, t, :, np.newaxis]  # (B, D, 1)
        h = np.exp(step * a) * h + step * u[:, t, :, np.newaxis] * b[:, t, np.newaxis]
        y[:, t] = np.einsum("bdn,bn->bd", h, c[:, t])
    return y


def _norm(config: ModelConfig, weights: Mapping[str, Array], name: str, hidden: Array) -> Array:
    if config.norm == "layer":
        hidden = hidden - hidden.mean(axis=-1, keepdims=True)
    normed = rms(hidden, config.norm_epsilon) * weights[f"{name}.weight"]
    return normed + weights.get(f"{name}.bias", np.float64(0.0))


def rms(values: Array, epsilon: float) -> Array:
    """Return values divided by the root of their mean square plus ``epsilon``, along the last axis."""
    return values / np.sqrt((values * values).mean(axis=-1, keepdims=True) + epsilon)


def _linear(weights: Mapping[str, Array], name: str, values: Array) -> Array:
    return values @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", np.float64(0.0))


def silu(values: Array) -> Array:
    """Return values * sigmoid(values)."""
    return values / (1.0 + np.exp(-values))


def _gelu(values: Array) -> Array:
    return values * 0.5 * (1.0 + np.vectorize(math.erf)(values / math.sqrt(2.0)))


def _relu(values: Array) -> Array:
    return np.maximum(values, 0.0)


def _ignore(_name: str, _tensor: Array) -> None:
    pass


ACTIVATIONS: Mapping[Activation, Callable[[Array], Array]] = {"silu": silu, "gelu": _gelu, "relu": _relu}
LAYER_ACTIVATIONS: Mapping[LayerActivation, Callable[[Array], Array]] = {
    **ACTIVATIONS,
    "tanh": np.tanh,
    "sigmoid": lambda values: 1.0 / (1.0 + np.exp(-values)),
}
POOLINGS: Mapping[Pooling, Callable[[Array], Array]] = {
    "mean": lambda hidden: hidden.mean(axis=1),
    "last": lambda hidden: hidden[:, -1],
    "max": lambda hidden: hidden.max(axis=1),
    "sum": lambda hidden: hidden.sum(axis=1),
    "none": lambda hidden: hidden,
}
