"""The engine's intermediate tensors: their names, widths and order, and PyTorch's tensors of the same names.

``runtime/src/trace.h`` lists the same tensors in the same order.
"""

from emu.model.image import ImageInfo


def trace_widths(info: ImageInfo) -> list[int]:
    """Return the floats of each traced tensor: linear_in, then a block's tensors in the engine's order."""
    x_proj = info.dt_rank + 2 * info.d_state
    inner = info.d_inner
    return [info.d_model, inner, inner, inner, x_proj, inner, inner, info.d_model]
