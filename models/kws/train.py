"""Train the KWS demo: ``python -m models.kws.train`` (synthetic speech), or with ``--data DIR`` on Speech Commands."""

import argparse
from pathlib import Path

import numpy as np

from models.datasets import speech_commands, synthetic_speech
from models.datasets.examples import Clips, Examples, FloatArray, IntArray, balanced, joined
from models.datasets.features import BANDS, log_mel
from models.datasets.sound_augmentation import CLEAN, NOISY, TRAINING, Conditions, mask, record
from models.training import Epoch, Normalisation, Recipe, run, train, write_demo

INPUTS_PER_CLASS = {"test": 30, "flite": 6}
BATCH = 512
"""The number of clips whose sound is in memory at a time."""


def main() -> None:
    """Train, measure on voices that the model has never heard, and write the demo's files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a Speech Commands directory instead of synthetic speech")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="the directory for the files")
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    recipe = Recipe(epochs=arguments.epochs)

    if arguments.data is None:
        classes, splits = synthetic_speech.WORDS, synthetic_speech.load()
    else:
        classes, splits = speech_commands.WORDS, speech_commands.load(arguments.data)
    training = splits.pop("train")
    first = features(training[np.arange(0, len(training), 8)], np.random.default_rng(recipe.seed), TRAINING)
    normalisation = Normalisation.of(first)
    evaluated = {
        f"{split}, {name}": heard(clips, normalisation, conditions, recipe.seed)
        for split, clips in splits.items()
        for name, conditions in (("noisy", NOISY), ("clean", CLEAN))
    }
    model = train(
        BANDS, len(classes), augmented(training, normalisation, recipe.seed), evaluated["validation, noisy"], recipe
    )
    inputs = joined(
        [
            evaluated[f"{split}, noisy"][balanced(splits[split].y, count)]
            for split, count in INPUTS_PER_CLASS.items()
            if split in splits
        ]
    )
    write_demo(arguments.output, model, classes, normalisation, inputs, evaluated, recipe)


def features(clips: Clips, rng: np.random.Generator, conditions: Conditions) -> FloatArray:
    """Return the log-mel features (N, 100, 40) of the clips under conditions drawn anew."""
    starts = range(0, len(clips), BATCH)
    parts = (clips[np.arange(start, min(start + BATCH, len(clips)))] for start in starts)
    return np.concatenate([log_mel(record(part, rng, conditions)) for part in parts])


def heard(clips: Clips, normalisation: Normalisation, conditions: Conditions, seed: int) -> Examples:
    """Return evaluation examples: normalised features under conditions that the seed fixes."""
    return Examples(normalisation(features(clips, np.random.default_rng(seed), conditions)), clips.y, clips.source)


def augmented(clips: Clips, normalisation: Normalisation, seed: int) -> Epoch:
    """Return an epoch of clips said by ever new voices in ever new rooms."""

    def epoch(number: int) -> tuple[FloatArray, IntArray]:
        rng = np.random.default_rng([seed, number])
        return mask(normalisation(features(clips, rng, TRAINING)), rng), clips.y

    return epoch


if __name__ == "__main__":
    run(main)
