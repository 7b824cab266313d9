"""Reference logits against the reading: models whose tensors emu knows, but whose forward pass differs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from samples import CONFIGS, random_sequence, random_weights
from test_forward import CHANGES, Classifier

from emu.errors import InputError
from emu.inputs import EvaluationInputs
from emu.model.checking import check_reading
from emu.model.checkpoint import Checkpoint, load_checkpoint
from emu.model.config import ModelConfig
from emu.model.forward import forward

RESIDUAL = CONFIGS["one residual block, mean"]


def checkpoint(directory: Path, config: ModelConfig) -> Checkpoint:
    metadata = {"pooling": config.pooling, "norm_epsilon": repr(config.norm_epsilon)}
    save_file(random_weights(config), directory / "model.safetensors", metadata)
    return load_checkpoint(directory / "model.safetensors")


def logits_of(config: ModelConfig, x: np.ndarray, changes: dict[str, Any] | None = None) -> np.ndarray:
    """Return PyTorch's logits of the weights that ``config`` has, in a model with other choices."""
    model = Classifier(replace(config, **(changes or {}))).double()
    model.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in random_weights(config).items()})
    with torch.no_grad():
        return model(torch.from_numpy(x).double()).numpy()


def rows(config: ModelConfig, inputs: int = 3) -> np.ndarray:
    return np.stack([random_sequence(config, 9, seed) for seed in range(inputs)]).astype(np.float32)


def refusal(model: Checkpoint, inputs: EvaluationInputs, tolerance: float = 0.0) -> str:
    with pytest.raises(InputError) as caught:
        check_reading(model, inputs, tolerance)
    return str(caught.value)


def test_the_models_own_logits_agree(tmp_path: Path) -> None:
    x = rows(RESIDUAL, 20)
    logits = logits_of(RESIDUAL, x)
    model = checkpoint(tmp_path, RESIDUAL)
    reading = check_reading(model, EvaluationInputs(x, logits64=logits), 0.0)
    assert reading.checked_inputs == 8
    assert reading.max_relative_error is not None
    assert reading.max_relative_error < 1e-12
    reading = check_reading(model, EvaluationInputs(x, logits32=logits.astype(np.float32)), 0.0)
    assert reading.max_relative_error is not None
    assert 0 < reading.max_relative_error < 1e-6


def test_without_logits_nothing_is_checked_and_the_assumptions_stay_in_sight(tmp_path: Path) -> None:
    reading = check_reading(checkpoint(tmp_path, RESIDUAL), EvaluationInputs(rows(RESIDUAL)), 0.0)
    assert (reading.checked_inputs, reading.max_relative_error) == (0, None)
    assumed = {each.what for each in reading.statements if each.source == "assumed"}
    assert assumed == {"norm", "direction", "activation", "gate", "inner_norm", "block", "between the layers"}


LOOK_ALIKES = [
    (config, changes)
    for config, changes in CHANGES
    if "activation" not in changes and "norm_epsilon" not in changes and changes.get("pooling") != "none"
] + [(RESIDUAL, {"norm_epsilon": 1e-3}), (RESIDUAL, {"norm_epsilon": 1e-6})]


@pytest.mark.parametrize(("config", "changes"), LOOK_ALIKES, ids=repr)
def test_a_look_alike_is_stopped_and_recognised(tmp_path: Path, config: ModelConfig, changes: dict[str, Any]) -> None:
    x = rows(config)
    inputs = EvaluationInputs(x, logits64=logits_of(config, x, changes))
    message = refusal(checkpoint(tmp_path, config), inputs)
    assert message.startswith("the reference logits are another model's")
    assert "No layer of the C is at fault" in message
    if "direction" in changes:
        assert message.endswith("the engine does not compute that")
    else:
        remedy = message.partition("state it: ")[2]
        assert {*remedy.removeprefix("--set ").split(" --set ")} == {f"{key}={value}" for key, value in changes.items()}
    for key, value in changes.items():
        assert f"{key} {value}" in message


def test_an_input_whose_logits_alone_differ_is_named(tmp_path: Path) -> None:
    x = rows(RESIDUAL)
    logits = logits_of(RESIDUAL, x)
    logits[2] = np.roll(logits[2], 1)
    message = refusal(checkpoint(tmp_path, RESIDUAL), EvaluationInputs(x, logits64=logits))
    assert message.endswith("The logits of 2 inputs agree; the first that differ are those of input 2")


def test_logits_that_no_known_choice_explains_name_the_first_assumption(tmp_path: Path) -> None:
    x = rows(RESIDUAL)
    message = refusal(checkpoint(tmp_path, RESIDUAL), EvaluationInputs(x, logits64=1 + logits_of(RESIDUAL, x)))
    assert "The first tensor that could differ is 'layers.0.norm'" in message
    assert "Assumed are norm: RMSNorm, " in message


def test_a_tolerance_that_the_user_widened_counts_for_the_reading(tmp_path: Path) -> None:
    x = rows(RESIDUAL)
    logits = logits_of(RESIDUAL, x)
    inputs = EvaluationInputs(x, logits64=logits + 0.01 * np.abs(logits).max())
    model = checkpoint(tmp_path, RESIDUAL)
    assert "they differ from these weights, as emu reads them, by" in refusal(model, inputs, 0.005)
    reading = check_reading(model, inputs, 0.05)
    assert reading.max_relative_error is not None
    assert 0.005 < reading.max_relative_error < 0.011


def test_weights_that_overflow_are_left_to_the_image(tmp_path: Path) -> None:
    weights = random_weights(RESIDUAL) | {"layers.0.mixer.A_log": np.full((16, 4), 1e30, np.float32)}
    save_file(weights, tmp_path / "model.safetensors")
    model = load_checkpoint(tmp_path / "model.safetensors")
    x = rows(RESIDUAL)
    float64 = {name: tensor.astype(np.float64) for name, tensor in weights.items()}
    if not np.isfinite(forward(RESIDUAL, float64, x)).all():
        reading = check_reading(model, EvaluationInputs(x, logits64=np.zeros((3, 3))), 0.0)
        assert reading.max_relative_error is None
