"""The check of a reading: the reference logits against the checkpoint's own in float64, as emu reads the checkpoint."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.errors import InputError
from emu.inputs import EvaluationInputs
from emu.model.checkpoint import Checkpoint
from emu.model.choices import CHOICES, EPSILONS, fits, not_computed
from emu.model.config import ModelConfig
from emu.model.forward import Array, forward
from emu.record import Reading

_CHECKED_INPUTS = 8
_SEARCHED_INPUTS = 2
_MOST_STEPS = 2048
"""The most time steps times blocks for which pairs of choices are searched: a few seconds."""

_EXPLAINED = {"float64": 1e-6, "float32": 1e-5}
"""The difference, relative to the largest logit, that roundings explain. The float64 model of a library rounds some
steps to float32."""

_Change = tuple[str, Any]
"""A field of ``ModelConfig`` and another value."""


def check_reading(checkpoint: Checkpoint, inputs: EvaluationInputs, tolerance: float) -> Reading:
    """Return the reading of a checkpoint, compared with the reference logits if the inputs have any.

    Inputs and logits have the model's widths. A difference up to ``tolerance`` of the largest logit is allowed, too.

    Raises:
        InputError: the logits are another model's.

    """
    statements = list(checkpoint.reading)
    reference, kind = inputs.reference, "float32" if inputs.logits64 is None else "float64"
    if reference is None:
        return Reading(statements=statements)
    weights = {name: tensor.astype(np.float64) for name, tensor in checkpoint.weights.items()}
    comparison = _Comparison(weights, inputs.x[:_CHECKED_INPUTS], reference[:_CHECKED_INPUTS].astype(np.float64))
    errors = comparison.errors(checkpoint.config)
    error = float(errors.max())
    if not np.isfinite(error):  # some weights overflow any arithmetic: the image's writer names them
        return Reading(statements=statements)
    explained = max(_EXPLAINED[kind], tolerance)
    if error > explained:
        raise InputError(_mismatch(checkpoint, comparison, errors, explained))
    return Reading(statements=statements, checked_inputs=len(comparison.x), max_relative_error=error)


@dataclass(frozen=True, eq=False)
class _Comparison:
    weights: Mapping[str, Array]
    x: NDArray[np.float32]
    reference: Array
    """(B, C), or (B, T, C) for outputs at each step"""

    def errors(self, config: ModelConfig) -> Array:
        """Return the largest difference of each input's logits (B,), relative to the largest reference logit."""
        largest = max(float(np.abs(self.reference).max()), float(np.finfo(np.float64).tiny))
        differences = np.abs(forward(config, self.weights, self.x) - self.reference)
        return differences.reshape(len(self.x), -1).max(axis=1) / largest

    def agrees(self, config: ModelConfig, explained: float) -> bool:
        """Return whether all logits are those of ``config``; the first few inputs rule out most models."""
        first = replace(self, x=self.x[:_SEARCHED_INPUTS], reference=self.reference[:_SEARCHED_INPUTS])
        return all(bool((part.errors(config) <= explained).all()) for part in (first, self))


def _mismatch(checkpoint: Checkpoint, comparison: _Comparison, errors: Array, explained: float) -> str:
    what = (
        "the reference logits are another model's: they differ from these weights, as emu reads them, by "
        f"{errors.max():.1e} of the largest logit; rounding explains {explained:.0e}. No layer of the C is at fault: "
        "nothing was built. "
    )
    differ = np.flatnonzero(errors > explained)
    if len(differ) < len(errors):
        agree = len(errors) - len(differ)
        return f"{what}The logits of {agree} inputs agree; the first that differ are those of input {differ[0]}"
    for changes in _other_readings(checkpoint.config, comparison.x.shape[1]):
        other = replace(checkpoint.config, **dict(changes))
        if comparison.agrees(other, explained):
            named = " and ".join(_words(key, value) for key, value in changes)
            settings = " ".join(f"--set {key}={value}" for key, value in changes)
            remedy = f"state it: {settings}" if not_computed(other) is None else "the engine does not compute that"
            return f"{what}They are these weights' logits with {named}: {remedy}"
    assumed = [statement for statement in checkpoint.reading if statement.source == "assumed"]
    listed = ", ".join(f"{statement.what}: {statement.value}" for statement in assumed)
    names = {statement.what for statement in assumed}
    first = next((choice.tensor for choice in CHOICES if choice.key in names), "logits")
    return (
        f"{what}Assumed are {listed}. The first tensor that could differ is {first!r}. Give this model's own logits, "
        f"or state what it computes with --set KEY=VALUE"
    )


def _other_readings(config: ModelConfig, steps: int) -> Iterator[tuple[_Change, ...]]:
    """Yield other choices of the same tensors, the smallest change first."""
    changes: list[_Change] = [
        (choice.key, value)
        for choice in CHOICES
        for value in choice.values
        if value != getattr(config, choice.key) and fits(choice.key, value, config)
        if choice.key != "pooling" or "none" not in (value, config.pooling)  # the shape of the logits shows that
    ]
    changes += [
        ("norm_epsilon", epsilon)
        for epsilon in EPSILONS
        if epsilon != config.norm_epsilon and fits("norm_epsilon", epsilon, config)
    ]
    yield from ((change,) for change in changes)
    if steps * config.n_blocks <= _MOST_STEPS:
        yield from (pair for pair in combinations(changes, 2) if pair[0][0] != pair[1][0])


def _words(key: str, value: Any) -> str:
    words = next((f" ({choice.values[value]})" for choice in CHOICES if choice.key == key), "")
    return f"{key} {value}{words}"
