"""The submodules that emu knows, as operations: each is compared with what the submodule itself gave.

A layer is known by its tensors and values, not by its class: the classes of mamba_ssm, of transformers and of a
user's own program go the same way.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
from torch import nn

from emu.errors import InputError
from emu.live.capture import Call
from emu.live.origins import ROUNDED, difference
from emu.model.choices import CHOICES, EPSILONS
from emu.model.config import ModelConfig, NormKind
from emu.model.evaluation import evaluate
from emu.model.forward import ACTIVATIONS, mix
from emu.model.ops import Array, Linear, Mixer, Norm, Operation

_MIXER = {
    "in_proj.weight": 2,
    "conv1d.weight": 3,
    "x_proj.weight": 2,
    "dt_proj.weight": 2,
    "dt_proj.bias": 1,
    "A_log": 2,
    "D": 1,
    "out_proj.weight": 2,
}
"""The tensors that make a module a Mamba block, and their dimensions."""
_MIXER_BIASES = ("in_proj.bias", "conv1d.bias", "out_proj.bias")

_EPSILON_NAMES = ("eps", "variance_epsilon", "epsilon", "norm_eps")


def is_mixer(module: nn.Module) -> bool:
    """Return whether a module has the tensors of a Mamba block."""
    ranks = {name: tensor.ndim for name, tensor in module.named_parameters()}
    return all(ranks.get(name) == rank for name, rank in _MIXER.items())


def is_identity(call: Call) -> bool:
    """Return whether a submodule gave back what it got: dropout in inference, for one."""
    return (
        len(call.inputs) == len(call.outputs) == 1
        and call.inputs[0].shape == call.outputs[0].shape
        and bool((call.inputs[0] == call.outputs[0]).all())
    )


def read_layer(call: Call) -> tuple[Operation, ...] | None:
    """Return a submodule's operations, or None if emu does not know the layer.

    Raises InputError if it is a Mamba block that computes something else than the engine.
    """
    if len(call.inputs) != 1 or len(call.outputs) != 1:
        return None
    if is_mixer(call.module):
        return _read_mixer(call)
    weights = _tensors(call.module)
    if not call.is_leaf or not set(weights) <= {"weight", "bias"}:
        return None
    for operation in _candidates(call, weights):
        *_, result = evaluate((operation,), call.inputs[0])
        if difference(result, call.outputs[0]) <= ROUNDED:
            return (operation,)
    return None


def _candidates(call: Call, weights: dict[str, Array]) -> Iterator[Operation]:
    """Yield what a layer with these tensors can be."""
    weight, bias = weights.get("weight"), weights.get("bias")
    if weight is not None and weight.ndim == 2 and call.inputs[0].shape[-1] == weight.shape[1]:
        yield Linear(weight, bias)
    is_scaled = weight is not None and weight.shape == call.inputs[0].shape[-1:]
    if is_scaled or (weight is None and call.inputs[0].shape == call.outputs[0].shape):
        scale = np.ones(call.inputs[0].shape[-1]) if weight is None else weight
        kinds: tuple[NormKind, ...] = ("rms", "layer")
        for epsilon, kind in product(_epsilons(call.module), kinds):
            yield Norm(scale, bias, kind, epsilon)


def _epsilons(module: nn.Module) -> list[float]:
    """Return the epsilons that a norm can have: the module's own, or else those of libraries."""
    stated = [getattr(module, name, None) for name in _EPSILON_NAMES]
    own = [float(epsilon) for epsilon in stated if isinstance(epsilon, float)]
    return own or list(EPSILONS)


def _read_mixer(call: Call) -> tuple[Operation, ...]:
    """Return a Mamba block's operations. Raises InputError that names what the block computes otherwise."""
    weights = _tensors(call.module)
    channels, states = weights["A_log"].shape
    ranks = weights["dt_proj.weight"].shape[1]
    operations = _mixer_operations(weights)
    try:
        *_, result = evaluate(operations, call.inputs[0])
    except ValueError as error:  # matrices that cannot be multiplied
        raise _not_mamba(call, "its tensors do not have a Mamba block's shapes") from error
    if difference(result, call.outputs[0]) <= ROUNDED:
        return operations
    shape = ModelConfig(0, 0, d_inner=channels, d_state=states, dt_rank=ranks)
    for words, other in _other_blocks(shape, weights, call.inputs[0]):
        if difference(other, call.outputs[0]) <= ROUNDED:
            raise _not_mamba(call, f"{words}: the engine does not compute that")
    others = sorted(set(weights) - set(_MIXER) - set(_MIXER_BIASES))
    raise _not_mamba(call, f"it has {', '.join(others)}, too" if others else "it gives other values")


def _mixer_operations(weights: dict[str, Array]) -> tuple[Operation, ...]:
    conv_weight = weights["conv1d.weight"][:, 0]
    mixer = Mixer(
        in_proj=Linear(weights["in_proj.weight"], weights.get("in_proj.bias")),
        conv_weight=conv_weight,
        conv_bias=weights.get("conv1d.bias", np.zeros(len(conv_weight))),
        x_proj=weights["x_proj.weight"],
        dt_proj=Linear(weights["dt_proj.weight"], weights["dt_proj.bias"]),
        a=-np.exp(weights["A_log"]),
        d=weights["D"],
    )
    return mixer, Linear(weights["out_proj.weight"], weights.get("out_proj.bias"))


def _other_blocks(config: ModelConfig, weights: dict[str, Array], x: Array) -> Iterator[tuple[str, Array]]:
    """Yield what blocks with these tensors give that have other choices, with the choices in words."""
    named = {f"block.mixer.{name}": tensor for name, tensor in weights.items()}
    words = {choice.key: choice.values for choice in CHOICES}

    def mixed(config: ModelConfig, hidden: Array) -> Array:
        with np.errstate(all="ignore"):
            return mix(config, named, "block", hidden, lambda *_: None)

    for activation, gate in product(ACTIVATIONS, ACTIVATIONS):
        changed = replace(config, activation=activation, gate=gate)
        yield f"its activation is {words['activation'][activation]}, its gate {words['gate'][gate]}", mixed(changed, x)
    for epsilon in EPSILONS:
        changed = replace(config, inner_norm="rms", inner_norm_epsilon=epsilon)
        yield f"it has {words['inner_norm']['rms']}", mixed(changed, x)
    ahead, back = mixed(config, x), mixed(config, x[:, ::-1])[:, ::-1]
    yield "it runs backward in time", back
    yield f"it runs {words['direction']['both']}", ahead + back
    yield f"it gives {words['direction']['both-mean']}", (ahead + back) / 2


def _not_mamba(call: Call, why: str) -> InputError:
    return InputError(f"{call.path} ({call.kind}) is not the Mamba block that emu knows: {why}")


def _tensors(module: nn.Module) -> dict[str, Array]:
    """Return a module's parameters by name, in float64."""
    return {name: tensor.detach().double().numpy() for name, tensor in module.named_parameters()}
