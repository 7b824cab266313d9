"""The shared training loop and the files it leaves, on a problem small enough to learn in seconds."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from emu.model.config import ModelConfig
from emu.model.reference import MambaClassifier
from models.datasets.examples import Examples, balanced, joined
from models.training import Normalisation, Recipe, accuracy, train, write_demo

RECIPE = Recipe(epochs=6, learning_rate=5e-3, batch=32)


def directions(count: int, seed: int) -> Examples:
    """Noise on a ramp that rises (class 1) or falls (class 0)."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    ramp = np.linspace(-1, 1, 12)[:, None] * np.ones(3)
    x = rng.normal(0, 0.3, (count, 12, 3)) + (2 * y[:, None, None] - 1) * ramp
    return Examples(x.astype(np.float32), y, np.array([f"seed:{seed}"] * count))


def trained() -> MambaClassifier:
    training = directions(256, 1)
    return train(3, 2, lambda _: (training.x, training.y), directions(64, 2), RECIPE)


def test_learns_what_can_be_learnt_and_repeats_exactly() -> None:
    model, again = trained(), trained()
    assert accuracy(model, directions(200, 3)) > 0.95
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, rtol=0, atol=0)


def test_written_demo_reloads_to_the_same_logits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = MambaClassifier(ModelConfig(n_features=3, n_outputs=2))
    inputs = joined([directions(30, 4), directions(10, 5)])
    held_out = {"unseen": directions(50, 6)}
    write_demo(tmp_path / "toy", model, ("falls", "rises"), Normalisation.of(inputs.x), inputs, held_out, RECIPE)

    reloaded = MambaClassifier(model.config).double()
    reloaded.load_state_dict(load_file(tmp_path / "toy" / "model.safetensors"))
    with np.load(tmp_path / "toy" / "inputs.npz") as stored, torch.no_grad():
        again = reloaded(torch.from_numpy(stored["x"]).double()).numpy()
        np.testing.assert_allclose(again, stored["logits64"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(stored["logits"], stored["logits64"], rtol=0, atol=1e-4)
        correct = again.argmax(1) == inputs.y
    metrics = json.loads((tmp_path / "toy" / "metrics.json").read_text())
    assert metrics["inputs"]["seed"] == {"examples": 40, "accuracy": round(float(correct.mean()), 4)}
    assert metrics["held_out"]["unseen"]["accuracy"] == round(accuracy(model, held_out["unseen"]), 4)


def test_normalisation_gives_each_feature_mean_zero_and_deviation_one() -> None:
    x = np.random.default_rng(0).normal([1, -2, 30], [0.5, 3, 8], (50, 20, 3)).astype(np.float32)
    normalised = Normalisation.of(x)(x)
    np.testing.assert_allclose(normalised.mean((0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(normalised.std((0, 1)), 1, atol=1e-5)


def test_balanced_takes_equally_many_spread_over_each_class() -> None:
    y = np.repeat([0, 1, 2], [40, 8, 20])
    assert balanced(y, 4).tolist() == [0, 10, 20, 30, 40, 42, 44, 46, 48, 53, 58, 63]


def test_balanced_takes_all_of_a_class_that_has_too_few() -> None:
    assert balanced(np.array([0, 0, 0, 0, 1]), 2).tolist() == [0, 2, 4]
