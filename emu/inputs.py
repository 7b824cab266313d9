"""Evaluation inputs: the rows that go through the firmware, and what PyTorch says about them."""

import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.errors import InputError

# What numpy and zipfile raise on a file that is no archive (TypeError: a bare .npy), or a damaged one.
_NOT_AN_ARCHIVE = (OSError, ValueError, EOFError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error)

_LABELS = (0, int(np.iinfo(np.int32).max), "class number")
_LARGEST = float(np.finfo(np.float32).max)
_LOGITS = (-_LARGEST, _LARGEST, "logit that float32 can hold")


@dataclass(frozen=True, eq=False)
class EvaluationInputs:
    """N sequences of T rows of F features, with PyTorch's answers where they are known."""

    x: NDArray[np.float32]
    """(N, T, F)"""
    labels: NDArray[np.int64] | None = None
    """(N): the true class."""
    logits64: NDArray[np.float64] | None = None
    """(N, C): PyTorch in float64."""
    logits32: NDArray[np.float32] | None = None
    """(N, C): PyTorch in float32."""
    classes: tuple[str, ...] | None = None
    """(C): their names."""

    def __len__(self) -> int:
        return len(self.x)

    def first(self, count: int | None) -> "EvaluationInputs":
        """Return the first ``count`` inputs; all where it is None. Raises InputError where that is none."""
        if count is not None and count < 1:
            raise InputError(f"limit {count}: at least one input has to be run")

        def cut(array: Any) -> Any:
            return None if array is None else array[:count]

        return replace(
            self,
            x=self.x[:count],
            labels=cut(self.labels),
            logits64=cut(self.logits64),
            logits32=cut(self.logits32),
        )


def load_inputs(path: Path) -> EvaluationInputs:
    """Read an ``.npz`` with ``x`` [N, T, F] and optionally ``y`` [N], ``logits``, ``logits64`` [N, C], ``classes`` [C].

    ``x`` may be float16 or float32: both are exact float32 inputs. ``logits`` in float64 count as ``logits64``.
    Raises InputError where a file, a shape or a value is not what it has to be.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except _NOT_AN_ARCHIVE as error:
        raise InputError(f"{path}: not a readable .npz file: {error}") from error
    if "x" not in arrays:
        raise InputError(f"{path}: has no array 'x' (float32 [N, T, F]); found {', '.join(arrays) or 'nothing'}")
    x = arrays["x"]
    if x.dtype not in (np.float16, np.float32) or x.ndim != 3 or 0 in x.shape:
        raise InputError(f"{path}: x is {x.dtype} {list(x.shape)}; expected float32 [N, T, F] with no empty dimension")
    _require_finite(path, "x", x)
    for name, dimensions in (("y", 1), ("logits", 2), ("logits64", 2)):
        array = arrays.get(name)
        if array is None:
            continue
        if array.ndim != dimensions or len(array) != len(x):
            raise InputError(f"{path}: {name} has shape {list(array.shape)}; x has {len(x)} inputs")
        if not np.issubdtype(array.dtype, np.integer if name == "y" else np.floating):
            raise InputError(f"{path}: {name} is {array.dtype}; expected {'integers' if name == 'y' else 'floats'}")
        _require_finite(path, name, array)
        _require_range(path, name, array)
    logits, logits64 = arrays.get("logits"), arrays.get("logits64")
    classes = arrays.get("classes")
    if classes is not None:
        _require_names(path, classes, logits if logits64 is None else logits64)
    if logits is not None and logits.dtype == np.float64 and logits64 is None:
        logits, logits64 = None, logits
    return EvaluationInputs(
        x=x.astype(np.float32),
        labels=arrays["y"].astype(np.int64) if "y" in arrays else None,
        logits64=logits64,
        logits32=None if logits is None else logits.astype(np.float32),
        classes=None if classes is None else tuple(map(str, classes)),
    )


def _require_names(path: Path, classes: np.ndarray, logits: np.ndarray | None) -> None:
    if classes.ndim != 1 or classes.dtype.kind != "U":
        raise InputError(f"{path}: classes is {classes.dtype} {list(classes.shape)}; expected a list of names")
    if logits is not None and len(classes) != logits.shape[1]:
        columns = logits.shape[1]
        raise InputError(f"{path}: there are {len(classes)} names in classes; the logits have {columns} columns")


def _require_range(path: Path, name: str, array: np.ndarray) -> None:
    lowest, highest, what = _LABELS if name == "y" else _LOGITS
    wrong = np.argwhere((array < lowest) | (array > highest))
    if len(wrong):
        where = [int(index) for index in wrong[0]]
        raise InputError(f"{path}: {name} holds {array[tuple(where)]} at {where}, which is no {what}")


def _require_finite(path: Path, name: str, array: np.ndarray) -> None:
    if not np.isfinite(array).all():
        where = [int(index) for index in np.argwhere(~np.isfinite(array))[0]]
        raise InputError(f"{path}: {name} holds {array[tuple(where)]} at {where}")
