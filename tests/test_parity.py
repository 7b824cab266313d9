"""Parity of hand-made outputs with known distances."""

from typing import Any

import numpy as np
import pytest

from emu.inputs import EvaluationInputs
from emu.parity import compare

LOGITS = np.array([[1.0, 2.0, -4.0], [3.0, 0.0, 1.0]])


def inputs(**given: Any) -> EvaluationInputs:
    return EvaluationInputs(x=np.zeros((2, 4, 1), np.float32), **given)


def test_equal_outputs_have_no_error():
    parity = compare(LOGITS.astype(np.float32), inputs(logits64=LOGITS))
    assert parity is not None
    assert (parity.max_abs_error, parity.mean_abs_error, parity.argmax_agreement) == (0.0, 0.0, 1.0)


def test_errors_are_of_the_float64_reference_where_there_is_one():
    outputs = LOGITS.astype(np.float32)
    outputs[1, 2] += 0.5
    parity = compare(outputs, inputs(logits64=LOGITS, logits32=outputs.copy()))
    assert parity is not None
    assert parity.reference == "PyTorch float64"
    assert parity.max_abs_error == 0.5
    assert parity.mean_abs_error == pytest.approx(0.5 / 6)
    assert parity.relative_mean_error == pytest.approx(0.5 / 6 / 4.0)
    assert parity.worst_input.index == 1
    assert parity.float32 is not None
    assert parity.float32.max_abs_error == 0.0


def test_a_wrong_label_is_the_worst_input_whatever_its_distance():
    outputs = np.array([[1.0, 2.0, -9.0], [0.9, 1.0, 1.1]], np.float32)
    parity = compare(outputs, inputs(logits64=LOGITS, labels=np.array([1, 2])))
    assert parity is not None
    assert parity.argmax_agreement == 0.5
    assert (parity.worst_input.index, parity.worst_input.predicted, parity.worst_input.expected) == (1, 2, 0)
    assert parity.label_accuracy == 1.0


def test_classes_are_the_references_and_the_worst_input_comes_first():
    logits = np.eye(3)[[0, 0, 1, 1, 1]]  # no input has class 2
    outputs = logits.astype(np.float32)
    outputs[1, 0] += 0.25
    outputs[3] = [0, 1, 2]
    outputs[4, 0] = np.nan
    parity = compare(
        outputs,
        EvaluationInputs(np.zeros((5, 4, 1), np.float32), np.arange(5), logits, classes=("walk", "run", "rest")),
    )
    assert parity is not None
    assert [(c.name, c.inputs, c.predictions) for c in parity.by_class] == [
        ("walk", 2, {0: 2}),
        ("run", 3, {-1: 1, 1: 1, 2: 1}),
        ("rest", 0, {}),
    ]
    assert [c.max_abs_error for c in parity.by_class] == [0.25, np.inf, None]
    worst = [(w.index, w.label, w.predicted, w.expected, w.max_abs_error) for w in parity.worst_inputs]
    assert worst[:3] == [(4, 4, -1, 1, np.inf), (3, 3, 2, 1, 2.0), (1, 1, 0, 0, 0.25)]
    assert [entry[0] for entry in worst[3:]] == [0, 2]
    assert parity.worst_input == parity.worst_inputs[0]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_output_that_is_no_number_agrees_with_nothing(value: float):
    outputs = LOGITS.astype(np.float32)
    outputs[0, 1] = value
    parity = compare(outputs, inputs(logits64=LOGITS))
    assert parity is not None
    assert parity.argmax_agreement == 0.5
    assert parity.max_abs_error == np.inf


def test_outputs_without_a_number_are_counted_for_each_input_that_was_answered():
    outputs = np.zeros((13, 3), np.float32)
    outputs[1] = [np.nan, np.inf, 0]
    outputs[4, 2] = -np.inf
    outputs[11:] = np.nan  # the firmware stopped before these
    parity = compare(outputs, EvaluationInputs(np.zeros((13, 4, 1), np.float32), logits64=np.eye(13, 3)), answered=11)
    assert parity is not None
    found = parity.not_numbers
    assert found is not None
    assert (found.outputs, found.all_outputs, found.inputs, found.first_inputs) == (3, 33, 2, [1, 4])
    assert parity.unanswered == 2
    worst = {each.index: (each.not_numbers, each.answered) for each in parity.worst_inputs}
    assert [worst[index] for index in (0, 1, 4, 11, 12)] == [(0, True), (2, True), (1, True), (0, False), (0, False)]


def test_numbers_alone_are_not_counted():
    parity = compare(LOGITS.astype(np.float32), inputs(logits64=LOGITS), answered=2)
    assert parity is not None
    assert (parity.not_numbers, parity.unanswered) == (None, 0)


def test_without_logits_there_is_no_parity():
    assert compare(LOGITS.astype(np.float32), inputs()) is None


def test_an_infinite_error_survives_json():
    outputs = LOGITS.astype(np.float32)
    outputs[0, 1] = np.nan
    parity = compare(outputs, inputs(logits64=LOGITS, logits32=LOGITS.astype(np.float32)))
    assert parity is not None
    assert type(parity).model_validate_json(parity.model_dump_json()) == parity


STEPS = np.array([[[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]], [[0.0, 4.0], [2.0, 0.0], [5.0, 0.0]]])
"""Logits (2, 3, 2) of two inputs at three steps."""


def test_the_classes_of_each_step_are_compared():
    outputs = STEPS.astype(np.float32)
    outputs[1, 0] = [1.5, 1.0]  # another class
    outputs[1, 2, 0] = 9.0  # a larger error
    labels = np.array([[1, 0, 1], [1, 0, 1]])
    parity = compare(outputs, inputs(logits64=STEPS, labels=labels))
    assert parity is not None
    assert (parity.inputs, parity.steps, parity.compared, parity.agreeing) == (2, 3, 6, 5)
    assert parity.label_accuracy == pytest.approx(4 / 6)
    worst = parity.worst_input
    assert (worst.index, worst.step, worst.predicted, worst.expected, worst.label) == (1, 0, 0, 1, 1)
    assert worst.max_abs_error == 4.0
    assert [(each.inputs, each.predictions) for each in parity.by_class] == [(3, {0: 3}), (3, {1: 2, 0: 1})]


def test_outputs_of_each_step_without_classes_have_no_labels():
    outputs = STEPS.astype(np.float32)
    outputs[0, 1, 1] = 0.25
    parity = compare(outputs, inputs(logits64=STEPS))
    assert parity is not None
    assert parity.argmax_agreement is None
    assert parity.agreeing is None
    assert parity.by_class == []
    worst = parity.worst_input
    assert (worst.index, worst.step, worst.predicted, worst.expected) == (0, 1, -1, -1)
    assert parity.mean_abs_error == pytest.approx(0.25 / 12)


def test_an_output_of_one_step_that_is_no_number_is_counted():
    outputs = STEPS.astype(np.float32)
    outputs[0, 2] = [np.nan, np.inf]
    parity = compare(outputs, inputs(logits64=STEPS, classes=("left", "right")), answered=2)
    assert parity is not None
    assert parity.not_numbers is not None
    assert (parity.not_numbers.outputs, parity.not_numbers.all_outputs, parity.not_numbers.first_inputs) == (2, 12, [0])
    assert (parity.worst_input.index, parity.worst_input.step, parity.worst_input.predicted) == (0, 2, -1)
