"""The shape of a model: the numbers that every other module of the PyTorch side agrees on."""

import math
from dataclasses import dataclass
from typing import Literal

BlockKind = Literal["plain", "residual", "plain-residual", "post-norm", "norm"]
NormKind = Literal["rms", "layer"]
InnerNorm = Literal["none", "rms"]
Activation = Literal["silu", "gelu", "relu"]
LayerActivation = Literal["silu", "gelu", "relu", "tanh", "sigmoid"]
"""Activations between layers."""
Direction = Literal["forward", "both", "both-mean", "alternating"]
Pooling = Literal["mean", "last", "max", "sum", "none"]
MatrixType = Literal["f32", "f16", "int8"]


@dataclass(frozen=True)
class ModelConfig:
    """Dimensions and choices of a Mamba sequence classifier.

    A model is: linear in (optional) -> N blocks -> final norm (residual only) -> pooling -> linear head (optional).
    """

    n_features: int
    """F: width of one input row; 1 for a token."""
    n_outputs: int
    """C: number of logits (or of pooled features, if there is no head)."""
    d_model: int = 64
    """M: width between blocks."""
    d_inner: int = 128
    """D: width inside a block (expand * d_model)."""
    d_state: int = 16
    """N: states per inner channel."""
    d_conv: int = 4
    """K: taps of the causal depthwise convolution."""
    dt_rank: int = 4
    """R: rank of the time step's projection."""
    n_blocks: int = 1
    n_tokens: int = 0
    """V: the inputs are tokens, for which an embedding has rows; 0 if the inputs are rows of numbers."""
    block: BlockKind = "plain"
    """``plain``: x = mixer(x). ``residual``: x = x + mixer(norm(x)), as in mamba_ssm's MixerModel."""
    pooling: Pooling = "mean"
    """``none``: the head runs at each step, so there are logits for each step."""
    linear_in: bool = True
    head: bool = True
    projection_bias: bool = False
    """Whether in_proj and out_proj have biases (mamba_ssm's ``bias``)."""
    conv_bias: bool = True
    norm: NormKind = "rms"
    final_norm: bool = True
    """Whether blocks with norms are followed by a norm."""
    norm_epsilon: float = 1e-5
    inner_norm: InnerNorm = "none"
    """A norm each on dt, B and C inside each block, as in FalconMamba and Jamba."""
    inner_norm_epsilon: float = 1e-6
    activation: Activation = "silu"
    """After the convolution."""
    gate: Activation = "silu"
    """On z, which scales a block's output."""
    direction: Direction = "forward"
    """``both``: each block adds the scan of the reversed sequence; ``both-mean``: it takes the mean of the two;
    ``alternating``: every second block runs on the reversed sequence. All with one set of weights."""


def default_dt_rank(d_model: int) -> int:
    """Return mamba_ssm's ``dt_rank="auto"``: ceil(d_model / 16)."""
    return math.ceil(d_model / 16)
