"""Files of named tensors: safetensors, and PyTorch's own format if PyTorch is installed."""

import io
import json
import zipfile
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import deserialize

from emu.errors import InputError, MissingToolError
from emu.reading import MOST_BYTES, read_file

if TYPE_CHECKING:
    import torch

Tensors = dict[str, NDArray[np.float32]]

_SAFETENSORS_SUFFIX = ".safetensors"
CHECKPOINT_SUFFIXES = (_SAFETENSORS_SUFFIX, ".pt", ".pth", ".bin")
"""The names' endings of files that ``read_tensors`` reads: all but the first are PyTorch's own format."""


def read_tensors(path: Path) -> tuple[Tensors, dict[str, str]]:
    """Return the tensors of a file, cast to float32, and its metadata (empty for PyTorch's format).

    Raises:
        InputError: the file cannot be read, is empty or corrupt, or holds something that is no floating-point tensor.
        MissingToolError: the file is in PyTorch's format and PyTorch is not installed.

    """
    if path.suffix not in CHECKPOINT_SUFFIXES:
        raise InputError(f"{path}: a checkpoint's name ends in one of {', '.join(CHECKPOINT_SUFFIXES)}")
    if path.suffix == _SAFETENSORS_SUFFIX:
        return read_file(path, "a safetensors file: it is truncated or corrupt", _read_safetensors)
    return read_file(path, "a file of weights alone", _read_torch), {}


def _read_safetensors(content: bytes) -> tuple[Tensors, dict[str, str]]:
    """Decode without PyTorch. ``safetensors.numpy`` would do, but numpy has no bfloat16."""
    _require_content(content)
    entries = deserialize(content)
    # `deserialize` has validated the header, but does not return its metadata
    header_bytes = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + header_bytes]).get("__metadata__") or {}
    # sorted, because `deserialize` returns another order at each run, and the first of two errors is the one reported
    return {name: _decode(name, entry) for name, entry in sorted(entries, key=itemgetter(0))}, metadata


def _require_content(content: bytes) -> None:
    if not content:
        raise InputError("the file is empty")


def _decode(name: str, entry: Mapping[str, Any]) -> NDArray[np.float32]:
    match entry["dtype"]:
        case "BF16":  # the upper half of a float32
            values = (np.frombuffer(entry["data"], "<u2").astype(np.uint32) << 16).view(np.float32)
        case "F16" | "F32" | "F64" as dtype:
            with np.errstate(over="ignore", invalid="ignore"):  # what is not finite in float32, the caller rejects
                values = np.frombuffer(entry["data"], f"<f{int(dtype[1:]) // 8}").astype(np.float32)
        case dtype:
            raise _wrong_dtype(name, dtype)
    return values.reshape(entry["shape"])


def _read_torch(content: bytes) -> Tensors:
    _require_content(content)
    try:
        import torch
    except ImportError as error:
        raise MissingToolError("reading a PyTorch file needs PyTorch: pip install 'emu-mcu[torch]'") from error
    try:
        _require_small_members(content)
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling corrupt bytes can raise nearly anything
        raise InputError(
            "cannot be loaded as weights only: it is truncated or corrupt, or holds Python objects, which are never "
            "run; save model.state_dict()"
        ) from error
    if not isinstance(loaded, Mapping):
        raise InputError(f"holds a {type(loaded).__name__}, not a state dict; save model.state_dict()")
    for key in ("state_dict", "model"):
        if isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    tensors: Tensors = {}
    room = MOST_BYTES
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor) or not _is_dense(value):
            raise InputError(f"entry {name!r} is not a named dense tensor; save model.state_dict()")
        if value.dtype not in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
            raise _wrong_dtype(name, str(value.dtype).removeprefix("torch."))
        room -= value.numel() * np.dtype(np.float32).itemsize
        if room < 0:  # the same values under many names
            raise InputError(f"has more than {MOST_BYTES:,} bytes of weights as float32, which no board has room for")
        tensors[name] = np.ascontiguousarray(value.detach().to(torch.float32).numpy())
    return tensors


def _require_small_members(content: bytes) -> None:
    """Refuse an archive that unpacks to more than a checkpoint may be, which a few bytes can claim."""
    file = io.BytesIO(content)
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
                raise ValueError("it unpacks to more than is read")


def _is_dense(value: "torch.Tensor") -> bool:
    """Return whether a tensor has each of its values in memory: not sparse, not on the meta device, not expanded."""
    import torch

    if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def _wrong_dtype(name: str, dtype: str) -> InputError:
    return InputError(f"tensor {name!r} has dtype {dtype}; weights must be float64, float32, float16 or bfloat16")
