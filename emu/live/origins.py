"""How a tensor was made from earlier ones, found by their values: what lies between a model's submodules has no name.

Tensors are (B, T, width), or (B, width) without time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from emu.model.config import Pooling
from emu.model.forward import ACTIVATIONS, POOLINGS
from emu.model.ops import Array

EXACT = 1e-11
"""The difference, relative to the largest value, that another order of float64 operations explains."""
ROUNDED = 1e-6
"""The difference that roundings to float32 explain: libraries round norms, residuals and decays, even in float64."""


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor that a model makes, once for all places at which it is seen."""

    array: Array
    name: str
    """The first place: ``the input of model.head``."""
    time: int
    """When it was first seen."""


@dataclass(frozen=True)
class Sum:
    """One tensor plus another, which is scaled."""

    skip: Value
    branch: Value
    scale: float = 1.0


@dataclass(frozen=True)
class Pooled:
    """A tensor without time, of one with time."""

    pooling: Pooling
    of: Value | Sum


@dataclass(frozen=True)
class Other:
    """A tensor that is made in a way that is no operation."""

    words: str


Origin = Value | Sum | Pooled | Other


def difference(found: Array, expected: Array) -> float:
    """Return the largest difference, relative to the largest expected value; infinite for another shape."""
    if found.shape != expected.shape:
        return float("inf")
    largest = max(float(np.abs(expected).max()), float(np.finfo(np.float64).tiny))
    error = float(np.abs(found - expected).max()) / largest
    return error if np.isfinite(error) else float("inf")


def origin(value: Value, earlier: Sequence[Value]) -> Origin | None:
    """Return how ``value`` was made from ``earlier`` values, or None if no known way gives it.

    The simplest way counts, and among equally simple ways the latest values.
    """
    latest_first = sorted(earlier, key=lambda each: -each.time)
    for allowed in (EXACT, ROUNDED):
        for made, array in _ways(value, latest_first):
            if difference(array, value.array) <= allowed:
                return made
    return _scaled_sum(value, latest_first)


def _ways(value: Value, values: Sequence[Value]) -> Iterator[tuple[Origin, Array]]:
    """Yield each way to make a tensor of the value's shape, with that tensor."""
    timed = value.array.ndim == 3
    sources = [each for each in values if each.array.ndim == 3 and each.array.shape[::2] == value.array.shape]
    same = [each for each in values if each.array.shape == value.array.shape]
    yield from ((each, each.array) for each in same)
    if not timed:
        for name, pool in POOLINGS.items():
            yield from ((Pooled(name, each), pool(each.array)) for each in sources)
    for skip, branch in _sums(value, same):
        yield Sum(skip, branch), skip.array + branch.array
    if not timed:
        for skip, branch in combinations(sources, 2):
            total = skip.array + branch.array
            yield from ((Pooled(name, Sum(branch, skip)), pool(total)) for name, pool in POOLINGS.items())
    yield from _others(same, timed=timed)
    for each in sources if not timed else ():
        for (name, function), (pooling, pool) in product(_FUNCTIONS.items(), POOLINGS.items()):
            yield Other(f"the {pooling} over time of {name} of {each.name}"), pool(function(each.array))


def _sums(value: Value, same: Sequence[Value]) -> Iterator[tuple[Value, Value]]:
    """Yield the pairs whose sum can be the value: one time step rules out nearly all others."""
    flat = [each.array[-1].reshape(-1)[-8:] for each in same]
    wanted = value.array[-1].reshape(-1)[-8:]
    scale = float(np.abs(value.array).max())
    for first, second in combinations(range(len(same)), 2):
        if np.abs(flat[first] + flat[second] - wanted).max() <= ROUNDED * scale:
            yield same[second], same[first]  # the branch is the later one


def _others(same: Iterable[Value], *, timed: bool) -> Iterator[tuple[Origin, Array]]:
    """Yield ways that are no operation, so that a refusal can name them."""
    for each in same:
        for name, function in _FUNCTIONS.items():
            yield Other(f"{name} of {each.name}"), function(each.array)
        if timed:
            yield Other(f"{each.name}, reversed in time"), each.array[:, ::-1]
            yield Other(f"the steps of {each.name} so far, added up"), np.cumsum(each.array, axis=1)
            yield Other(f"{each.name}, one step later"), np.pad(each.array, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    for first, second in combinations(same, 2):
        yield Other(f"{second.name} times {first.name}"), first.array * second.array


def _scaled_sum(value: Value, values: Iterable[Value]) -> Origin | None:
    """Return the value as a sum with factors, if it is one."""
    same = [each for each in values if each.array.shape == value.array.shape]
    wanted = value.array.reshape(-1)
    for each in same:
        column = each.array.reshape(-1, 1)
        (factor,) = np.linalg.lstsq(column, wanted, rcond=None)[0]
        if difference(factor * each.array, value.array) <= ROUNDED:
            return Other(f"{factor:.6g} times {each.name}")
    for branch, skip in combinations(same, 2):
        columns = np.stack([skip.array.reshape(-1), branch.array.reshape(-1)], axis=1)
        (a, b), *_ = np.linalg.lstsq(columns, wanted, rcond=None)
        if difference(a * skip.array + b * branch.array, value.array) <= ROUNDED:
            if abs(a - 1.0) <= ROUNDED:
                return Sum(skip, branch, float(b))
            return Other(f"{a:.6g} times {skip.name} plus {b:.6g} times {branch.name}")
    return None


def _sigmoid(values: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-values))


def _softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


_FUNCTIONS: Mapping[str, Callable[[Array], Array]] = {
    **ACTIVATIONS,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "softmax": _softmax,
    "log_softmax": lambda values: np.log(_softmax(values)),
    "softplus": lambda values: np.logaddexp(0.0, values),
}
