"""The layer trace compares every tensor of the firmware with PyTorch's, and names the first one that differs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from samples import CONFIGS, random_weights

import emu.model.sources
from emu.machines import Limits
from emu.model.config import ModelConfig
from emu.model.graph import Graph, build_graph
from emu.model.ops import Mixer
from emu.model.sources import Model
from emu.model.tracing import compare_layers, reference_tensors
from emu.run.layers import trace_layers
from emu.targets import find_target

TARGET = find_target("stm32h7-unicorn")


def model_of(config: ModelConfig, directory: Path) -> Model:
    metadata = {"pooling": config.pooling, "norm_epsilon": str(config.norm_epsilon)}
    save_file(random_weights(config), directory / "model.safetensors", metadata)
    return Model("model", directory / "model.safetensors", None)


def rows(config: ModelConfig) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(6, config.n_features)).astype(np.float32)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_tensor_of_every_block_agrees(name: str, tmp_path: Path):
    config = CONFIGS[name]
    layers = trace_layers(model_of(config, tmp_path), TARGET, rows(config), Limits())
    assert len(layers) >= 6 * config.n_blocks + 1
    assert layers[-1].tensor == "logits"
    for layer in layers:
        assert not layer.diverged, layer
        assert layer.largest > 0


def test_the_first_tensor_that_differs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = CONFIGS["three residual blocks with every bias"]

    def with_a_wrong_convolution(*arguments: object) -> Graph:
        graph = build_graph(*arguments)  # pyright: ignore[reportArgumentType]
        operations = list(graph.operations)
        second = [index for index, operation in enumerate(operations) if isinstance(operation, Mixer)][1]
        right = operations[second]
        assert isinstance(right, Mixer)
        operations[second] = replace(right, conv_weight=right.conv_weight[:, ::-1])
        return replace(graph, operations=tuple(operations))

    monkeypatch.setattr(emu.model.sources, "build_graph", with_a_wrong_convolution)
    layers = trace_layers(model_of(config, tmp_path), TARGET, rows(config), Limits())
    first = next(layer for layer in layers if layer.diverged)
    assert first.tensor == "layers.1.conv1d"
    before = layers[: layers.index(first)]
    assert {layer.tensor for layer in before} >= {"layers.0.output", "layers.1.in_proj.z"}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_tensor_that_is_not_a_number_diverges(tmp_path: Path, value: float):
    config = CONFIGS["three residual blocks with every bias"]
    model, x = model_of(config, tmp_path), rows(config)
    assert model.checkpoint is not None
    traced = {name: tensor.astype(np.float32) for name, tensor in reference_tensors(model.checkpoint, x).items()}
    traced = {name: traced[name] for name in ("layers.0.conv1d", "layers.0.output", "logits")}
    traced["layers.0.output"][3, 0] = value
    layers = compare_layers(traced, model.checkpoint, x)
    assert [(layer.tensor, layer.max_abs_error == np.inf, layer.diverged) for layer in layers] == [
        ("layers.0.conv1d", False, False),
        ("layers.0.output", True, True),
        ("logits", False, False),
    ]
