"""Evaluation inputs: the rows that the firmware gets, and PyTorch's answers."""

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.errors import InputError
from emu.reading import MOST_BYTES, read_file

TENSOR_PREFIX = "trace."
"""Before the name of each intermediate tensor in a file of inputs."""

_ARRAYS = ("x", "y", "logits", "logits64", "classes")
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The compressions that numpy writes. Others can allocate gigabytes before the first byte is known."""

_LABELS = (0, int(np.iinfo(np.int32).max), "class number")
_LARGEST = float(np.finfo(np.float32).max)
_LOGITS = (-_LARGEST, _LARGEST, "logit that float32 can hold")


@dataclass(frozen=True, eq=False)
class EvaluationInputs:
    """N sequences of T rows of F features, with PyTorch's answers if they are known."""

    x: NDArray[np.float32]
    """(N, T, F)"""
    labels: NDArray[np.int64] | None = None
    """(N), or (N, T) for classes of each step: the true classes."""
    logits64: NDArray[np.float64] | None = None
    """(N, C), or (N, T, C) for outputs at each step: PyTorch in float64."""
    logits32: NDArray[np.float32] | None = None
    """(N, C), or (N, T, C) for outputs at each step: PyTorch in float32."""
    classes: tuple[str, ...] | None = None
    """(C): the names of the classes."""
    tensors: Mapping[str, NDArray[np.float32]] | None = None
    """The module's own intermediate tensors of the first inputs, each (inputs, T, width), by the names that the
    engine's trace gives them; None if the module was not in memory."""

    def __len__(self) -> int:
        return len(self.x)

    @property
    def reference(self) -> NDArray[np.floating] | None:
        """PyTorch's answers, in float64 if they are known; None if there are none."""
        return self.logits32 if self.logits64 is None else self.logits64

    @property
    def has_answers_at_each_step(self) -> bool:
        """Whether PyTorch's answers or the true classes are those of each step."""
        reference, labels = self.reference, self.labels
        return reference.ndim == 3 if reference is not None else labels is not None and labels.ndim == 2

    def first(self, count: int | None) -> "EvaluationInputs":
        """Return the first ``count`` inputs, or all if ``count`` is None. Raises InputError if ``count`` is below 1."""
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
            tensors=None if self.tensors is None else {name: cut(array) for name, array in self.tensors.items()},
        )


def load_inputs(path: Path) -> EvaluationInputs:
    """Read an ``.npz`` with ``x`` [N, T, F] and optionally ``y`` [N], ``logits``, ``logits64`` [N, C], ``classes`` [C].

    For outputs at each step, ``y`` is [N, T], and ``logits`` and ``logits64`` are [N, T, C]. ``x`` may be float16 or
    float32: both are exact float32 inputs. ``logits`` in float64 count as ``logits64``.
    Raises InputError if a file, a shape or a value is wrong.
    """
    arrays = read_file(path, "a readable .npz file", _read_arrays)
    x = arrays.get("x")
    if x is None:
        raise InputError(f"{path}: has no array 'x' (float32 [N, T, F]); found {', '.join(arrays) or 'nothing'}")
    if x.dtype not in (np.float16, np.float32) or x.ndim != 3 or 0 in x.shape:
        raise InputError(f"{path}: x is {x.dtype} {list(x.shape)}; expected float32 [N, T, F] with no empty dimension")
    _require_finite(path, "x", x)
    for name, widths in (("y", 0), ("logits", 1), ("logits64", 1)):
        array = arrays.get(name)
        if array is None:
            continue
        steps = array.shape[1] if array.ndim == widths + 2 else None
        if array.ndim - widths not in (1, 2) or len(array) != len(x) or steps not in (None, x.shape[1]):
            counts = f"{len(x)} inputs of {x.shape[1]} steps"
            raise InputError(f"{path}: {name} has shape {list(array.shape)}; x has {counts}")
        if not np.issubdtype(array.dtype, np.integer if name == "y" else np.floating):
            raise InputError(f"{path}: {name} is {array.dtype}; expected {'integers' if name == 'y' else 'floats'}")
        _require_finite(path, name, array)
        _require_range(path, name, array)
    labels, logits, logits64 = arrays.get("y"), arrays.get("logits"), arrays.get("logits64")
    _require_same_steps(path, {"y": labels, "logits": logits, "logits64": logits64})
    classes = arrays.get("classes")
    if classes is not None:
        _require_names(path, classes, logits if logits64 is None else logits64)
    if logits is not None and logits.dtype == np.float64 and logits64 is None:
        logits, logits64 = None, logits
    return EvaluationInputs(
        x=x.astype(np.float32, copy=False),
        labels=None if labels is None else labels.astype(np.int64),
        logits64=None if logits64 is None else logits64.astype(np.float64),
        logits32=None if logits is None else logits.astype(np.float32),
        classes=None if classes is None else tuple(map(str, classes)),
        tensors=_module_tensors(path, arrays, x),
    )


def _module_tensors(
    path: Path, arrays: Mapping[str, np.ndarray | None], x: np.ndarray
) -> dict[str, NDArray[np.float32]] | None:
    """Return the intermediate tensors in a file of inputs, or None if it has none."""
    tensors: dict[str, NDArray[np.float32]] = {}
    for name, array in arrays.items():
        if array is None or not name.startswith(TENSOR_PREFIX):
            continue
        fits = array.dtype == np.float32 and array.ndim == 3 and array.shape[1] == x.shape[1]
        if not fits or not 0 < len(array) <= len(x):
            raise InputError(f"{path}: {name} is {array.dtype} {list(array.shape)}; expected float32 of x's steps")
        _require_finite(path, name, array)
        tensors[name.removeprefix(TENSOR_PREFIX)] = array
    if len({len(tensor) for tensor in tensors.values()}) > 1:
        raise InputError(f"{path}: the arrays {TENSOR_PREFIX}* are of different numbers of inputs")
    return tensors or None


def _read_arrays(data: bytes) -> Mapping[str, np.ndarray | None]:
    """Return the arrays of an archive by name; None for each array that emu does not know."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        known = {name for name in members if name in _ARRAYS or name.startswith(TENSOR_PREFIX)}
        wanted = [members[name] for name in known]
        if sum(member.file_size for member in wanted) > MOST_BYTES:
            raise ValueError(f"it unpacks to more than {MOST_BYTES:,} bytes")
        return {name: _read_array(archive, member) if name in known else None for name, member in members.items()}


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """Return one array. Refuse a pickle, and an array that is larger than its bytes in the archive."""
    if member.compress_type not in _COMPRESSIONS:
        raise ValueError("numpy does not compress in this way")
    content = archive.read(member)
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read_header(file)
    start = file.tell()
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - start:
        raise ValueError("its shape does not go with its bytes")
    values = np.ndarray(shape, dtype, content, start, order="F" if is_fortran else "C")
    if dtype.kind == "U":
        "".join(values.ravel().tolist()).encode()  # raises if a number is not a character
    return values


def _require_names(path: Path, classes: np.ndarray, logits: np.ndarray | None) -> None:
    if classes.ndim != 1 or classes.dtype.kind != "U":
        raise InputError(f"{path}: classes is {classes.dtype} {list(classes.shape)}; expected a list of names")
    if logits is not None and len(classes) != logits.shape[-1]:
        columns = logits.shape[-1]
        raise InputError(f"{path}: there are {len(classes)} names in classes; the logits have {columns} columns")


def _require_same_steps(path: Path, answers: Mapping[str, np.ndarray | None]) -> None:
    """Raise InputError if some answers are those of each step, and others those of a whole input."""
    per_input = {"y": 1, "logits": 2, "logits64": 2}
    shapes = {name: list(array.shape) for name, array in answers.items() if array is not None}
    if len({len(shape) - per_input[name] for name, shape in shapes.items()}) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise InputError(f"{path}: all answers need to be of each step, or all of each input; found {listed}")


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
