"""Wrappers, containers and other names: equal weights are read as equal models."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from samples import CONFIGS, random_weights

from emu.errors import InputError
from emu.model.checkpoint import Checkpoint, load_checkpoint
from emu.model.config import ModelConfig
from emu.model.sources import find_model
from emu.model.stated import Stated

Tensors = dict[str, NDArray[np.float32]]

PLAIN = CONFIGS["one plain block, mean"]
RESIDUAL = replace(CONFIGS["residual blocks without a head"], head=True, n_outputs=3)
TOKENS = ModelConfig(
    12, 12, d_model=8, d_inner=16, d_state=4, dt_rank=1, n_blocks=2, block="residual", pooling="last"
)  # 12 tokens


def save(tensors: Tensors, path: Path) -> Path:
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, path)
    return path


def save_torch(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


def state(weights: Tensors, prefix: str = "", factor: float = 1.0) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": torch.from_numpy(factor * tensor) for name, tensor in weights.items()}


def renamed(weights: Tensors, *pairs: tuple[str, str]) -> Tensors:
    for old, new in pairs:
        weights = {name.replace(old, new): tensor for name, tensor in weights.items()}
    return weights


def assert_same(checkpoint: Checkpoint, config: ModelConfig, weights: Tensors) -> None:
    assert checkpoint.config == config
    assert list(checkpoint.weights) == list(weights)
    assert all(np.array_equal(checkpoint.weights[name], tensor) for name, tensor in weights.items())


def refusal(path: Path, stated: Stated | None = None) -> str:
    with pytest.raises(InputError) as caught:
        load_checkpoint(path, stated)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


# Wrappers and containers


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "net.", "model."])
def test_the_prefix_of_a_wrapper_is_no_part_of_the_names(tmp_path: Path, prefix: str) -> None:
    weights = random_weights(PLAIN)
    assert_same(load_checkpoint(save_torch(state(weights, prefix), tmp_path / "m.pt")), PLAIN, weights)


def test_a_missing_tensor_is_named_with_the_prefix(tmp_path: Path) -> None:
    tensors = state(random_weights(PLAIN), "module.")
    del tensors["module.layers.0.mixer.D"]
    assert refusal(save_torch(tensors, tmp_path / "m.pt")) == "tensor 'module.layers.0.mixer.D' is missing"


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
@pytest.mark.parametrize(
    "nest",
    [
        lambda state: {"epoch": 3, "state_dict": state, "optimizer": {"state": {}, "param_groups": []}},
        lambda state: {"model_state_dict": state, "epoch": 3},
        lambda state: {"ema": state},
        lambda state: {"state_dict": {f"net.{name}": tensor for name, tensor in state.items()}, "hyper_parameters": {}},
    ],
    ids=["state_dict", "model_state_dict", "ema", "lightning"],
)
def test_the_entry_with_the_weights_is_found(tmp_path: Path, suffix: str, nest: Callable[..., object]) -> None:
    weights = random_weights(PLAIN)
    assert_same(load_checkpoint(save_torch(nest(state(weights)), tmp_path / f"m{suffix}")), PLAIN, weights)


def test_of_two_entries_the_user_says_which(tmp_path: Path) -> None:
    weights = random_weights(PLAIN)
    both = {"state_dict": state(weights), "state_dict_ema": state(weights, factor=0.5)}
    path = save_torch(both, tmp_path / "m.pt")
    assert refusal(path) == (
        "holds 'state_dict', 'state_dict_ema': say which are the weights, with --set state_dict=state_dict"
    )
    halves = {name: tensor * np.float32(0.5) for name, tensor in weights.items()}
    assert_same(load_checkpoint(path, Stated(state_dict="state_dict_ema")), PLAIN, halves)
    assert "stated as 'emma', but the entries with tensors are: 'state_dict'" in refusal(
        path, Stated(state_dict="emma")
    )


def shards(directory: Path, weights: Tensors) -> Path:
    names = list(weights)
    files = {name: f"model-0000{1 + index % 2}-of-00002.safetensors" for index, name in enumerate(names)}
    for file in set(files.values()):
        save({name: weights[name] for name in names if files[name] == file}, directory / file)
    index = directory / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": files}))
    return index


def test_weights_in_several_files(tmp_path: Path) -> None:
    weights = random_weights(RESIDUAL)
    index = shards(tmp_path, weights)
    assert_same(load_checkpoint(index), RESIDUAL, weights)
    assert_same(load_checkpoint(tmp_path), RESIDUAL, weights)
    (tmp_path / "model.emu.toml").write_text('pooling = "last"\n')
    assert load_checkpoint(index).config.pooling == "last"
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002.safetensors: No such file" in refusal(index)


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", 3, "model.safetensors.index.json"])
def test_an_index_names_only_files_next_to_it(tmp_path: Path, name: object) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"head.weight": name}}))
    assert f"weight_map names {name!r}, which is no file of weights" in refusal(index)
    index.write_text("{}")
    assert "has no weight_map" in refusal(index)


def test_a_directory_is_a_model_of_its_name(tmp_path: Path) -> None:
    directory = tmp_path / "mine"
    directory.mkdir()
    with pytest.raises(InputError, match="the directory holds none of "):
        find_model(str(directory))
    save(random_weights(PLAIN), directory / "model.safetensors")
    model = find_model(str(directory))
    assert (model.name, model.path) == ("mine", directory / "model.safetensors")


@pytest.mark.parametrize("file", ["mine.mamba", "mine.pt", "mine.safetensors", "mine.safetensors.index.json"])
def test_a_file_is_a_model_of_its_name_without_its_ending(tmp_path: Path, file: str) -> None:
    (tmp_path / file).touch()
    assert find_model(str(tmp_path / file)).name == "mine"


# Names


NAMES = [
    (("linear_in.", "input_proj."), ("layers.0.mixer.", "mamba."), ("head.", "output_proj.")),
    (("linear_in.", "embed."), ("layers.0.mixer.", "encoder.ssm."), ("head.", "fc.")),
    (("linear_in.", "zzz."), ("layers.0.mixer.", "backbone.mixer."), ("head.", "aaa.")),
]


@pytest.mark.parametrize("pairs", NAMES)
def test_the_layers_around_a_block_have_any_names(tmp_path: Path, pairs: tuple[tuple[str, str], ...]) -> None:
    weights = random_weights(PLAIN)
    path = save(renamed(weights, *pairs), tmp_path / "m.safetensors")
    assert_same(load_checkpoint(path), PLAIN, weights)


def test_blocks_with_any_names_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    config = replace(RESIDUAL, n_blocks=11)
    weights = random_weights(config)
    pairs = (("layers.", "blocks."), ("mixer.", "mamba."), (".norm.", ".ln."), ("norm_f.", "final."), ("head.", "fc."))
    path = save(renamed(weights, *pairs), tmp_path / "m.safetensors")
    assert_same(load_checkpoint(path), config, weights)


def test_a_tensor_of_unknown_use_is_named(tmp_path: Path) -> None:
    weights = renamed(random_weights(PLAIN), *NAMES[0]) | {"extra.weight": np.ones((5, 5), np.float32)}
    assert "tensor 'extra.weight' is unexpected" in refusal(save(weights, tmp_path / "m.safetensors"))


def test_the_user_names_the_parts_that_shapes_cannot_tell(tmp_path: Path) -> None:
    config = replace(PLAIN, n_features=8, n_outputs=8)
    weights = random_weights(config)
    path = save(renamed(weights, ("linear_in.", "second."), ("head.", "first."), ("layers.0.", "")), tmp_path / "m.pth")
    path = path.rename(tmp_path / "m.safetensors")
    (tmp_path / "m.emu.toml").write_text('[names]\nlinear_in = "second"\nhead = "first"\n"layers.0.mixer" = "mixer"\n')
    assert_same(load_checkpoint(path), config, weights)
    (tmp_path / "m.emu.toml").write_text('[names]\nlinear_in = "third"\n')
    assert refusal(path) == "names.linear_in is stated as 'third', but no tensor's name begins with that"
    (tmp_path / "m.emu.toml").write_text('[names]\ntail = "third"\n')
    assert "'tail' is none of linear_in, layers.N.norm, layers.N.mixer, norm_f, head" in refusal(path)


def test_a_layer_without_bias_has_a_bias_of_zero(tmp_path: Path) -> None:
    weights = random_weights(PLAIN)
    for name in ("linear_in.bias", "head.bias"):
        rest = {other: tensor for other, tensor in weights.items() if other != name}
        expected = weights | {name: np.zeros_like(weights[name])}
        checkpoint = load_checkpoint(save(rest, tmp_path / "m.safetensors"))
        assert all(np.array_equal(checkpoint.weights[each], expected[each]) for each in weights)
        assert set(checkpoint.weights) == set(expected)


# Other models


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("layers.0.mixer.A_b_log", "belongs to a second direction"),
        ("layers.0.mixer.conv1d_b.weight", "belongs to a second direction"),
        ("layers.0.mixer.dt_layernorm.bias", "belongs to a norm on dt, B or C that is no RMSNorm"),
        ("layers.0.mixer.dt_bias", "is Mamba-2's"),
        ("layers.0.mixer.B_bias", "is Mamba-3's"),
    ],
)
def test_a_part_that_is_not_computed_is_named_before_what_else_is_wrong(tmp_path: Path, name: str, what: str) -> None:
    weights = random_weights(PLAIN) | {name: np.ones(8, np.float32), "another.part": np.ones(3, np.float32)}
    message = refusal(save(weights, tmp_path / "m.safetensors"))
    assert message.startswith(f"tensor '{name}' with shape (8,) {what}")
