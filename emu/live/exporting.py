"""Write what a module becomes: its image, and the evaluation inputs with the module's own answers."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from emu.errors import InputError
from emu.inputs import TENSOR_PREFIX, EvaluationInputs
from emu.live.module import LiveModule, read_module
from emu.model.graph import fold_linear_in, fold_out_proj
from emu.model.image import MatrixType, write_image
from emu.record import Reading
from emu.writing import make_directory, write_file

IMAGE_NAME, INPUTS_NAME = "model.mamba", "inputs.npz"


@dataclass(frozen=True)
class Exported:
    """The files that were written, and what they hold."""

    image: Path
    inputs: Path
    reading: Reading
    """What emu takes the module to compute, and how far that is from the module's own answers in float64."""


def export(
    module: nn.Module,
    example: Tensor | NDArray[np.floating],
    directory: str | PathLike[str],
    *,
    y: Tensor | NDArray[np.integer] | None = None,
    classes: Sequence[str] | None = None,
    dtype: MatrixType = "f32",
) -> Exported:
    """Write ``model.mamba`` and ``inputs.npz`` into a directory: see ``emu.export``."""
    inputs = EvaluationInputs(
        x=_rows(example),
        labels=None if y is None else _array(y).astype(np.int64),
        classes=None if classes is None else tuple(classes),
    )
    return write(read_module(module, inputs), Path(directory), dtype)


def image_of(live: LiveModule, dtype: MatrixType = "f32", *, fold: bool = True) -> bytes:
    """Return a module's image. Raises InputError if the engine cannot run the layers in their order."""
    graph = fold_out_proj(fold_linear_in(live.graph)) if fold else live.graph
    try:
        return write_image(graph, dtype)
    except InputError as error:
        layers = "; ".join(f"{each.what}: {each.value}" for each in live.reading.statements)
        raise InputError(f"{error} (emu reads the model as {layers})") from error


def write(live: LiveModule, directory: Path, dtype: MatrixType = "f32", *, fold: bool = True) -> Exported:
    """Write a module's image and its inputs into a directory."""
    image, arrays = image_of(live, dtype, fold=fold), io.BytesIO()
    given = {"y": live.inputs.labels, "classes": live.inputs.classes}
    answers = {"logits": live.inputs.logits32, "logits64": live.inputs.logits64}
    present: dict[str, Any] = {name: array for name, array in (given | answers).items() if array is not None}
    present |= {f"{TENSOR_PREFIX}{name}": tensor for name, tensor in (live.inputs.tensors or {}).items()}
    np.savez(arrays, x=live.inputs.x, **present)
    make_directory(directory)
    write_file(directory / IMAGE_NAME, image)
    write_file(directory / INPUTS_NAME, arrays.getvalue())
    return Exported(directory / IMAGE_NAME, directory / INPUTS_NAME, live.reading)


def _rows(example: Any) -> NDArray[np.float32]:
    x = _array(example)
    if x.ndim != 3 or 0 in x.shape or not np.issubdtype(x.dtype, np.floating):
        raise InputError(f"example is {x.dtype} {list(x.shape)}; expected float32 [N, T, F] with no empty dimension")
    if not np.isfinite(x).all():
        raise InputError(f"example holds {x[~np.isfinite(x)][0]}; inputs must be finite")
    return x.astype(np.float32)


def _array(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
