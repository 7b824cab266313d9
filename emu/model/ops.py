"""The operations that a model is made of: what each computes, and what the image stores for it.

``runtime/src/ops.def`` describes the same operations for the engine. All arrays are float64 until the image is written.

Dimensions, as in ``config.py``: F features, M d_model, D d_inner, N d_state, K d_conv, R dt_rank, C outputs.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from emu.model.config import LayerActivation, NormKind, Pooling

Array = NDArray[np.float64]

EXP_STEPS_PER_OCTAVE = 64
"""Entries of the engine's table of 2^(i / 64)."""

_POOLINGS: tuple[Pooling, ...] = ("mean", "last", "max", "sum", "none")  # by their number in the image
_ACTIVATIONS: tuple[LayerActivation, ...] = ("silu", "gelu", "relu", "tanh", "sigmoid")  # the same

_EXP_STEPS_LIMIT = 7900.0  # 2^(-7900 / 64) is the smallest decay that the engine's table makes


Buffer = Literal["u", "hidden", "normed", "pooled", "in_place"]
"""The engine's buffer that an operation writes. Only ``Fork`` and ``Norm`` may read the buffer that they write.

``in_place`` is the buffer of the input.
"""


@dataclass(frozen=True)
class Slot:
    """One tensor of an operation in the image."""

    name: str
    storage: Literal["matrix", "bias", "floats"]
    """``matrix``: the image's matrix type. ``bias``: float32, padded to a multiple of four. ``floats``: float32."""
    shape: tuple[str, ...]
    """Dimensions by name, rows first: IN, OUT, D, N, K, R, X = R + N + N, Y = X + 4, and V tokens; none is 1."""
    presence: Literal["needed", "optional", "if_one"] = "needed"
    """``if_one``: needed if the operation's parameter is 1."""


@dataclass(frozen=True, eq=False)
class Linear:
    """y = weight @ x + bias."""

    weight: Array
    """(rows, columns)"""
    bias: Array | None
    """(rows,)"""
    adds: bool = False
    """Whether y is added to the vector that the last ``Fork`` kept: the residual."""

    writes: ClassVar[Buffer] = "hidden"
    slots: ClassVar = (
        Slot("linear_weight", "matrix", ("OUT", "IN")),
        Slot("linear_bias", "bias", ("OUT",), "optional"),
    )

    @property
    def parameter(self) -> int:
        """The parameter in the image."""
        return int(self.adds)

    def widths(self, _: int) -> tuple[int, int]:
        """Return the widths of the vector that it takes and of its result."""
        return self.weight.shape[1], self.weight.shape[0]

    def stored(self) -> tuple[Array | None, ...]:
        """Return what the image stores, in the order of ``slots``."""
        return self.weight, self.bias


@dataclass(frozen=True, eq=False)
class Norm:
    """RMSNorm: y = weight * x / sqrt(mean(x * x) + epsilon) + bias.

    LayerNorm is the RMSNorm of x without its mean.
    """

    weight: Array
    """(M,): ones, if the norm has no weights."""
    bias: Array | None = None
    """(M,)"""
    kind: NormKind = "rms"
    epsilon: float = 1e-5

    writes: ClassVar[Buffer] = "normed"
    slots: ClassVar = (
        Slot("norm_weight", "floats", ("IN",)),
        Slot("norm_bias", "floats", ("IN",), "optional"),
        Slot("norm_epsilon", "floats", ()),
    )

    @property
    def parameter(self) -> int:
        """The parameter in the image."""
        return int(self.kind == "layer")

    def widths(self, _: int) -> tuple[int, int]:
        """Return the widths of the vector that it takes and of its result."""
        return len(self.weight), len(self.weight)

    def stored(self) -> tuple[Array | None, ...]:
        """Return what the image stores, in the order of ``slots``."""
        return self.weight, self.bias, np.array([self.epsilon])


@dataclass(frozen=True, eq=False)
class InnerNorms:
    """An RMSNorm each on dt, B and C inside a Mamba block. Weights are ones, if a norm has none."""

    dt: Array
    """(R,)"""
    b: Array
    """(N,)"""
    c: Array
    """(N,)"""
    epsilon: float

    def stored(self, dt_rank: int, d_state: int) -> Array:
        """Return the padded weights and the epsilons, scaled so that the engine needs no mean: sums do."""
        parts = ((self.dt, dt_rank), (self.b, d_state), (self.c, d_state))
        weights = [pad_rows(weight * math.sqrt(len(weight)), rows) for weight, rows in parts]
        return np.concatenate([*weights, np.array([self.epsilon * len(weight) for weight, _ in parts]), np.zeros(1)])


@dataclass(frozen=True, eq=False)
class Mixer:
    """The Mamba block from in_proj to the gated output (D,); out_proj is a ``Linear`` of its own."""

    in_proj: Linear
    """(2D, width of the input): x above z."""
    conv_weight: Array
    """(D, K): the oldest step first."""
    conv_bias: Array
    """(D,)"""
    x_proj: Array
    """(R + 2N, D): dt, then B, then C."""
    dt_proj: Linear
    """(D, R)"""
    a: Array
    """(D, N): -exp(A_log), negative."""
    d: Array
    """(D,): the skip."""
    inner_norms: InnerNorms | None = None

    writes: ClassVar[Buffer] = "u"
    slots: ClassVar = (
        Slot("in_x_weight", "matrix", ("D", "IN")),
        Slot("in_x_bias", "bias", ("D",), "optional"),
        Slot("in_z_weight", "matrix", ("D", "IN")),
        Slot("in_z_bias", "bias", ("D",), "optional"),
        Slot("conv_weight", "floats", ("D", "K")),
        Slot("conv_bias", "floats", ("D",)),
        Slot("x_proj", "matrix", ("X", "D")),
        Slot("dt_weight", "matrix", ("D", "R")),
        Slot("dt_bias", "bias", ("D",)),
        Slot("rate", "floats", ("D", "N")),
        Slot("dt_limit", "floats", ("D",)),
        Slot("skip", "floats", ("D",)),
        Slot("inner_norm", "floats", ("Y",), "if_one"),
    )

    @property
    def parameter(self) -> int:
        """The parameter in the image."""
        return int(self.inner_norms is not None)

    def widths(self, _: int) -> tuple[int, int]:
        """Return the widths of the vector that it takes and of its result."""
        return self.in_proj.weight.shape[1], len(self.d)

    def stored(self) -> tuple[Array | None, ...]:
        """Return what the image stores, in the order of ``slots``; N and R are padded to multiples of four."""
        channels, states = self.a.shape
        ranks = self.dt_proj.weight.shape[1]
        d_state, dt_rank = padded(states), padded(ranks)
        in_x, in_z = np.split(self.in_proj.weight, 2)
        x_bias, z_bias = (None, None) if self.in_proj.bias is None else np.split(self.in_proj.bias, 2)
        low_rank_dt, b, c = np.split(self.x_proj, [ranks, ranks + states])
        x_proj = np.concatenate([pad_rows(low_rank_dt, dt_rank), pad_rows(b, d_state), pad_rows(c, d_state)])
        rate = np.zeros((channels, d_state))
        rate[:, :states] = self.a * (EXP_STEPS_PER_OCTAVE / math.log(2))
        fastest = np.abs(rate).max(axis=1)
        dt_limit = np.minimum(_EXP_STEPS_LIMIT / np.maximum(fastest, 1e-30), 1e30)
        dt_weight = pad_rows(self.dt_proj.weight.T, dt_rank).T
        return (
            *(in_x, x_bias, in_z, z_bias),
            *(self.conv_weight, self.conv_bias),
            *(x_proj, dt_weight, self.dt_proj.bias),
            *(rate, dt_limit, self.d),
            None if self.inner_norms is None else self.inner_norms.stored(dt_rank, d_state),
        )


@dataclass(frozen=True)
class Fork:
    """Keep the vector for the next ``Linear`` that adds to it."""

    writes: ClassVar[Buffer] = "hidden"
    slots: ClassVar = ()
    parameter: ClassVar = 0

    def widths(self, width: int) -> tuple[int, int]:
        """Return the widths of the vector that it takes and of its result, both that of the vector before it."""
        return width, width

    def stored(self) -> tuple[Array | None, ...]:
        """Return what the image stores: nothing."""
        return ()


@dataclass(frozen=True)
class Pool:
    """Reduce all time steps to one vector. The operations after it, the head, run once, at the end of the sequence.

    With ``none`` each step keeps its vector, and the head runs at each step.
    """

    pooling: Pooling

    writes: ClassVar[Buffer] = "pooled"
    slots: ClassVar = ()

    @property
    def parameter(self) -> int:
        """The parameter in the image."""
        return _POOLINGS.index(self.pooling)

    def widths(self, width: int) -> tuple[int, int]:
        """Return the widths of the vector that it takes and of its result, both that of the vector before it."""
        return width, width

    def stored(self) -> tuple[Array | None, ...]:
        """Return what the image stores: nothing."""
        return ()


@dataclass(frozen=True)
class Activation:
    """y = function(x), element by element."""

    function: LayerActivation

    writes: ClassVar[Buffer] = "in_place"
    slots: ClassVar = ()

    @property
    def parameter(self) -> int:
        """The parameter in the image."""
        return _ACTIVATIONS.index(self.function)

    def widths(self, width: int) -> tuple[int, int]:
        """Return the widths of the vector that it takes and of its result, both that of the vector before it."""
        return width, width

    def stored(self) -> tuple[Array | None, ...]:
        """Return what the image stores: nothing."""
        return ()


@dataclass(frozen=True, eq=False)
class Embedding:
    """y = the row of ``weight`` that the token picks: the input is one token."""

    weight: Array
    """(V, M)"""

    writes: ClassVar[Buffer] = "hidden"
    parameter: ClassVar = 0
    slots: ClassVar = (Slot("embedding_weight", "matrix", ("V", "OUT")),)

    def widths(self, _: int) -> tuple[int, int]:
        """Return the widths of the vector that it takes and of its result."""
        return 1, self.weight.shape[1]

    def stored(self) -> tuple[Array | None, ...]:
        """Return what the image stores, in the order of ``slots``."""
        return (self.weight,)


Operation = Norm | Mixer | Linear | Fork | Pool | Activation | Embedding
KINDS: tuple[type[Operation], ...] = (Norm, Mixer, Linear, Fork, Pool, Activation, Embedding)
"""By their number in the image."""


def padded(count: int) -> int:
    """Return ``count`` rounded up to a multiple of four."""
    return (count + 3) // 4 * 4


def pad_rows(array: Array, rows: int) -> Array:
    """Return the array, padded with rows of zeros to ``rows`` rows."""
    return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]))])
