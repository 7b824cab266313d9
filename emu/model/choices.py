"""Choices in a model's forward pass that no tensor shows: their values, and the values that the engine computes."""

from collections.abc import Mapping
from dataclasses import dataclass

from emu.model.config import ModelConfig

EPSILONS = (1e-5, 1e-6, 1e-8, 1e-12, 1e-3)
"""The epsilons that libraries give a norm, the most common first."""


@dataclass(frozen=True)
class Choice:
    """One choice: a field of ``ModelConfig``, and a key of the file next to a checkpoint."""

    key: str
    values: Mapping[str, str]
    """Each value, and how a reading words it."""
    computed: frozenset[str]
    """The values that the engine computes."""
    tensor: str
    """The first tensor that another value changes."""


_ACTIVATIONS = {"silu": "SiLU", "gelu": "GELU", "relu": "ReLU"}

CHOICES = (
    Choice("norm", {"rms": "RMSNorm", "layer": "LayerNorm"}, frozenset({"rms", "layer"}), "layers.0.norm"),
    Choice(
        "direction",
        {
            "forward": "forward in time",
            "both": "forward plus backward in time",
            "both-mean": "the mean of forward and backward in time",
            "alternating": "every second block backward in time",
        },
        frozenset({"forward"}),
        "layers.0.conv1d",
    ),
    Choice("activation", _ACTIVATIONS, frozenset({"silu"}), "layers.0.conv1d"),
    Choice(
        "inner_norm",
        {"none": "none on dt, B and C", "rms": "RMSNorm on dt, B and C"},
        frozenset({"none", "rms"}),
        "layers.0.dt",
    ),
    Choice("gate", _ACTIVATIONS, frozenset({"silu"}), "layers.0.gated"),
    Choice(
        "block",
        {
            "plain": "y = mixer(x)",
            "residual": "y = x + mixer(norm(x))",
            "plain-residual": "y = x + mixer(x)",
            "post-norm": "y = norm(x + mixer(x))",
            "norm": "y = mixer(norm(x))",
        },
        frozenset({"plain", "residual", "plain-residual", "post-norm", "norm"}),
        "layers.0.output",
    ),
    Choice(
        "pooling",
        {
            "mean": "mean over time",
            "last": "the last step",
            "max": "the maximum over time",
            "sum": "the sum over time",
            "none": "none, outputs at each step",
        },
        frozenset({"mean", "last", "max", "sum", "none"}),
        "logits",
    ),
)
"""In the order in which they are computed."""

NORMED_BLOCKS = ("residual", "post-norm", "norm")
PLAIN_BLOCKS = ("plain", "plain-residual")


def is_normed(config: ModelConfig) -> bool:
    """Return whether the blocks have norms."""
    return config.block in NORMED_BLOCKS


def fits(key: str, value: object, config: ModelConfig) -> bool:
    """Return whether a choice's value has a meaning in a model with the tensors of ``config``."""
    match key:
        case "block":
            return value in (NORMED_BLOCKS if is_normed(config) else PLAIN_BLOCKS)
        case "norm" | "norm_epsilon":
            return is_normed(config)
        case "inner_norm_epsilon":
            return config.inner_norm != "none"
    return True


def not_computed(config: ModelConfig) -> tuple[Choice, str] | None:
    """Return the first choice of a model that the engine cannot compute, and its value; None if there is none."""
    for choice in CHOICES:
        value = getattr(config, choice.key)
        if value not in choice.computed:
            return choice, value
    return None
