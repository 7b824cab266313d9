"""The training loop of the demo models, and the files of a trained demo."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from safetensors.torch import save

from emu.errors import EmuError
from emu.model.config import ModelConfig
from emu.model.reference import MambaClassifier
from models.datasets.examples import Examples, FloatArray, IntArray

Epoch = Callable[[int], tuple[FloatArray, IntArray]]
"""Maps an epoch's number to its augmented examples: x (N, T, F) and y (N,)."""


@dataclass(frozen=True)
class Recipe:
    """How a model is trained."""

    epochs: int
    learning_rate: float = 4e-3
    batch: int = 64
    weight_decay: float = 0.01
    label_smoothing: float = 0.05
    """Keeps logits, and so the absolute rounding errors of float32, small."""
    seed: int = 0


@dataclass(frozen=True)
class Normalisation:
    """Per-feature statistics of the training split: a model's input is (feature - mean) / deviation."""

    mean: FloatArray
    """(F,)."""
    deviation: FloatArray
    """(F,)."""

    @classmethod
    def of(cls, x: FloatArray) -> "Normalisation":
        """Measure x (N, T, F)."""
        return cls(x.mean((0, 1)), x.std((0, 1)))

    def __call__(self, x: FloatArray) -> FloatArray:
        """Normalise x (N, T, F)."""
        return (x - self.mean) / self.deviation


def train(n_features: int, n_classes: int, epoch: Epoch, validation: Examples, recipe: Recipe) -> MambaClassifier:
    """Train the demos' architecture (one plain 64/16 block) and return the model; print a line per epoch.

    The same recipe and data give the same weights on the same machine.
    """
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(1)  # a fixed order of summation; at this size it costs little time
    order = torch.Generator().manual_seed(recipe.seed)
    model = MambaClassifier(ModelConfig(n_features=n_features, n_outputs=n_classes))
    x, y = epoch(0)
    steps = recipe.epochs * -(-len(x) // recipe.batch)
    optimiser = torch.optim.AdamW(_parameter_groups(model, recipe.weight_decay), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, total_steps=steps, pct_start=0.2)
    started = time.monotonic()
    for number in range(recipe.epochs):
        if number:
            x, y = epoch(number)
        model.train()
        total = 0.0
        for chosen in torch.randperm(len(x), generator=order).split(recipe.batch):
            logits = model(torch.from_numpy(x)[chosen])
            loss = F.cross_entropy(logits, torch.from_numpy(y)[chosen], label_smoothing=recipe.label_smoothing)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += loss.item() * len(chosen)
        print(
            f"epoch {number + 1}/{recipe.epochs}  loss {total / len(x):.4f}"
            f"  validation {accuracy(model, validation):.2%}  {time.monotonic() - started:.0f} s",
            flush=True,
        )
    return model


def _parameter_groups(model: MambaClassifier, weight_decay: float) -> list[dict]:
    """Decay projections only: never biases, gains, nor A_log, whose zero has no special meaning."""
    decayed, free = [], []
    for name, parameter in model.named_parameters():
        (decayed if parameter.dim() > 1 and not name.endswith("A_log") else free).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def predict(model: MambaClassifier, x: np.ndarray) -> np.ndarray:
    """Map x (N, T, F) to logits (N, C), both in the model's precision."""
    precision = next(model.parameters()).dtype
    model.eval()
    with torch.no_grad():
        batches = [model(batch.to(precision)) for batch in torch.from_numpy(x).split(256)]
    return torch.cat(batches).numpy()


def accuracy(model: MambaClassifier, examples: Examples) -> float:
    """Return the share of examples whose largest logit is the true label's."""
    return float((predict(model, examples.x).argmax(1) == examples.y).mean())


def write_demo(
    directory: Path,
    model: MambaClassifier,
    classes: Sequence[str],
    normalisation: Normalisation,
    inputs: Examples,
    held_out: dict[str, Examples],
    recipe: Recipe,
) -> None:
    """Write ``model.safetensors``, ``inputs.npz`` and ``metrics.json``; the input features are rounded to float16.

    ``held_out`` names the sets whose accuracy the model card quotes; ``inputs`` are the examples that the
    firmware is compared on. Float16 halves the file, and float16 values are exact float32 inputs.
    """
    directory.mkdir(parents=True, exist_ok=True)
    metadata = {"name": directory.name, "pooling": model.config.pooling, "classes": ",".join(classes)}
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    (directory / "model.safetensors").write_bytes(save(state, metadata))

    rounded = inputs.x.astype(np.float16)
    x = rounded.astype(np.float32)
    logits = predict(model, x)
    double = MambaClassifier(model.config).double()
    double.load_state_dict(model.state_dict())
    np.savez_compressed(
        directory / "inputs.npz",
        x=rounded,
        y=inputs.y,
        logits=logits,
        logits64=predict(double, x),
        classes=np.array(classes),
        source=inputs.source,
        feature_mean=normalisation.mean,
        feature_deviation=normalisation.deviation,
    )
    metrics = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "recipe": vars(recipe),
        "held_out": {
            name: {"examples": len(examples), "accuracy": round(accuracy(model, examples), 4)}
            for name, examples in held_out.items()
        },
        "inputs": _by_kind(inputs, logits),
    }
    (directory / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    print(json.dumps(metrics, indent=2))


def _by_kind(inputs: Examples, logits: np.ndarray) -> dict[str, dict[str, float]]:
    """Return count and accuracy of all inputs and of each kind of source (the text before the colon)."""
    correct = logits.argmax(1) == inputs.y
    kinds = np.array([source.split(":")[0] for source in inputs.source])
    masks = {"all": np.ones(len(inputs), bool)} | {str(kind): kinds == kind for kind in np.unique(kinds)}
    return {
        name: {"examples": int(mask.sum()), "accuracy": round(float(correct[mask].mean()), 4)}
        for name, mask in masks.items()
    }


def run(main: Callable[[], None]) -> None:
    """Run a script's ``main``. An EmuError ends the script with one line and the error's exit code."""
    try:
        main()
    except EmuError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
