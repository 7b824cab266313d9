"""The order in which the engine can run a module's operations. Each change keeps the results in float64."""

from collections.abc import Sequence
from dataclasses import replace

from emu.live.reading import Step
from emu.model.graph import compose
from emu.model.ops import Linear, Mixer, Norm, Operation, Pool


def normal_form(steps: Sequence[Step]) -> list[Step]:
    """Return the steps in the engine's order: the pooling as early as it can be, and no linear layer after another."""
    ordered = list(steps)
    while (swapped := _pooling_earlier(ordered)) is not None:
        ordered = swapped
    ordered = _composed(ordered)
    if not any(isinstance(step.operation, Pool) for step in ordered):
        ordered = _with_outputs_at_each_step(ordered)
    return ordered


def _pooling_earlier(steps: list[Step]) -> list[Step] | None:
    """Move the pooling before a linear layer that it commutes with, and the last step's norm before the pooling."""
    for at in range(1, len(steps)):
        one, another = steps[at - 1], steps[at]
        previous = steps[at - 2].operation if at > 1 else None
        match one.operation, another.operation:
            case Linear(adds=False), Pool("mean" | "last") if not isinstance(previous, Mixer):
                pass
            case Pool("last"), Norm():
                pass
            case _:
                continue
        first, second = (replace(step, expected=None) for step in (another, one))
        return [*steps[: at - 1], first, second, *steps[at + 1 :]]
    return None


def _composed(steps: list[Step]) -> list[Step]:
    """Make one linear layer of two that follow each other."""
    composed = steps[:1]
    for step in steps[1:]:
        match composed[-1].operation, step.operation:
            case Linear(adds=False) as inner, Linear(adds=False) as outer:
                path = f"{composed[-1].path}, {step.path}"
                composed[-1] = replace(step, operation=compose(outer, inner), path=path)
            case _:
                composed.append(step)
    return composed


def _with_outputs_at_each_step(steps: list[Step]) -> list[Step]:
    """Mark where the head begins that runs at each step: the last linear layer, if it is not a part of a block."""
    kinds: list[type[Operation]] = [type(step.operation) for step in steps]
    has_head = kinds[-1:] == [Linear] and kinds[-2:-1] != [Mixer] and not getattr(steps[-1].operation, "adds", False)
    at = len(steps) - 1 if has_head else len(steps)
    return [*steps[:at], Step(Pool("none"), "each step"), *steps[at:]]
