"""Seven shoulder exercises of ten people, both arms, from a smartwatch's accelerometer and gyroscope at 50 Hz.

The data (D. M. Burns et al., arXiv 1802.01489; BSD-3-Clause) ships inside the wheel of ``seglearn`` 1.2.5. Only the
wheel file is read; the package is neither installed nor imported.
"""

import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np

from emu.errors import InputError, MissingToolError
from models.datasets.examples import CACHE, Examples

CLASSES = ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")
"""Pendulum, abduction, forward elevation, internal rotation, external rotation, trapezius extension, upright row."""

STEPS = 128
"""One window: 2.56 s."""
MARGIN = 32
"""Training windows are longer by this number of steps, which the augmentation cuts and stretches."""
STRIDE = {"train": 32, "validation": 64, "test": 64}
SPLITS = {"train": (1, 2, 3, 4, 5, 6, 7), "validation": (8,), "test": (9, 10)}
"""Subjects: nobody is in two splits."""

WHEEL = "seglearn-1.2.5-py3-none-any.whl"
WHEEL_SHA256 = "ec6b952c85c9627050102854b372d85951563d3b990df677d7c55547e87413dd"
MEMBER = "seglearn/data/watch_dataset.npy"


def load(cache: Path = CACHE) -> dict[str, Examples]:
    """Return the splits; x is (N, 128, 6), in training (N, 160, 6): acceleration, then angular velocity, as recorded.

    Raises MissingToolError if the wheel is not cached and cannot be downloaded, and InputError if the file is not the
    wheel that the demo was made with.
    """
    wheel = cache / WHEEL
    if not wheel.exists():
        _download(cache)
    content = wheel.read_bytes()
    if hashlib.sha256(content).hexdigest() != WHEEL_SHA256:
        raise InputError(f"{wheel} is not the published seglearn 1.2.5 wheel: delete it and run again")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # Unpickling is safe only because the digest above proves the origin of the file.
        recordings = np.load(io.BytesIO(archive.read(MEMBER)), allow_pickle=True).item()
    return {split: _windows(recordings, split) for split in SPLITS}


def _download(cache: Path) -> None:
    command = ["pip", "download", "--no-deps", "--dest", str(cache), "seglearn==1.2.5"]
    finished = subprocess.run([sys.executable, "-m", *command], check=False, capture_output=True)
    if finished.returncode != 0:
        raise MissingToolError(
            f"cannot fetch the smartwatch data: put {WHEEL} into {cache}, as in: {' '.join(command)}"
        )


def _windows(recordings: dict, split: str) -> Examples:
    steps = STEPS + MARGIN if split == "train" else STEPS
    x, y, source = [], [], []
    for signal, label, subject in zip(recordings["X"], recordings["y"], recordings["subject"], strict=True):
        if subject not in SPLITS[split]:
            continue
        for start in range(0, len(signal) - steps + 1, STRIDE[split]):
            x.append(signal[start : start + steps])
            y.append(label)
            source.append(f"subject:{subject}")
    return Examples(np.array(x, np.float32), np.array(y, np.int64), np.array(source))
