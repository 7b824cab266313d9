"""Build the module that a user's Python file defines, and load its weights."""

import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import torch
from torch import nn

from emu.errors import EmuError, InputError, MissingToolError
from emu.live.capture import KERNELS_REMEDY, needs_kernels, words
from emu.live.definition import Definition
from emu.model.naming import common_wrapper
from emu.model.tensor_file import Tensors, find_weights, read_tensors

_T = TypeVar("_T")


def build_module(definition: Definition) -> nn.Module:
    """Run the file and its function, and return the module, with its weights loaded.

    Raises:
        InputError: there is no such file or function, it raises an exception or makes no module, or the weights do not
            fit.
        MissingToolError: the file needs CUDA kernels that are not installed.

    """
    file, name = definition.file, definition.name
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    made = _run(definition)
    module = getattr(made, name, None)
    if module is None:
        functions = [each for each, value in vars(made).items() if getattr(value, "__module__", "") == made.__name__]
        raise InputError(f"{file}: has no {name!r}; it defines {', '.join(functions) or 'no function'}")
    if not isinstance(module, nn.Module):
        if not callable(module):
            raise InputError(f"{file}: {name} is {type(module).__name__}; emu needs a function that returns the model")
        module = _guarded(definition, f"{name}()", module)
    if not isinstance(module, nn.Module):
        raise InputError(f"{file}: {name}() returns {type(module).__name__}; emu needs a torch.nn.Module")
    if definition.weights is not None:
        _load(module, definition.weights, definition)
    return module


def _run(definition: Definition) -> ModuleType:
    """Run the file as a module of its own; files next to it can be imported."""
    file = definition.file.absolute()
    loader = SourceFileLoader(file.stem, str(file))
    module = ModuleType(file.stem)
    module.__file__ = str(file)
    sys.modules.setdefault(file.stem, module)  # dataclasses and pickles look their module up
    sys.path.insert(0, str(file.parent))
    try:
        _guarded(definition, "the file", lambda: loader.exec_module(module))
    finally:
        sys.path.remove(str(file.parent))
    return module


def _guarded(definition: Definition, what: str, call: Callable[[], _T]) -> _T:
    """Call a user's code; whatever it raises becomes one line that names ``what`` and the line of the file."""
    try:
        return call()
    except EmuError:
        raise
    except (Exception, SystemExit) as error:
        if needs_kernels(error):
            raise MissingToolError(f"{definition.file}: {KERNELS_REMEDY} ({words(error)})") from error
        place = _place(error, definition.file)
        raise InputError(f"{definition.file}: {what} raises {words(error)}{place}") from error


def _place(error: BaseException, file: Path) -> str:
    """Return the line of the file at which an exception was raised."""
    line, traceback = None, error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == str(file.absolute()):
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return "" if line is None else f" (line {line})"


def _load(module: nn.Module, path: Path, definition: Definition) -> None:
    """Load a checkpoint into a module. Raises InputError that names all tensors that do not fit."""
    tensors, _ = read_tensors(find_weights(path))
    own = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    tensors = _under_its_names(tensors, own)
    places = {name: tensor.data_ptr() for name, tensor in module.state_dict().items()}
    loaded = {places[name] for name in tensors if name in places}
    wrong = [f"{name} is missing" for name in own if name not in tensors and places[name] not in loaded]
    wrong += [f"{name} is not in the model" for name in tensors if name not in own]
    wrong += [
        f"{name} has shape {list(tensor.shape)}, the model's has {list(own[name])}"
        for name, tensor in tensors.items()
        if name in own and tensor.shape != own[name]
    ]
    if wrong:
        more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        raise InputError(
            f"{path}: does not fit {definition.file}:{definition.name}: {'; '.join(wrong[:4])}{more}. Build the model "
            "as it was trained"
        )
    module.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()}, strict=False)


def _under_its_names(tensors: Tensors, own: dict[str, tuple[int, ...]]) -> Tensors:
    """Return the tensors without the prefixes that wrappers put before all names, unless the module has them, too."""
    prefix = common_wrapper(tensors)
    if any(name in own for name in tensors):
        return tensors
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
