"""Models of many shapes with random weights: no weight has its initial value."""

import numpy as np
from numpy.typing import NDArray

from emu.model.checkpoint import Checkpoint
from emu.model.config import ModelConfig

CONFIGS = {
    "one plain block, mean": ModelConfig(6, 3, d_model=8, d_inner=16, d_state=4, d_conv=4, dt_rank=1),
    "one plain block, last": ModelConfig(
        5, 4, d_model=8, d_inner=16, d_state=4, d_conv=4, dt_rank=2, pooling="last", conv_bias=False
    ),
    "plain, rows too wide to fold": ModelConfig(90, 4, d_model=7, d_inner=13, d_state=3, d_conv=3, dt_rank=2),
    "two plain blocks with every bias": ModelConfig(
        6, 5, d_model=9, d_inner=11, d_state=5, d_conv=2, dt_rank=3, n_blocks=2, projection_bias=True
    ),
    "three plain blocks, last": ModelConfig(
        4, 2, d_model=5, d_inner=10, d_state=1, d_conv=5, dt_rank=1, n_blocks=3, pooling="last"
    ),
    "one residual block, mean": ModelConfig(6, 3, d_model=8, d_inner=16, d_state=4, dt_rank=1, block="residual"),
    "three residual blocks with every bias": ModelConfig(
        7,
        3,
        d_model=9,
        d_inner=15,
        d_state=3,
        d_conv=3,
        dt_rank=2,
        n_blocks=3,
        block="residual",
        pooling="last",
        projection_bias=True,
        norm_epsilon=1e-3,
    ),
    "outputs at each step": ModelConfig(6, 3, d_model=8, d_inner=16, d_state=4, dt_rank=1, n_blocks=2, pooling="none"),
    "outputs at each step, more than d_inner": ModelConfig(
        90, 40, d_model=8, d_inner=13, d_state=4, dt_rank=1, pooling="none"
    ),
    "a bare block": ModelConfig(
        8, 8, d_model=8, d_inner=16, d_state=4, dt_rank=1, linear_in=False, head=False, projection_bias=True
    ),
    "residual blocks without a head": ModelConfig(
        6, 8, d_model=8, d_inner=16, d_state=4, dt_rank=1, n_blocks=2, block="residual", head=False
    ),
}


def random_weights(config: ModelConfig, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Return weights by canonical name, in the order of the reference's state dict."""
    generator = np.random.default_rng(seed)
    m, d, n, k, r = config.d_model, config.d_inner, config.d_state, config.d_conv, config.dt_rank
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (config.n_tokens, m)} if config.n_tokens else {}
    if config.linear_in:
        shapes |= {"linear_in.weight": (m, config.n_features), "linear_in.bias": (m,)}
    for prefix in (f"layers.{number}." for number in range(config.n_blocks)):
        if config.block == "residual":
            shapes[f"{prefix}norm.weight"] = (m,)
        shapes |= {
            f"{prefix}mixer.A_log": (d, n),
            f"{prefix}mixer.D": (d,),
            f"{prefix}mixer.in_proj.weight": (2 * d, m),
        }
        if config.projection_bias:
            shapes[f"{prefix}mixer.in_proj.bias"] = (2 * d,)
        shapes[f"{prefix}mixer.conv1d.weight"] = (d, 1, k)
        if config.conv_bias:
            shapes[f"{prefix}mixer.conv1d.bias"] = (d,)
        shapes |= {f"{prefix}mixer.x_proj.weight": (r + 2 * n, d), f"{prefix}mixer.dt_proj.weight": (d, r)}
        shapes |= {f"{prefix}mixer.dt_proj.bias": (d,), f"{prefix}mixer.out_proj.weight": (m, d)}
        if config.projection_bias:
            shapes[f"{prefix}mixer.out_proj.bias"] = (m,)
    if config.block == "residual":
        shapes["norm_f.weight"] = (m,)
    if config.head:
        shapes |= {"head.weight": (config.n_outputs, m), "head.bias": (config.n_outputs,)}
    return {name: _random_tensor(generator, name, shape) for name, shape in shapes.items()}


def _random_tensor(generator: np.random.Generator, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if name.endswith("A_log"):
        values = generator.uniform(-1.0, 2.0, shape)
    elif name.endswith("bias"):
        values = generator.uniform(-0.3, 0.3, shape)
    elif len(shape) == 1:
        values = generator.uniform(0.5, 1.5, shape)
    else:
        gain = 5.0 if name.endswith("out_proj.weight") else 0.9  # a block's gates shrink the signal: keep its scale
        values = generator.normal(0.0, gain / np.sqrt(np.prod(shape[1:])), shape)
    return values.astype(np.float32)


def random_checkpoint(config: ModelConfig, seed: int = 0) -> Checkpoint:
    return Checkpoint(config, random_weights(config, seed))


def random_sequence(config: ModelConfig, steps: int, seed: int = 1) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(steps, config.n_features))
