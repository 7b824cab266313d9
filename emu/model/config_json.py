"""``config.json`` next to the weights: what transformers and mamba_ssm write about a model."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emu.errors import InputError
from emu.model.stated import Stated
from emu.printable import printable
from emu.reading import read_file

NAME = "config.json"

_ACTIVATIONS = {"silu": "silu", "swish": "silu", "gelu": "gelu", "relu": "relu"}
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class ConfigJson:
    """What a model's ``config.json`` says; None or empty if there is no such file, or if emu knows none of its keys."""

    stated: Stated = field(default_factory=Stated)
    tied_head: bool | None = None
    """Whether the embedding serves as the head."""


def read_config_json(checkpoint: Path) -> ConfigJson:
    """Return what the ``config.json`` next to a checkpoint says.

    Raises InputError if the file cannot be read, or describes a model that is not Mamba or has parts that emu does not
    know.
    """
    path = checkpoint.with_name(NAME)
    if not os.path.isfile(path):  # noqa: PTH113 - no error for an odd name
        return ConfigJson()
    return read_file(path, "a model's configuration: it is not JSON", _interpret, _MOST_BYTES)


def _interpret(data: bytes) -> ConfigJson:
    config = json.loads(data)
    if not isinstance(config, Mapping):
        return ConfigJson()
    if "model_type" in config:
        return _of_transformers(config)
    if "d_model" in config and "n_layer" in config:
        return _of_mamba_ssm(config)
    return ConfigJson()


def _of_transformers(config: Mapping[str, object]) -> ConfigJson:
    """Read a configuration of transformers; a missing key has the library's default."""
    kind = config["model_type"]
    if kind not in ("mamba", "falcon_mamba"):
        raise InputError(f"model_type is {_brief(kind)}; emu reads mamba and falcon_mamba")
    activation = config.get("hidden_act", "silu")
    if activation not in _ACTIVATIONS:
        raise InputError(f"hidden_act is {_brief(activation)}; emu knows {', '.join(_ACTIVATIONS)}")
    inner = {"inner_norm": "none"}
    if kind == "falcon_mamba":
        inner = {"inner_norm": "rms", "inner_norm_epsilon": config.get("mixer_rms_eps", 1e-6)}
    table = {
        "block": "residual",
        "norm": "rms",
        "norm_epsilon": config.get("layer_norm_epsilon", 1e-5),
        "activation": _ACTIVATIONS[str(activation)],
        "direction": "forward",
        **inner,
    }
    return ConfigJson(Stated.model_validate(table), _boolean(config, "tie_word_embeddings", default=True))


def _of_mamba_ssm(config: Mapping[str, object]) -> ConfigJson:
    """Read a configuration of mamba_ssm's MambaLMHeadModel; a missing key has the library's default."""
    mixer = config.get("ssm_cfg")
    kind = mixer.get("layer", "Mamba1") if isinstance(mixer, Mapping) else "Mamba1"
    if kind != "Mamba1":
        raise InputError(f"ssm_cfg.layer is {_brief(kind)}; emu reads Mamba1")
    if config.get("attn_layer_idx"):
        raise InputError(f"attn_layer_idx is {_brief(config['attn_layer_idx'])}: emu knows no attention layers")
    if config.get("d_intermediate"):
        raise InputError(f"d_intermediate is {_brief(config['d_intermediate'])}: emu knows no MLP between Mamba blocks")
    table = {
        "block": "residual",
        "norm": "rms" if _boolean(config, "rms_norm", default=True) else "layer",
        "norm_epsilon": 1e-5,
        "activation": "silu",
        "gate": "silu",
        "inner_norm": "none",
        "direction": "forward",
    }
    return ConfigJson(Stated.model_validate(table), _boolean(config, "tie_embeddings", default=True))


def _boolean(config: Mapping[str, object], key: str, *, default: bool) -> bool:
    value = config.get(key, default)
    if not isinstance(value, bool):
        raise InputError(f"{key} is {_brief(value)}, expected true or false")
    return value


def _brief(value: object) -> str:
    return printable(repr(value), 60)
