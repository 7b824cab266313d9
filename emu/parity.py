"""Parity: the firmware's outputs against PyTorch's, on the same inputs."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emu.inputs import EvaluationInputs
from emu.record import ClassParity, Errors, NotNumbers, Parity, WorstInput

_WORST_INPUTS, _FIRST_INPUTS = 10, 10


def compare(outputs: NDArray[np.float32], inputs: EvaluationInputs, answered: int | None = None) -> Parity | None:
    """Compare outputs with the reference logits; return None if the inputs have no logits.

    Outputs are (N, C), or (N, T, C) for outputs at each step, which are classes only if the inputs are tokens, or come
    with true or named classes. The firmware answered the first ``answered`` inputs; None stands for all. The reference
    is PyTorch's float64 output if the inputs have it, else the float32 output. An input (or a step) without an answer
    agrees with no class, and neither does one with an output that is NaN or infinite, whose error is infinite.
    """
    reference = inputs.reference
    if reference is None:
        return None
    error = _absolute_error(outputs, reference)  # as the outputs
    has_classes = outputs.ndim == 2 or inputs.are_tokens or inputs.labels is not None or inputs.classes is not None
    not_numbers = _not_numbers(outputs, len(outputs) if answered is None else answered)  # (N,)
    predicted, expected = _argmax(outputs), reference.argmax(axis=-1)  # (N,), or (N, T)
    if not has_classes:
        predicted, expected = np.full_like(predicted, -1), np.full_like(expected, -1)
    agrees = predicted == expected
    labels = inputs.labels
    worst_steps = [_worst_first(each.max(axis=-1), agreeing)[0] for each, agreeing in _by_input(error, agrees)]
    largest = error.reshape(len(error), -1).max(axis=1)  # (N,)
    worst_inputs = [
        WorstInput(
            index=int(index),
            max_abs_error=float(largest[index]),
            predicted=int(predicted[at]),
            expected=int(expected[at]),
            label=int(labels[at]) if labels is not None else None,
            step=int(worst_steps[index]) if outputs.ndim == 3 else None,
            not_numbers=int(not_numbers[index]),
            answered=answered is None or bool(index < answered),
        )
        for index in _worst_first(largest, agrees.reshape(len(agrees), -1).all(axis=1))[:_WORST_INPUTS]
        for at in [(index, worst_steps[index]) if outputs.ndim == 3 else (index,)]
    ]
    return Parity(
        inputs=len(outputs),
        reference="PyTorch float64" if inputs.logits64 is not None else "PyTorch float32",
        max_abs_error=float(error.max()),
        mean_abs_error=float(error.mean()),
        relative_mean_error=float(error.mean() / max(float(np.abs(reference).max()), np.finfo(np.float64).tiny)),
        steps=outputs.shape[1] if outputs.ndim == 3 else None,
        argmax_agreement=float(agrees.mean()) if has_classes else None,
        worst_input=worst_inputs[0],
        worst_inputs=worst_inputs,
        by_class=[
            _class_parity(index, inputs.classes, error[expected == index], predicted[expected == index])
            for index in range(reference.shape[-1] if has_classes else 0)
        ],
        float32=_errors(outputs, inputs.logits32) if inputs.logits32 is not None else None,
        label_accuracy=float((predicted == labels).mean()) if labels is not None else None,
        not_numbers=_describe(not_numbers, outputs[:answered].size),
        unanswered=0 if answered is None else len(outputs) - answered,
    )


def _by_input(
    error: NDArray[np.float64], agrees: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Yield the errors (T, C) and the agreements (T,) of each input; T is 1 for outputs of whole inputs."""
    for each, agreeing in zip(error, agrees, strict=True):
        yield each.reshape(-1, each.shape[-1]), agreeing.reshape(-1)


def _worst_first(error: NDArray[np.float64], agrees: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the indices, worst first: a wrong class is worse than any error, and equally bad ones keep their order."""
    return np.lexsort((-error, agrees))


def _not_numbers(outputs: NDArray[np.float32], answered: int) -> NDArray[np.int64]:
    """Return how many outputs of each input are NaN or infinite; 0 for inputs without an answer."""
    counts = (~np.isfinite(outputs)).reshape(len(outputs), -1).sum(axis=1)
    counts[answered:] = 0
    return counts


def _describe(not_numbers: NDArray[np.int64], all_outputs: int) -> NotNumbers | None:
    having = np.flatnonzero(not_numbers)
    if not len(having):
        return None
    return NotNumbers(
        outputs=int(not_numbers.sum()),
        all_outputs=all_outputs,
        inputs=len(having),
        first_inputs=having[:_FIRST_INPUTS].tolist(),
    )


def _class_parity(
    index: int, names: tuple[str, ...] | None, error: NDArray[np.float64], predicted: NDArray[np.int64]
) -> ClassParity:
    said, counts = np.unique(predicted, return_counts=True)
    return ClassParity(
        index=index,
        name=names[index] if names is not None else None,
        inputs=len(predicted),
        predictions={int(said[i]): int(counts[i]) for i in np.argsort(-counts, kind="stable")},
        max_abs_error=float(error.max()) if len(error) else None,
    )


def _argmax(outputs: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.where(np.isfinite(outputs).all(axis=-1), outputs.argmax(axis=-1), -1)


def _absolute_error(outputs: NDArray[np.float32], reference: np.ndarray) -> NDArray[np.float64]:
    error = np.abs(outputs.astype(np.float64) - reference)
    return np.where(np.isfinite(error), error, np.inf)


def _errors(outputs: NDArray[np.float32], reference: NDArray[np.float32]) -> Errors:
    error = _absolute_error(outputs, reference)
    return Errors(max_abs_error=float(error.max()), mean_abs_error=float(error.mean()))
