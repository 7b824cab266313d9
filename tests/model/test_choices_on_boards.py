"""Choices that no tensor shows, from the checkpoint to the board: PyTorch's logits, on both boards."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from samples import CONFIGS, random_sequence, random_weights
from test_forward import Classifier

from emu.inputs import EvaluationInputs
from emu.model.config import ModelConfig
from emu.model.stated import Stated
from emu.run import RunOptions, plan, read_request
from emu.targets import find_target

PLAIN = CONFIGS["two plain blocks with every bias"]
NORMED = CONFIGS["three residual blocks with every bias"]
BOARDS = ("stm32h7-unicorn", "esp32s3-qemu")


class WithBiases(Classifier):
    """The classifier whose LayerNorms have biases, as PyTorch's have unless one asks for none."""

    def __init__(self, config: ModelConfig, final_norm: bool) -> None:
        super().__init__(config)
        for layer in self.layers:
            assert isinstance(layer, torch.nn.ModuleDict)
            layer["norm"] = torch.nn.LayerNorm(config.d_model, eps=config.norm_epsilon)
        self.norm_f = torch.nn.LayerNorm(config.d_model, eps=config.norm_epsilon) if final_norm else torch.nn.Identity()


CASES: dict[str, tuple[ModelConfig, dict[str, Any]]] = {
    "LayerNorm": (NORMED, {"norm": "layer"}),
    "LayerNorm after the block": (NORMED, {"norm": "layer", "block": "post-norm"}),
    "a norm without a residual": (NORMED, {"block": "norm"}),
    "a residual without a norm": (PLAIN, {"block": "plain-residual"}),
    "the maximum": (NORMED, {"pooling": "max"}),
    "the maximum of plain blocks": (PLAIN, {"pooling": "max"}),
    "the sum": (PLAIN, {"pooling": "sum"}),
    "outputs at each step": (NORMED, {"pooling": "none"}),
    "outputs at each step of plain blocks": (PLAIN, {"pooling": "none"}),
}


def assert_parity(directory: Path, model: Classifier, board: str, stated: Stated) -> None:
    """The board gives the model's float64 logits, to a few roundings of float32."""
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    save_file(model.float().state_dict(), directory / "model.safetensors")
    x = np.stack([random_sequence(model.config, 9, seed) for seed in range(2)]).astype(np.float32)
    with torch.no_grad():
        logits = model.double()(torch.from_numpy(x).double()).numpy()
    request = read_request(directory / "model.safetensors", EvaluationInputs(x, logits64=logits), stated=stated)
    (job,) = plan([request], [find_target(board)], RunOptions(trace_input=1))
    run = job.run(lambda _done, _total: None)
    assert run.ok, run.verdicts
    assert run.parity is not None
    assert run.parity.max_abs_error <= 2e-6 * np.abs(logits).max()
    assert run.reading is not None
    assert run.reading.max_relative_error is not None
    assert run.reading.max_relative_error < 1e-12


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize(("config", "changes"), CASES.values(), ids=CASES.keys())
def test_a_stated_choice_is_computed(tmp_path: Path, board: str, config: ModelConfig, changes: dict[str, Any]) -> None:
    changed = replace(config, **changes)
    model = Classifier(changed)
    model.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in random_weights(config).items()})
    known: dict[str, Any] = {"pooling": changed.pooling}
    if config is NORMED:
        known["norm_epsilon"] = config.norm_epsilon
    assert_parity(tmp_path, model, board, Stated.model_validate(known | changes))


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("final_norm", [True, False], ids=["a final norm", "no final norm"])
def test_layer_norms_with_biases_are_known_by_them(tmp_path: Path, board: str, final_norm: bool) -> None:
    config = replace(NORMED, norm="layer")
    model = WithBiases(config, final_norm)
    weights = {name: torch.from_numpy(tensor) for name, tensor in random_weights(NORMED).items()}
    model.load_state_dict(weights, strict=False)
    assert_parity(tmp_path, model, board, Stated(pooling="last", norm_epsilon=1e-3))
