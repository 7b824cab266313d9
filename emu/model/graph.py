"""A checkpoint as a list of operations, and the passes that fold neighbouring linear maps.

Everything stays in float64 until the image is written, so folding costs no accuracy.
"""

from dataclasses import dataclass, replace

import numpy as np

from emu.model.checkpoint import Checkpoint
from emu.model.config import ModelConfig
from emu.model.ops import Array, Embedding, Fork, InnerNorms, Linear, Mixer, Norm, Operation, Pool


@dataclass(frozen=True, eq=False)
class Graph:
    """A model as the engine runs it: operations in order. Those before ``Pool`` run at each time step."""

    config: ModelConfig
    operations: tuple[Operation, ...]


def build_graph(checkpoint: Checkpoint, fold: bool = True) -> Graph:
    """Return the graph of a checkpoint; ``fold=False`` keeps every layer as it was trained."""
    weights = {name: tensor.astype(np.float64) for name, tensor in checkpoint.weights.items()}
    config = checkpoint.config
    operations: list[Operation] = []
    if config.n_tokens:
        operations.append(Embedding(weights["embedding.weight"]))
    if config.linear_in:
        operations.append(_linear(weights, "linear_in"))
    for number in range(config.n_blocks):
        operations += _block(config, weights, f"layers.{number}.")
    if "norm_f.weight" in weights:
        operations.append(_norm(config, weights, "norm_f"))
    operations.append(Pool(config.pooling))
    if config.head:
        head = _linear(weights, "head")
        operations.append(head if head.bias is None or head.bias.any() else replace(head, bias=None))
    graph = Graph(config, tuple(operations))
    return fold_out_proj(fold_linear_in(graph)) if fold else graph


def fold_linear_in(graph: Graph) -> Graph:
    """Fold linear_in into the first block's in_proj, if that needs fewer multiply-adds.

    A plain block has nothing between the two, so their product is one (2D, F) map. It costs 2D*F a time step instead of
    M*F + 2D*M: less for the narrow rows of sensors, more for wide rows such as one-hot tokens.
    """
    match graph.operations:
        case (Linear() as linear_in, Mixer() as mixer, *rest):
            folded = compose(mixer.in_proj, linear_in)
            if folded.weight.size < linear_in.weight.size + mixer.in_proj.weight.size:
                return replace(graph, operations=(replace(mixer, in_proj=folded), *rest))
    return graph


def fold_out_proj(graph: Graph) -> Graph:
    """Fold the last block's out_proj into the head, if only pooling lies between them.

    A mean and the last step commute with a linear map. So the engine pools the D gated channels instead, and
    out_proj's M*D multiply-adds a time step become part of the head, which runs once. Without pooling the head runs at
    each step, so the two are folded only if that needs fewer multiply-adds.
    """
    match graph.operations:
        case (*before, Linear(adds=False) as out_proj, Pool("mean" | "last" | "none") as pool, Linear() as head) if (
            before
        ):
            folded = compose(head, out_proj)
            if pool.pooling != "none" or folded.weight.size < out_proj.weight.size + head.weight.size:
                return replace(graph, operations=(*before, pool, folded))
    return graph


def compose(outer: Linear, inner: Linear) -> Linear:
    """Return x -> outer(inner(x)) as one linear map."""
    bias = outer.bias
    if inner.bias is not None:
        bias = outer.weight @ inner.bias + (0.0 if bias is None else bias)
    return Linear(outer.weight @ inner.weight, bias)


def _block(config: ModelConfig, weights: dict[str, Array], prefix: str) -> list[Operation]:
    """Return a block's operations."""
    mixer = f"{prefix}mixer."
    conv_weight = weights[f"{mixer}conv1d.weight"][:, 0, :]
    with np.errstate(over="ignore"):  # an infinite decay cannot be written: the image's writer says so
        decay = np.exp(weights[f"{mixer}A_log"])
    mixing = Mixer(
        in_proj=_linear(weights, f"{mixer}in_proj"),
        conv_weight=conv_weight,
        conv_bias=weights.get(f"{mixer}conv1d.bias", np.zeros(len(conv_weight))),
        x_proj=weights[f"{mixer}x_proj.weight"],
        dt_proj=_linear(weights, f"{mixer}dt_proj"),
        a=-decay,
        d=weights[f"{mixer}D"],
        inner_norms=_inner_norms(config, weights, mixer),
    )
    out_proj = _linear(weights, f"{mixer}out_proj")
    adding = replace(out_proj, adds=True)
    match config.block:
        case "plain":
            return [mixing, out_proj]
        case "residual":
            return [Fork(), _norm(config, weights, f"{prefix}norm"), mixing, adding]
        case "plain-residual":
            return [Fork(), mixing, adding]
        case "post-norm":
            return [Fork(), mixing, adding, _norm(config, weights, f"{prefix}norm")]
        case "norm":
            return [_norm(config, weights, f"{prefix}norm"), mixing, out_proj]


def _inner_norms(config: ModelConfig, weights: dict[str, Array], mixer: str) -> InnerNorms | None:
    if config.inner_norm == "none":
        return None
    widths = {"dt": config.dt_rank, "b": config.d_state, "c": config.d_state}
    dt, b, c = (weights.get(f"{mixer}{part}_norm.weight", np.ones(width)) for part, width in widths.items())
    return InnerNorms(dt, b, c, config.inner_norm_epsilon)


def _norm(config: ModelConfig, weights: dict[str, Array], name: str) -> Norm:
    return Norm(weights[f"{name}.weight"], weights.get(f"{name}.bias"), config.norm, config.norm_epsilon)


def _linear(weights: dict[str, Array], name: str) -> Linear:
    return Linear(weights[f"{name}.weight"], weights.get(f"{name}.bias"))
