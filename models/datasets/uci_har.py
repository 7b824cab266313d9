"""UCI HAR: six activities from a smartphone on the waist, 30 subjects, 561 features a window (CC BY 4.0).

Download it from https://archive.ics.uci.edu/dataset/240 and point to the unpacked ``UCI HAR Dataset`` directory. The
561 features of a window, zero-padded to 570, are read as a sequence of T = 10 steps of F = 57.
"""

from pathlib import Path

import numpy as np

from emu.errors import InputError
from models.datasets.examples import Examples, IntArray

CLASSES = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")
FEATURES = 561
STEPS, STEP_FEATURES = 10, 57
VALIDATION_SUBJECTS = 4


def load(directory: Path) -> dict[str, Examples]:
    """Return ``train``, ``validation`` and ``test``; x is (N, 10, 57), as distributed (within [-1, 1]).

    The test split is the official one; validation takes the last four of the official training subjects.
    Raises InputError if a file is missing or has the wrong content.
    """
    official, test = _read(directory, "train"), _read(directory, "test")
    subjects = np.unique(official.source)
    if len(subjects) <= VALIDATION_SUBJECTS:
        raise InputError(f"{directory}: training needs more than {VALIDATION_SUBJECTS} subjects, found {len(subjects)}")
    validating = np.isin(official.source, subjects[-VALIDATION_SUBJECTS:])
    return {"train": official[~validating], "validation": official[validating], "test": test}


def _read(directory: Path, split: str) -> Examples:
    features = _table(directory / split / f"X_{split}.txt", FEATURES).astype(np.float32)
    labels = _integers(directory / split / f"y_{split}.txt")
    subjects = _integers(directory / split / f"subject_{split}.txt")
    if not len(features) == len(labels) == len(subjects):
        raise InputError(
            f"{directory / split}: {len(features)} rows of features, {len(labels)} labels and {len(subjects)} subjects;"
            " these must be equally many"
        )
    if labels.min() < 1 or labels.max() > len(CLASSES):
        raise InputError(f"{directory / split / f'y_{split}.txt'}: labels must be 1..{len(CLASSES)}")
    x = np.pad(features, ((0, 0), (0, STEPS * STEP_FEATURES - FEATURES))).reshape(-1, STEPS, STEP_FEATURES)
    # Two digits, so that names sort like numbers.
    return Examples(x, labels - 1, np.array([f"subject:{subject:02d}" for subject in subjects]))


def _integers(path: Path) -> IntArray:
    return _table(path, 1)[:, 0].astype(np.int64)


def _table(path: Path, columns: int) -> np.ndarray:
    if not path.is_file():
        raise InputError(f"{path} is missing: give the unpacked 'UCI HAR Dataset' directory")
    try:
        table = np.loadtxt(path, ndmin=2)
    except ValueError as error:
        raise InputError(f"{path} is not a table of numbers: {error}") from error
    if table.shape[0] == 0 or table.shape[1] != columns:
        raise InputError(f"{path} has {table.shape[1]} columns in {table.shape[0]} rows; expected {columns} columns")
    return table
