"""Modules in memory, read as operations, against the modules themselves and an evaluation that is not emu's."""

import numpy as np
import pytest
import torch
from live_modules import COMPUTED, REFUSED, F, shaken
from oracles import evaluate

from emu.errors import InputError
from emu.inputs import EvaluationInputs
from emu.live.exporting import image_of
from emu.live.module import read_module
from emu.model.graph import fold_linear_in, fold_out_proj

STEPS = 9


def rows(inputs: int = 4, steps: int = STEPS) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(inputs, steps, F)).astype(np.float32)


@pytest.mark.parametrize("name", COMPUTED)
def test_what_emu_computes_is_the_modules_own_answer(name: str) -> None:
    torch.manual_seed(0)
    module, x = shaken(COMPUTED[name]()), rows()
    with torch.no_grad():
        answer = module.double()(torch.from_numpy(x).double())
    answer = answer["logits"] if isinstance(answer, dict) else answer[0] if isinstance(answer, tuple) else answer
    expected = answer.numpy() if answer.ndim > 1 else answer.numpy()[:, None]
    live = read_module(module.float(), EvaluationInputs(x))
    largest = np.abs(expected).max()
    assert live.inputs.logits64 is not None
    assert np.abs(live.inputs.logits64 - expected).max() <= 1e-9 * largest
    folded = fold_out_proj(fold_linear_in(live.graph))
    assert np.abs(np.stack([evaluate(folded, row) for row in x]) - expected).max() <= 1e-6 * largest
    assert len(image_of(live)) > 0


@pytest.mark.parametrize("name", REFUSED)
def test_what_emu_does_not_compute_is_refused_by_its_path(name: str) -> None:
    torch.manual_seed(0)
    make, reason = REFUSED[name]
    with pytest.raises(InputError) as caught:
        image_of(read_module(shaken(make()), EvaluationInputs(rows())))
    assert reason in str(caught.value)
