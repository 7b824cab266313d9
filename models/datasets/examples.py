"""The results of a loader: labelled sequences, or labelled sound clips of one second."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
StringArray = npt.NDArray[np.str_]

SAMPLE_RATE = 16_000
"""Samples per second of every clip; a clip is one second long."""

CACHE = Path.home() / ".cache" / "emu" / "datasets"


@dataclass(frozen=True)
class Examples:
    """N labelled sequences of T steps and F features."""

    x: FloatArray
    """(N, T, F)."""
    y: IntArray
    """(N,): index into the data set's classes."""
    source: StringArray
    """(N,): the person or thing that each example comes from; a source is never in two splits."""

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: npt.NDArray[Any]) -> Self:
        """Select examples by index or mask."""
        return type(self)(self.x[index], self.y[index], self.source[index])


@dataclass(frozen=True)
class Clips:
    """N labelled sound clips of at most one second. Each begins its row; zeros fill the rest."""

    pcm: npt.NDArray[np.int16]
    """(N, SAMPLE_RATE)."""
    length: IntArray
    """(N,): samples that belong to the clip."""
    y: IntArray
    """(N,): index into the data set's classes."""
    source: StringArray
    """(N,): the voice or speaker; a source is never in two splits."""

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: npt.NDArray[Any]) -> Self:
        """Select clips by index or mask."""
        return type(self)(self.pcm[index], self.length[index], self.y[index], self.source[index])


def joined(parts: Sequence[Examples]) -> Examples:
    """Return the examples of all parts, one after the other."""
    return Examples(
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.source for part in parts]),
    )


def balanced(y: IntArray, per_class: int) -> IntArray:
    """Return the indices of ``per_class`` examples of every class, spread evenly over the class's order.

    A class with fewer examples gives all of them. The choice uses labels only, never the answers of a model.
    """
    chosen = []
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        count = min(per_class, len(members))
        chosen.append(members[np.arange(count) * len(members) // count])
    return np.sort(np.concatenate(chosen))
