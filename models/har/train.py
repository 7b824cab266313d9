"""Train the HAR demo: ``python -m models.har.train`` (smartwatch data), or with ``--data DIR`` on UCI HAR."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from models.datasets import uci_har, watch
from models.datasets.examples import Examples, FloatArray, IntArray, balanced
from models.training import Epoch, Normalisation, Recipe, run, train, write_demo

INPUTS_PER_CLASS = 45


def main() -> None:
    """Train, measure on people that the model has never seen, and write the demo's files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a 'UCI HAR Dataset' directory instead of the smartwatch data")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="the directory for the files")
    parser.add_argument("--epochs", type=int, default=24)
    arguments = parser.parse_args()
    recipe = Recipe(epochs=arguments.epochs)

    if arguments.data is None:
        classes, splits, perturb = watch.CLASSES, watch.load(), perturb_watch
    else:
        classes, splits, perturb = uci_har.CLASSES, uci_har.load(arguments.data), perturb_features
    normalisation = Normalisation.of(splits["train"].x)
    ready = {name: Examples(normalisation(part.x), part.y, part.source) for name, part in splits.items()}
    model = train(
        splits["train"].x.shape[2],
        len(classes),
        augmented(splits["train"], normalisation, perturb, recipe.seed),
        ready["validation"],
        recipe,
    )
    inputs = ready["test"][balanced(ready["test"].y, INPUTS_PER_CLASS)]
    held_out = {"validation subjects": ready["validation"], "test subjects": ready["test"]}
    write_demo(arguments.output, model, classes, normalisation, inputs, held_out, recipe)


Perturb = Callable[[FloatArray, np.random.Generator], FloatArray]


def augmented(examples: Examples, normalisation: Normalisation, perturb: Perturb, seed: int) -> Epoch:
    """Return an epoch of normalised, freshly perturbed examples."""

    def epoch(number: int) -> tuple[FloatArray, IntArray]:
        return normalisation(perturb(examples.x, np.random.default_rng([seed, number]))), examples.y

    return epoch


def perturb_watch(x: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Cut (N, 128, 6) from x (N, 160, 6) at another moment and pace, on another wrist: turned, with other gains."""
    count, available, _ = x.shape
    pace = rng.uniform(0.8, (available - 1) / (watch.STEPS - 1), count)
    start = rng.uniform(0, available - 1 - pace * (watch.STEPS - 1))
    moments = start[:, None] + pace[:, None] * np.arange(watch.STEPS)  # (N, 128), in steps of x
    before = np.minimum(moments.astype(int), available - 2)
    weight = (moments - before)[..., None]
    rows = np.arange(count)[:, None]
    paced = x[rows, before] * (1 - weight) + x[rows, before + 1] * weight
    turn = Rotation.from_rotvec(rng.normal(0, 0.15, (count, 3))).as_matrix()  # (N, 3, 3)
    turned = np.concatenate([paced[..., :3] @ turn, paced[..., 3:] @ turn], axis=-1)
    gained = turned * rng.normal(1, 0.08, (count, 1, 6)) + rng.normal(0, 0.02, turned.shape)
    return gained.astype(np.float32)


def perturb_features(x: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Add a little noise to UCI HAR's features (N, 10, 57), which lie in [-1, 1]."""
    return (x + rng.normal(0, 0.05, x.shape)).astype(np.float32)


if __name__ == "__main__":
    run(main)
