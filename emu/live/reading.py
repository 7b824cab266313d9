"""A captured module as a list of operations: traced back from the answer, and compared with the module's own tensors.

A submodule that has no part in the answer is left out. What has a part and is not understood is refused by its path.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from emu.errors import InputError
from emu.live.capture import Call, Capture, Tensors
from emu.live.layers import is_identity, is_mixer, read_layer
from emu.live.origins import Origin, Other, Pooled, Sum, Value, difference, origin
from emu.model.evaluation import evaluate
from emu.model.ops import Array, Fork, Linear, Operation, Pool

_CHAINED = 1e-5
"""The difference, relative to a tensor's largest value, that the roundings of a library add up to over all layers."""


@dataclass(frozen=True, eq=False)
class Step:
    """One operation of a module."""

    operation: Operation
    path: str
    """The submodule that computes the operation, or for what no submodule computes, the place of the result."""
    epsilon: float | None = None
    """A norm's epsilon."""
    expected: Array | None = None
    """The module's own result (B, T, width), or (B, width) without time; None if no place shows it."""


def read_steps(capture: Capture) -> list[Step]:
    """Return the operations that make a module's answer of its inputs, in order.

    Raises InputError that names the submodules, or the places between them, that emu does not understand, and the first
    tensor that differs from emu's own reading in float64.
    """
    steps = _Trace(capture).steps()
    results = evaluate([step.operation for step in steps], capture.x, _epsilon(steps))
    for step, result in zip(steps, results, strict=True):
        if step.expected is not None and (error := difference(result, step.expected)) > _CHAINED:
            raise InputError(
                f"{step.path}: emu's reading in float64 differs from the module's own tensor by {error:.1e} of the "
                "largest value, and agrees before that"
            )
    return steps


def _epsilon(steps: Sequence[Step]) -> float:
    """Return the epsilon of all norms. Raises InputError if they have several."""
    norms = [step for step in steps if step.epsilon is not None]
    for step in norms:
        if step.epsilon != norms[0].epsilon:
            raise InputError(
                f"{step.path}: its epsilon is {step.epsilon:g}, and that of {norms[0].path} is {norms[0].epsilon:g}; "
                "the engine has one for all norms"
            )
    return norms[0].epsilon or 0.0 if norms else 0.0


class _Trace:
    """The way from a module's answer back to its input."""

    def __init__(self, capture: Capture) -> None:
        self._shape = capture.x.shape[:2]
        self._odd = dict[str, tuple[int, ...]]()
        """The shape of a tensor that is in no known layout, by the submodule."""
        mixers = tuple(f"{call.path}." for call in capture.calls if is_mixer(call.module))
        self._calls = [
            self._in_one_layout(call)
            for call in capture.calls
            if not call.path.startswith(mixers) and not is_identity(call)
        ]
        self._values = list[Value]()
        self._x = self._value(capture.x, "the model's input", 0)
        self._inputs = dict[Call, Value]()
        self._made_by = dict[Value, Call]()
        self._origins = dict[Value, Origin | None]()
        ends = [(call.began, False, call) for call in self._calls] + [(call.ended, True, call) for call in self._calls]
        for time, ended, call in sorted(ends, key=lambda end: end[0]):
            for array in call.outputs if ended else call.inputs:
                of = "output" if ended else "input"
                value = self._value(array, f"the {of} of {call.path} ({call.kind})", time)
                if not ended:
                    self._inputs.setdefault(call, value)
                elif (call.is_leaf or is_mixer(call.module)) and self._began_with(call) < value.time:
                    self._made_by.setdefault(value, call)
        output = self._canonical(capture.output)
        if output is None:
            raise InputError(f"model returns {list(capture.output.shape)}; emu needs [N, C] or [N, T, C]")
        self._output = self._value(
            output, "the model's output", 1 + max((call.ended for call in self._calls), default=0)
        )

    def steps(self) -> list[Step]:
        """Return the steps from the input to the answer."""
        steps = self._steps(self._output, self._x)
        assert steps is not None, "each way back ends at the input"
        return steps

    def _began_with(self, call: Call) -> int:
        """Return when a call's input was first seen: a later value cannot be what an earlier one was made of."""
        return self._inputs[call].time if call in self._inputs else call.began

    def _value(self, array: Array, name: str, time: int) -> Value:
        """Return the value with this array: one that was seen, or a new one."""
        for value in reversed(self._values):
            if value.array.shape == array.shape and (value.array == array).all():
                return value
        self._values.append(Value(array, name, time))
        return self._values[-1]

    def _in_one_layout(self, call: Call) -> Call:
        """Return a call with its tensors in one layout, without those that have none."""

        def understood(arrays: Tensors) -> Iterator[Array]:
            for array in arrays:
                if (same := self._canonical(array)) is not None:
                    yield same
                elif call.is_leaf or is_mixer(call.module):
                    self._odd.setdefault(f"{call.path} ({call.kind})", array.shape)

        return replace(call, inputs=tuple(understood(call.inputs)), outputs=tuple(understood(call.outputs)))

    def _canonical(self, array: Array) -> Array | None:
        """Return a tensor as (B, T, width) or (B, width), whatever its layout; None for anything else."""
        batch, steps = self._shape
        match array.shape:
            case (first, second, _) if (first, second) == (batch, steps):
                return array
            case (first, second, _) if (first, second) == (steps, batch):
                return array.swapaxes(0, 1)
            case (first, _, last) if (first, last) == (batch, steps):
                return array.swapaxes(1, 2)
            case (rows, width) if rows == batch * steps:
                return array.reshape(batch, steps, width)
            case (first, _) if first == batch:
                return array
            case (first,) if first == batch:
                return array[:, None]
        return None

    def _steps(self, value: Value, start: Value) -> list[Step] | None:
        """Return the steps from ``start`` to ``value``; None if ``value`` does not come from ``start``."""
        if value is start:
            return []
        if value is self._x:
            return None
        call = self._made_by.get(value)
        if call is not None and (layer := self._layers.get(call)) is not None:
            before = self._steps(self._inputs[call], start)
            return None if before is None else [*before, *layer]
        match self._origin(value):
            case Value() as same:
                return self._steps(same, start)
            case Pooled(pooling, of):
                before = self._sum(of, start, value) if isinstance(of, Sum) else self._steps(of, start)
                place = f"what becomes {value.name}"
                return None if before is None else [*before, Step(Pool(pooling), place, expected=value.array)]
            case Sum() as total:
                return self._sum(total, start, value)
            case made:
                raise self._refusal(value, made)

    def _sum(self, total: Sum, start: Value, value: Value) -> list[Step] | None:
        """Return the steps to a residual: from ``start`` to the tensor that is kept, then the branch around it."""
        ways = [(total.skip, total.branch, total.scale)]
        if total.scale == 1.0:
            ways.append((total.branch, total.skip, 1.0))
        for skip, branch, scale in ways:
            inside = self._steps(branch, skip)
            if inside is None:
                continue
            before = self._steps(skip, start)
            if before is None:
                return None
            last = inside[-1].operation
            if not isinstance(last, Linear) or any(isinstance(step.operation, Fork | Pool) for step in inside):
                raise InputError(
                    f"{value.name} is {skip.name} plus {branch.name}: emu adds what ends in a linear layer, without "
                    "another residual in it"
                )
            bias = None if last.bias is None else scale * last.bias
            expected = value.array if value.array.shape == skip.array.shape else None  # else it is pooled
            adding = replace(inside[-1], operation=Linear(scale * last.weight, bias, adds=True), expected=expected)
            return [*before, Step(Fork(), f"what becomes {value.name}"), *inside[:-1], adding]
        raise InputError(
            f"{value.name} is {total.skip.name} plus {total.branch.name}, and neither is made of the other: the engine "
            "has one path with residuals"
        )

    def _origin(self, value: Value) -> Origin | None:
        if value not in self._origins:
            earlier = [each for each in self._values if each.time < value.time and each is not value]
            self._origins[value] = origin(value, earlier)
        return self._origins[value]

    @cached_property
    def _layers(self) -> dict[Call, list[Step]]:
        """The steps of each submodule that emu knows. Raises InputError if a Mamba block is of another kind."""
        layers: dict[Call, list[Step]] = {}
        refused: list[str] = []
        for call in self._calls:
            try:
                known = read_layer(call)
            except InputError as error:
                refused.append(str(error))
                continue
            if known is not None:
                operations, epsilon = known
                *first, last = (Step(operation, call.path, epsilon) for operation in operations)
                layers[call] = [*first, replace(last, expected=call.outputs[0])]
        if refused:
            raise InputError("; ".join(refused))
        return layers

    def _refusal(self, value: Value, made: Origin | None) -> InputError:
        """Return the error for a value that no operation makes."""
        unknown = [f"{call.path}: emu knows no {call.kind}" for call in self._unknown()]
        unknown += [
            f"{place} takes or gives a tensor {list(shape)}, which has no row for each of the {self._shape[1]} steps"
            for place, shape in self._odd.items()
        ]
        if isinstance(made, Other):
            unknown.append(f"{value.name} is {made.words}, which the engine does not compute")
        elif self._made_by.get(value) not in self._unknown():
            unknown.append(f"{value.name}: emu does not know how it is made of what comes before it")
        return InputError("; ".join(unknown))

    def _unknown(self) -> list[Call]:
        return [call for call in self._calls if call.is_leaf and call not in self._layers]
