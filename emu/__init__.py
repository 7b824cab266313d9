"""Prove firmware without hardware: parity with PyTorch, stack, heap and instructions, in an emulator."""

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from emu.live.exporting import Exported

__version__ = "0.1.0"


def export(
    module: "nn.Module",
    example: "Tensor | NDArray[np.floating]",
    directory: "str | PathLike[str]",
    *,
    y: "Tensor | NDArray[np.integer] | None" = None,
    classes: Sequence[str] | None = None,
    dtype: Literal["f32", "f16", "int8"] = "f32",
) -> "Exported":
    """Write a trained module's image and evaluation inputs into a directory: ``model.mamba`` and ``inputs.npz``.

    ``example`` is the inputs [N, T, F], float32: test data if there is any. ``y`` is their true classes [N], and
    ``classes`` the names of the classes. The module answers the inputs in float64 and float32, as copies in inference
    mode on the CPU. emu's own reading in float64 is compared with each tensor of the module before anything is written.

    Raises:
        emu.errors.InputError: the module has a part that emu does not understand or the engine does not compute: the
            message names the part by its path. Or the example is not of that shape.
        emu.errors.MissingToolError: the module runs only with CUDA kernels.
        emu.errors.OutputError: the directory cannot be written.

    """
    from emu.live.exporting import export

    return export(module, example, directory, y=y, classes=classes, dtype=dtype)
