"""What the engine executes: the trained weights as the operations need them, with neighbouring linear maps folded.

Everything stays in float64 until the image is written, so that folding costs no accuracy.

Dimensions, as in ``config.py``: F features, M d_model, D d_inner, N d_state, K d_conv, R dt_rank, C outputs.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emu.model.checkpoint import Checkpoint
from emu.model.config import ModelConfig

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Linear:
    """y = weight @ x + bias."""

    weight: Array
    """(rows, columns)"""
    bias: Array | None
    """(rows,)"""


@dataclass(frozen=True, eq=False)
class Block:
    """One Mamba block, and the norm before it where it is residual."""

    norm: Array | None
    """(M,): RMSNorm's scale; None for a plain block."""
    in_proj: Linear
    """(2D, M), or (2D, F) where linear_in is folded into it: x above z."""
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
    out_proj: Linear | None
    """(M, D); None in a last block whose out_proj is folded into the head."""


@dataclass(frozen=True, eq=False)
class Graph:
    """A model as the engine runs it, step by step: linear_in -> blocks -> norm_f -> pooling -> head."""

    config: ModelConfig
    linear_in: Linear | None
    """(M, F); None where there is none, or it is folded into the first block."""
    blocks: tuple[Block, ...]
    norm_f: Array | None
    """(M,)"""
    head: Linear | None
    """(C, M), or (C, D) where the last out_proj is folded into it."""


def build_graph(checkpoint: Checkpoint, fold: bool = True) -> Graph:
    """Return the graph of a checkpoint; ``fold=False`` keeps every layer as it was trained."""
    weights = {name: tensor.astype(np.float64) for name, tensor in checkpoint.weights.items()}
    config = checkpoint.config
    graph = Graph(
        config=config,
        linear_in=_linear(weights, "linear_in") if config.linear_in else None,
        blocks=tuple(_block(weights, f"layers.{number}.") for number in range(config.n_blocks)),
        norm_f=weights.get("norm_f.weight"),
        head=_linear(weights, "head") if config.head else None,
    )
    return fold_out_proj(fold_linear_in(graph)) if fold else graph


def fold_linear_in(graph: Graph) -> Graph:
    """Fold linear_in into the first block's in_proj, where that needs fewer multiply-adds.

    Both are linear and a plain block has nothing between them, so their product is one (2D, F) map. It costs 2D*F
    a time step instead of M*F + 2D*M: less for the narrow rows of sensors, more for wide ones such as one-hot tokens.
    """
    first, linear_in = graph.blocks[0], graph.linear_in
    if linear_in is None or first.norm is not None:
        return graph
    folded = _compose(first.in_proj, linear_in)
    if folded.weight.size >= linear_in.weight.size + first.in_proj.weight.size:
        return graph
    return replace(graph, linear_in=None, blocks=(replace(first, in_proj=folded), *graph.blocks[1:]))


def fold_out_proj(graph: Graph) -> Graph:
    """Fold the last block's out_proj into the head, where nothing but pooling lies between them.

    Pooling (a mean, or the last step) commutes with a linear map, so the engine pools the D gated channels instead, and
    out_proj's M*D multiply-adds a time step become part of the head, which runs once.
    """
    last, head = graph.blocks[-1], graph.head
    if head is None or last.norm is not None or graph.norm_f is not None or last.out_proj is None:
        return graph
    return replace(graph, blocks=(*graph.blocks[:-1], replace(last, out_proj=None)), head=_compose(head, last.out_proj))


def _compose(outer: Linear, inner: Linear) -> Linear:
    """Return x -> outer(inner(x)) as one linear map."""
    bias = outer.bias
    if inner.bias is not None:
        bias = outer.weight @ inner.bias + (0.0 if bias is None else bias)
    return Linear(outer.weight @ inner.weight, bias)


def _block(weights: dict[str, Array], prefix: str) -> Block:
    mixer = f"{prefix}mixer."
    conv_weight = weights[f"{mixer}conv1d.weight"][:, 0, :]
    with np.errstate(over="ignore"):  # a decay of infinity cannot be written, which the image's writer says
        decay = np.exp(weights[f"{mixer}A_log"])
    return Block(
        norm=weights.get(f"{prefix}norm.weight"),
        in_proj=_linear(weights, f"{mixer}in_proj"),
        conv_weight=conv_weight,
        conv_bias=weights.get(f"{mixer}conv1d.bias", np.zeros(len(conv_weight))),
        x_proj=weights[f"{mixer}x_proj.weight"],
        dt_proj=_linear(weights, f"{mixer}dt_proj"),
        a=-decay,
        d=weights[f"{mixer}D"],
        out_proj=_linear(weights, f"{mixer}out_proj"),
    )


def _linear(weights: dict[str, Array], name: str) -> Linear:
    return Linear(weights[f"{name}.weight"], weights.get(f"{name}.bias"))
