"""A module that is in memory: what emu takes it to compute, its answers, and how far the two agree."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from emu.errors import InputError
from emu.inputs import EvaluationInputs
from emu.live.capture import answer, capture, in_float
from emu.live.normal_form import normal_form
from emu.live.origins import ROUNDED, difference
from emu.live.reading import Step, read_steps
from emu.live.tensors import module_tensors
from emu.model.choices import CHOICES
from emu.model.config import ModelConfig
from emu.model.evaluation import evaluate
from emu.model.graph import Graph
from emu.model.ops import Array, Linear, Mixer, Norm, Pool
from emu.record import Reading, Statement

_CHECKED_INPUTS = 8
_PROBES = 3
_AT_ONCE = 16
"""Inputs in one call: a scan in plain PyTorch keeps the states of all time steps."""

_NORMS = {"rms": "RMSNorm", "layer": "LayerNorm"}
_POOLINGS = next(choice.values for choice in CHOICES if choice.key == "pooling")


@dataclass(frozen=True, eq=False)
class LiveModule:
    """A module as operations, with its own answers."""

    graph: Graph
    inputs: EvaluationInputs
    """The inputs with the module's answers in float64 and float32, and its own tensors for the first inputs."""
    reading: Reading


def read_module(module: nn.Module, inputs: EvaluationInputs) -> LiveModule:
    """Read a module, and compare emu's reading in float64 with all tensors of the module for some of the inputs.

    The module itself is not changed: copies of it run in inference mode on the CPU. Answers that ``inputs`` already has
    are compared with the module's.

    Raises InputError if the module has a part that emu does not understand or the engine does not compute, or if its
    answers are not those that ``inputs`` has.
    """
    if inputs.x.shape[1] < 2:
        raise InputError("x has 1 time step: with at least 2 the poolings can be told apart")
    module64, module32 = in_float(module, torch.float64), in_float(module, torch.float32)
    logits64 = _float64(_answers(module64, inputs.x.astype(np.float64)))
    logits32 = _answers(module32, inputs.x)
    _require_own(inputs, logits64)
    checked, few = inputs.x[:_CHECKED_INPUTS].astype(np.float64), logits64[:_CHECKED_INPUTS]
    captured = capture(module64, _with_probes(checked))
    if difference(_float64(_rows(captured.output[: len(few)])), few) > ROUNDED:
        raise InputError(
            "model gives other answers in another call: something in it is random, or depends on the other inputs of "
            "the batch (dropout outside torch.nn.Dropout, or a norm over the batch)"
        )
    steps = read_steps(captured)
    ordered = normal_form(steps)
    graph = _graph(ordered, inputs.x.shape[2], logits64.shape[-1])
    *_, read = evaluate(graph.operations, checked, graph.config.norm_epsilon)
    error = difference(read, few)
    if error > ROUNDED:
        raise InputError(f"emu's float64 reading differs from the model's answers by {error:.1e} of the largest")
    reading = Reading(statements=_statements(steps), checked_inputs=len(few), max_relative_error=error)
    answered = replace(
        inputs,
        logits64=logits64,
        logits32=logits32.astype(np.float32),
        tensors=module_tensors(captured, steps, len(checked)),
    )
    return LiveModule(graph, answered, reading)


def _answers(module: nn.Module, x: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return a module's answers to x (N, T, F): (N, C), or (N, T, C)."""
    parts = [answer(module, torch.tensor(x[at : at + _AT_ONCE])) for at in range(0, len(x), _AT_ONCE)]
    rows = _rows(np.concatenate(parts))
    if rows.ndim not in (2, 3) or len(rows) != len(x) or (rows.ndim == 3 and rows.shape[1] != x.shape[1]):
        raise InputError(f"model returns {list(rows.shape)} for x {list(x.shape)}; emu needs [N, C] or [N, T, C]")
    if not np.isfinite(rows).all():
        raise InputError(f"model's answer to input {np.argwhere(~np.isfinite(rows))[0][0]} is not finite")
    return rows


def _rows(answers: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return answers with one number for each input as (N, 1)."""
    return answers[:, None] if answers.ndim == 1 else answers


def _float64(array: NDArray[np.floating]) -> Array:
    return array.astype(np.float64, copy=False)


def _require_own(inputs: EvaluationInputs, answers: NDArray[np.floating]) -> None:
    """Raise InputError if the inputs come with another model's answers."""
    given = inputs.logits32 if inputs.logits64 is None else inputs.logits64
    if given is not None and (error := difference(_float64(given), _float64(answers))) > 1e-3:
        raise InputError(
            f"the inputs come with logits that are not this model's: they differ by {error:.1e} of the largest. Leave "
            "them out, or load the weights that gave them"
        )


def _with_probes(x: Array) -> Array:
    """Return x (B, T, F) with some inputs after it that no data has: what no example shows can be seen in them.

    The number of inputs differs from the number of steps, so that no layout of a tensor is in doubt.
    """
    generator = np.random.default_rng(0)
    count = _PROBES + (len(x) + _PROBES == x.shape[1])
    spread = x.std(axis=(0, 1)) + 1e-3
    noise = x.mean(axis=(0, 1)) + 3.0 * spread * generator.normal(size=(count, *x.shape[1:]))
    return np.concatenate([x, noise.astype(np.float32).astype(np.float64)])


def _graph(steps: Sequence[Step], n_features: int, n_outputs: int) -> Graph:
    """Return the graph of steps in the engine's order. Raises InputError if the engine has no place for them."""
    mixers = [(step.path, step.operation) for step in steps if isinstance(step.operation, Mixer)]
    if not mixers:
        raise InputError("model has no Mamba block on the way to its answer")
    shapes = [(*mixer.a.shape, mixer.conv_weight.shape[1], mixer.dt_proj.weight.shape[1]) for _, mixer in mixers]
    for (path, _), shape in zip(mixers, shapes, strict=True):
        if shape != shapes[0]:
            named = "d_inner {}, d_state {}, d_conv {}, dt_rank {}"
            raise InputError(
                f"{path} has {named.format(*shape)}, and {mixers[0][0]} has {named.format(*shapes[0])}; the engine has "
                "one shape for all blocks"
            )
    d_inner, d_state, d_conv, dt_rank = shapes[0]
    widths, width = list[int](), n_features
    for step in steps:
        _, width = step.operation.widths(width)
        if isinstance(step.operation, Pool):
            break
        if not isinstance(step.operation, Mixer):
            widths.append(width)
    config = ModelConfig(
        n_features=n_features,
        n_outputs=n_outputs,
        d_model=max(widths, default=n_features),
        d_inner=d_inner,
        d_state=d_state,
        d_conv=d_conv,
        dt_rank=dt_rank,
        n_blocks=len(mixers),
        norm_epsilon=next((step.epsilon for step in steps if step.epsilon is not None), 1e-5),
    )
    return Graph(config, tuple(step.operation for step in steps))


def _statements(steps: Sequence[Step]) -> list[Statement]:
    """Return what each step is, in words; submodules whose paths differ in numbers alone are one statement."""
    groups: dict[tuple[str, str], list[str]] = {}
    for before, step, after in zip([None, *steps], steps, [*steps[1:], None], strict=False):
        if (words := _words(before, step, after)) is not None:
            path = "pooling" if isinstance(step.operation, Pool) else step.path
            groups.setdefault((re.sub(r"\d+", "N", path), words), []).append(path)
    if not any(isinstance(step.operation, Pool) for step in steps):
        groups["pooling", _POOLINGS["none"]] = ["pooling"]
    return [Statement(what=_together(paths), value=words, source="module") for (_, words), paths in groups.items()]


def _together(paths: Sequence[str]) -> str:
    """Return paths that differ in numbers alone as one: ``model.blocks.0-3.norm``."""
    first, last = (re.split(r"(\d+)", path) for path in (paths[0], paths[-1]))
    return "".join(one if one == other else f"{one}-{other}" for one, other in zip(first, last, strict=True))


def _words(before: Step | None, step: Step, after: Step | None) -> str | None:
    """Return what a step is, in words; None if the words of a step before or after say it."""
    match step.operation:
        case Linear(weight, _, adds):
            if before is not None and isinstance(before.operation, Mixer):
                return None
            return f"linear {weight.shape[1]} -> {weight.shape[0]}{', added to the residual' if adds else ''}"
        case Norm():
            return f"{_NORMS[step.operation.kind]}, epsilon {step.epsilon:g}"
        case Mixer():
            channels, states = step.operation.a.shape
            taps, ranks = step.operation.conv_weight.shape[1], step.operation.dt_proj.weight.shape[1]
            adds = after is not None and isinstance(after.operation, Linear) and after.operation.adds
            return (
                f"Mamba block of d_inner {channels}, d_state {states}, d_conv {taps}, dt_rank {ranks}"
                f"{', added to the residual' if adds else ''}"
            )
        case Pool(pooling):
            return _POOLINGS[pooling]
    return None
