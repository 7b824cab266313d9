"""What a module does with some inputs: each call of a submodule, with its tensors in float64."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emu.errors import InputError, MissingToolError
from emu.model.ops import Array

Tensors = tuple[Array, ...]

ROOT = "model"
"""The path of the module itself."""

_OUTPUT_FIELDS = ("logits", "last_hidden_state")
"""The fields of transformers' outputs that can be a model's answer, the answer of a whole model first."""

_KERNELS = ("mamba_ssm", "causal_conv1d", "selective_scan_cuda", "causal_conv1d_cuda", "triton")

KERNELS_REMEDY = (
    "mamba_ssm's kernels run on CUDA only. Build the model from a Mamba block in plain PyTorch that has tensors of the "
    "same names, such as transformers' MambaMixer, and load the same weights; or give emu the weights' file"
)


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a submodule, or of the module itself."""

    path: str
    """The path: ``model.blocks.0.norm``."""
    module: nn.Module
    inputs: Tensors
    outputs: Tensors
    began: int
    """When the call began, as a number that grows."""
    ended: int
    is_leaf: bool
    """Whether the submodule called no other submodule."""

    @property
    def kind(self) -> str:
        """The submodule's class, as users write it."""
        name = type(self.module).__qualname__.rpartition("<locals>.")[2]
        return f"torch.nn.{name}" if type(self.module).__module__.startswith("torch.nn.") else name


@dataclass(frozen=True, eq=False)
class Capture:
    """The calls of a module and its submodules, in the order in which they ended, and the module's answer."""

    x: Array
    """(B, T, F)"""
    calls: tuple[Call, ...]
    output: Array
    """(B, C) or (B, T, C)"""


def capture(module: nn.Module, x: Array) -> Capture:
    """Call a float64 module with x (B, T, F), and return what its submodules did.

    Raises InputError if the module raises an exception, or if its answer is no tensor.
    """
    recorder = _Recorder()
    handles: list[Any] = []
    for path, part in module.named_modules(prefix=ROOT):
        handles.append(part.register_forward_pre_hook(recorder.before, with_kwargs=True))
        handles.append(part.register_forward_hook(recorder.after(path), with_kwargs=True))
    try:
        output = answer(module, torch.from_numpy(x))
    finally:
        for handle in handles:
            handle.remove()
    return Capture(x, tuple(recorder.calls), output.astype(np.float64))


def answer(module: nn.Module, x: Tensor) -> NDArray[Any]:
    """Return a module's answer to x (B, T, F): the tensor that it returns, or the first one of several.

    Raises InputError if the module raises an exception, or returns no tensor.
    """
    shape = f"x {str(x.dtype).removeprefix('torch.')} {list(x.shape)}"
    try:
        with torch.no_grad():
            returned = module(x)
    except Exception as error:
        if needs_kernels(error):
            raise MissingToolError(f"model: {KERNELS_REMEDY} ({words(error)})") from error
        raise InputError(f"model raises {words(error)} for {shape}") from error
    for name in _OUTPUT_FIELDS:
        returned = getattr(returned, name, returned)
    tensors = _tensors(returned)
    if not tensors:
        raise InputError(f"model returns {type(returned).__name__} for {shape}; emu needs a tensor [N, C] or [N, T, C]")
    return tensors[0].cpu().numpy()


def in_float(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return a copy of a module, ready for inference on the CPU, with weights of ``dtype``.

    Raises InputError if the module cannot be copied.
    """
    try:
        return copy.deepcopy(module).cpu().to(dtype).eval()
    except Exception as error:
        raise InputError(f"model cannot be copied to the CPU: {words(error)}") from error


def needs_kernels(error: BaseException) -> bool:
    """Return whether an exception says that mamba_ssm's kernels are not there, or do not run on the CPU."""
    traceback = error.__traceback__
    while traceback is not None:
        name = traceback.tb_frame.f_globals.get("__name__", "")
        if name.partition(".")[0] in _KERNELS:
            return True
        traceback = traceback.tb_next
    return isinstance(error, ImportError) and (error.name or "").partition(".")[0] in _KERNELS


@dataclass
class _Recorder:
    """The hooks, and what they have seen."""

    calls: list[Call] = field(default_factory=list)
    open: list[tuple[int, Tensors]] = field(default_factory=list)
    """The calls that have begun: when, and with what."""
    inner: set[int] = field(default_factory=set)
    """When the calls began that called another submodule."""
    now: int = 0

    def before(self, _module: nn.Module, inputs: Any, named: Any) -> None:
        if self.open:
            self.inner.add(self.open[-1][0])
        self.now += 1
        self.open.append((self.now, _arrays([inputs, named])))

    def after(self, path: str) -> Any:
        def hook(module: nn.Module, _inputs: Any, _named: Any, output: Any) -> None:
            began, inputs = self.open.pop()
            self.now += 1
            self.calls.append(
                Call(path, module, inputs, _arrays(output), began, self.now, is_leaf=began not in self.inner)
            )

        return hook


def _arrays(value: Any) -> Tensors:
    return tuple(
        tensor.detach().to(torch.float64).numpy().copy() for tensor in _tensors(value) if tensor.is_floating_point()
    )


def _tensors(value: Any) -> list[Tensor]:
    """Return the tensors in a value: a tensor, or lists, tuples and tables with tensors."""
    if isinstance(value, Tensor):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def words(error: BaseException) -> str:
    """Return an exception's class and message."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
