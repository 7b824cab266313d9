"""Files of named tensors: safetensors, PyTorch's own format if PyTorch is installed, and indexes of several files."""

import io
import json
import os
import zipfile
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import deserialize

from emu.errors import InputError, MissingToolError
from emu.reading import MOST_BYTES, read_file, read_json

if TYPE_CHECKING:
    import torch

Tensors = dict[str, NDArray[np.float32]]

_SAFETENSORS_SUFFIX = ".safetensors"
_INDEX_SUFFIX = ".index.json"
CHECKPOINT_SUFFIXES = (_SAFETENSORS_SUFFIX, ".pt", ".pth", ".bin", ".ckpt", _INDEX_SUFFIX)
"""The names' endings of files that ``read_tensors`` reads. The first is safetensors, and the last lists the files that
hold the tensors; the others are PyTorch's own format."""

_IN_A_DIRECTORY = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""The names of weights in a directory of transformers, the preferred name first."""


def find_weights(path: Path) -> Path:
    """Return the file with the weights: ``path`` itself, or the file in a directory of transformers.

    Raises InputError if a directory has no such file.
    """
    if not os.path.isdir(path) or path.name.endswith(CHECKPOINT_SUFFIXES):  # noqa: PTH112 - no error for an odd name
        return path
    for name in _IN_A_DIRECTORY:
        if (path / name).is_file():
            return path / name
    raise InputError(f"{path}: the directory holds none of {', '.join(_IN_A_DIRECTORY)}")


def stem(path: Path) -> str:
    """Return a checkpoint's file name without its ending, such as ``.safetensors`` or ``.safetensors.index.json``."""
    name = path.name.removesuffix(_INDEX_SUFFIX)
    return name.removesuffix(Path(name).suffix) if Path(name).suffix in CHECKPOINT_SUFFIXES else name


def read_tensors(path: Path, state_dict: str | None = None) -> tuple[Tensors, dict[str, str]]:
    """Return the tensors of a file, cast to float32, and its metadata (empty for PyTorch's format).

    ``state_dict`` names the entry of a PyTorch file that holds the weights; None takes the only entry.

    Raises:
        InputError: the file cannot be read, is empty or corrupt, or holds a value that is not a floating-point tensor.
        MissingToolError: the file is in PyTorch's format and PyTorch is not installed.

    """
    if path.name.endswith(_INDEX_SUFFIX):
        return _read_shards(path, state_dict), {}
    if path.suffix not in CHECKPOINT_SUFFIXES:
        raise InputError(f"{path}: a checkpoint's name ends in one of {', '.join(CHECKPOINT_SUFFIXES)}")
    if path.suffix == _SAFETENSORS_SUFFIX:
        return read_file(path, "a safetensors file: it is truncated or corrupt", _read_safetensors)
    return read_file(path, "a file of weights alone", lambda content: _read_torch(content, state_dict)), {}


def _read_shards(index: Path, state_dict: str | None) -> Tensors:
    """Return the tensors of all files that an index names."""
    files = read_json(index, _shards, "an index of weights")
    tensors: Tensors = {}
    room = MOST_BYTES
    for name in files:
        part, _ = read_tensors(index.with_name(name), state_dict)
        room -= sum(tensor.nbytes for tensor in part.values())
        if room < 0:
            raise InputError(f"{index}: has more than {MOST_BYTES:,} bytes of weights; no board has room for them")
        tensors |= part
    return tensors


def _shards(index: object) -> list[str]:
    """Return the names of the files in an index, each once."""
    weight_map = index.get("weight_map") if isinstance(index, Mapping) else None
    if not isinstance(weight_map, Mapping) or not weight_map:
        raise InputError("has no weight_map, which says in which file each tensor is")
    names = list(dict.fromkeys(weight_map.values()))
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or name.endswith(_INDEX_SUFFIX):
            raise InputError(f"weight_map names {name!r}, which is no file of weights next to the index")
    return names


def _read_safetensors(content: bytes) -> tuple[Tensors, dict[str, str]]:
    """Decode without PyTorch. ``safetensors.numpy`` would do, but numpy has no bfloat16."""
    _require_content(content)
    entries = deserialize(content)
    # `deserialize` has validated the header, but does not return its metadata
    header_bytes = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + header_bytes]).get("__metadata__") or {}
    # sorted, because `deserialize` returns another order at each run, and only the first error is reported
    return {name: _decode(name, entry) for name, entry in sorted(entries, key=itemgetter(0))}, metadata


def _require_content(content: bytes) -> None:
    if not content:
        raise InputError("the file is empty")


def _decode(name: str, entry: Mapping[str, Any]) -> NDArray[np.float32]:
    match entry["dtype"]:
        case "BF16":  # the upper half of a float32
            values = (np.frombuffer(entry["data"], "<u2").astype(np.uint32) << 16).view(np.float32)
        case "F16" | "F32" | "F64" as dtype:
            with np.errstate(over="ignore", invalid="ignore"):  # the caller rejects such values
                values = np.frombuffer(entry["data"], f"<f{int(dtype[1:]) // 8}").astype(np.float32)
        case dtype:
            raise _wrong_dtype(name, dtype)
    return values.reshape(entry["shape"])


def _read_torch(content: bytes, state_dict: str | None) -> Tensors:
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
    loaded = _state_dict(loaded, state_dict)
    tensors: Tensors = {}
    room = MOST_BYTES
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor) or not _is_dense(value):
            raise InputError(f"entry {name!r} is not a named dense tensor; save model.state_dict()")
        if value.dtype not in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
            raise _wrong_dtype(name, str(value.dtype).removeprefix("torch."))
        room -= value.numel() * np.dtype(np.float32).itemsize
        if room < 0:  # the same values under many names
            raise InputError(f"has more than {MOST_BYTES:,} bytes of weights as float32; no board has room for them")
        tensors[name] = np.ascontiguousarray(value.detach().to(torch.float32).numpy())
    return tensors


def _state_dict(loaded: Mapping[Any, Any], wanted: str | None) -> Mapping[Any, Any]:
    """Return the weights in a training program's file: the entry ``wanted``, or the only entry with tensors."""
    import torch

    def holds_tensors(value: object) -> bool:
        return isinstance(value, Mapping) and any(isinstance(each, torch.Tensor) for each in value.values())

    entries = [str(key) for key, value in loaded.items() if holds_tensors(value)]
    if wanted is not None:
        if wanted not in entries:
            found = ", ".join(map(repr, entries)) or "none"
            raise InputError(f"state_dict is stated as {wanted!r}, but the entries with tensors are: {found}")
        return loaded[wanted]
    if len(entries) > 1 and not holds_tensors(loaded):
        found = ", ".join(map(repr, entries))
        raise InputError(f"holds {found}: say which are the weights, with --set state_dict={entries[0]}")
    return loaded[entries[0]] if entries and not holds_tensors(loaded) else loaded


def _require_small_members(content: bytes) -> None:
    """Refuse an archive, however small, that unpacks to more bytes than a checkpoint may have."""
    file = io.BytesIO(content)
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
                raise ValueError(f"it unpacks to more than {MOST_BYTES:,} bytes")


def _is_dense(value: "torch.Tensor") -> bool:
    """Return whether a tensor has each of its values in memory: not sparse, not on the meta device, not expanded."""
    import torch

    if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def _wrong_dtype(name: str, dtype: str) -> InputError:
    return InputError(f"tensor {name!r} has dtype {dtype}; weights must be float64, float32, float16 or bfloat16")
