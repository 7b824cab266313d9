"""Parity: the firmware's outputs against PyTorch's, on the same inputs."""

import numpy as np
from numpy.typing import NDArray

from emu.inputs import EvaluationInputs
from emu.record import ClassParity, Errors, NotNumbers, Parity, WorstInput

_WORST_INPUTS, _FIRST_INPUTS = 10, 10


def compare(outputs: NDArray[np.float32], inputs: EvaluationInputs, answered: int | None = None) -> Parity | None:
    """Compare outputs (N, C) with the reference logits; return None if the inputs have no logits.

    The firmware answered the first ``answered`` inputs; None stands for all. The reference is PyTorch's float64 output
    if the inputs have it, else the float32 output. An input without an answer agrees with no class, and neither does an
    input with an output that is NaN or infinite. The error of such an output is infinite.
    """
    reference = inputs.logits64 if inputs.logits64 is not None else inputs.logits32
    if reference is None:
        return None
    error = _absolute_error(outputs, reference)  # (N, C)
    not_numbers = _not_numbers(outputs, len(outputs) if answered is None else answered)  # (N,)
    predicted, expected = _argmax(outputs), reference.argmax(axis=1)
    agrees = predicted == expected
    labels = inputs.labels
    # A wrong class is worse than any error; equally bad inputs keep their order.
    worst_first = np.lexsort((-error.max(axis=1), agrees))
    worst_inputs = [
        WorstInput(
            index=int(index),
            max_abs_error=float(error[index].max()),
            predicted=int(predicted[index]),
            expected=int(expected[index]),
            label=int(labels[index]) if labels is not None else None,
            not_numbers=int(not_numbers[index]),
            answered=answered is None or bool(index < answered),
        )
        for index in worst_first[:_WORST_INPUTS]
    ]
    return Parity(
        inputs=len(outputs),
        reference="PyTorch float64" if inputs.logits64 is not None else "PyTorch float32",
        max_abs_error=float(error.max()),
        mean_abs_error=float(error.mean()),
        relative_mean_error=float(error.mean() / max(float(np.abs(reference).max()), np.finfo(np.float64).tiny)),
        argmax_agreement=float(agrees.mean()),
        worst_input=worst_inputs[0],
        worst_inputs=worst_inputs,
        by_class=[
            _class_parity(index, inputs.classes, error[expected == index], predicted[expected == index])
            for index in range(reference.shape[1])
        ],
        float32=_errors(outputs, inputs.logits32) if inputs.logits32 is not None else None,
        label_accuracy=float((predicted == labels).mean()) if labels is not None else None,
        not_numbers=_describe(not_numbers, outputs[:answered].size),
        unanswered=0 if answered is None else len(outputs) - answered,
    )


def _not_numbers(outputs: NDArray[np.float32], answered: int) -> NDArray[np.int64]:
    """Return how many outputs of each input are NaN or infinite; 0 for inputs without an answer."""
    counts = (~np.isfinite(outputs)).sum(axis=1)
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
    return np.where(np.isfinite(outputs).all(axis=1), outputs.argmax(axis=1), -1)


def _absolute_error(outputs: NDArray[np.float32], reference: np.ndarray) -> NDArray[np.float64]:
    error = np.abs(outputs.astype(np.float64) - reference)
    return np.where(np.isfinite(error), error, np.inf)


def _errors(outputs: NDArray[np.float32], reference: NDArray[np.float32]) -> Errors:
    error = _absolute_error(outputs, reference)
    return Errors(max_abs_error=float(error.max()), mean_abs_error=float(error.mean()))
