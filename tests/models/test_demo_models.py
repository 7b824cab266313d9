"""The committed demos: the weights, the evaluation inputs and the figures on the cards belong together."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from emu.model.config import ModelConfig
from emu.model.reference import MambaClassifier
from emu.resources import resource

FEATURES_AND_STEPS = {"kws": (40, 100), "har": (6, 128)}
FILES = ("model.safetensors", "inputs.npz", "metrics.json", "README.md")

demo_model = pytest.mark.parametrize("name", FEATURES_AND_STEPS)


def directory(name: str) -> Path:
    return resource("models") / name


@cache
def inputs(name: str) -> dict[str, np.ndarray]:
    with np.load(directory(name) / "inputs.npz") as stored:
        return dict(stored)


@cache
def checkpoint(name: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    with safe_open(directory(name) / "model.safetensors", "pt") as stored:
        return {key: stored.get_tensor(key) for key in stored.keys()}, stored.metadata()  # noqa: SIM118 - not a dict


def reloaded(name: str, precision: torch.dtype) -> MambaClassifier:
    state, _ = checkpoint(name)
    config = ModelConfig(n_features=FEATURES_AND_STEPS[name][0], n_outputs=len(inputs(name)["classes"]))
    model = MambaClassifier(config).to(precision)
    model.load_state_dict(state)
    return model.eval()


def logits(name: str, precision: torch.dtype) -> np.ndarray:
    with torch.no_grad():
        return reloaded(name, precision)(torch.from_numpy(inputs(name)["x"]).to(precision)).numpy()


@demo_model
def test_reloaded_weights_give_the_stored_float32_logits(name: str) -> None:
    assert inputs(name)["logits"].dtype == np.float32
    np.testing.assert_allclose(logits(name, torch.float32), inputs(name)["logits"], rtol=0, atol=1e-4)


@demo_model
def test_reloaded_weights_give_the_stored_float64_logits(name: str) -> None:
    assert inputs(name)["logits64"].dtype == np.float64
    np.testing.assert_allclose(logits(name, torch.float64), inputs(name)["logits64"], rtol=0, atol=1e-9)


@demo_model
def test_inputs_have_the_documented_shapes(name: str) -> None:
    stored = inputs(name)
    features, steps = FEATURES_AND_STEPS[name]
    count = len(stored["y"])
    assert count >= 300
    assert stored["x"].shape == (count, steps, features)
    assert stored["logits"].shape == stored["logits64"].shape == (count, len(stored["classes"]))
    assert stored["feature_mean"].shape == stored["feature_deviation"].shape == (features,)


@demo_model
def test_inputs_are_finite_and_exact_in_float16(name: str) -> None:
    x = inputs(name)["x"].astype(np.float32)
    assert np.isfinite(x).all()
    np.testing.assert_array_equal(x.astype(np.float16).astype(np.float32), x)


@demo_model
def test_every_class_has_the_same_number_of_inputs(name: str) -> None:
    counts = np.bincount(inputs(name)["y"], minlength=len(inputs(name)["classes"]))
    assert counts.min() == counts.max()


@demo_model
def test_checkpoint_says_what_it_is(name: str) -> None:
    state, metadata = checkpoint(name)
    assert metadata == {"name": name, "pooling": "mean", "classes": ",".join(inputs(name)["classes"])}
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}


@demo_model
def test_files_are_small(name: str) -> None:
    for file in FILES:
        assert (directory(name) / file).stat().st_size < 3_000_000, file


@demo_model
def test_metrics_are_those_of_the_committed_inputs(name: str) -> None:
    stored = inputs(name)
    metrics = json.loads((directory(name) / "metrics.json").read_text())
    correct = logits(name, torch.float64).argmax(1) == stored["y"]
    kinds = np.array([source.split(":")[0] for source in stored["source"]])
    for kind in np.unique(kinds):
        of_kind = metrics["inputs"][kind]
        assert of_kind == {
            "examples": int((kinds == kind).sum()),
            "accuracy": round(float(correct[kinds == kind].mean()), 4),
        }
    assert metrics["inputs"]["all"] == {"examples": len(correct), "accuracy": round(float(correct.mean()), 4)}
    assert metrics["parameters"] == sum(tensor.numel() for tensor in checkpoint(name)[0].values())


@demo_model
def test_card_quotes_every_measured_accuracy(name: str) -> None:
    card = (directory(name) / "README.md").read_text()
    metrics = json.loads((directory(name) / "metrics.json").read_text())
    for entry in (*metrics["held_out"].values(), metrics["inputs"]["all"]):
        assert f"{entry['examples']:,} | {entry['accuracy']:.1%}" in card
    assert f"{metrics['parameters']:,} parameters" in card
