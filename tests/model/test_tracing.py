"""The layer trace compares every tensor of the firmware with PyTorch's, and names the first one that differs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from live_modules import COMPUTED, F, shaken
from safetensors.numpy import save_file
from samples import CONFIGS, random_weights

import emu.model.sources
from emu.errors import InputError
from emu.inputs import EvaluationInputs
from emu.live.module import LiveModule, read_module
from emu.machines import Limits
from emu.model.config import ModelConfig
from emu.model.graph import Graph, build_graph
from emu.model.image import write_image
from emu.model.ops import Mixer
from emu.model.sources import Model
from emu.model.tracing import compare_layers, reference_tensors
from emu.options import RunOptions
from emu.run import plan, read_request
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
    layers = trace_layers(model_of(config, tmp_path), TARGET, EvaluationInputs(rows(config)[np.newaxis]), 0, Limits())
    assert len(layers) >= 6 * config.n_blocks + 1
    assert layers[-1].tensor == "logits"
    for layer in layers:
        assert not layer.diverged, layer
        assert layer.largest > 0


def with_a_wrong_convolution(graph: Graph) -> Graph:
    """Return a graph whose second block convolves with its taps in the wrong order."""
    operations = list(graph.operations)
    second = [index for index, operation in enumerate(operations) if isinstance(operation, Mixer)][1]
    right = operations[second]
    assert isinstance(right, Mixer)
    operations[second] = replace(right, conv_weight=right.conv_weight[:, ::-1])
    return replace(graph, operations=tuple(operations))


def test_the_first_tensor_that_differs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = CONFIGS["three residual blocks with every bias"]

    def wrong(*arguments: object) -> Graph:
        return with_a_wrong_convolution(build_graph(*arguments))  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(emu.model.sources, "build_graph", wrong)
    layers = trace_layers(model_of(config, tmp_path), TARGET, EvaluationInputs(rows(config)[np.newaxis]), 0, Limits())
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
    layers = compare_layers(traced, reference_tensors(model.checkpoint, x))
    assert [(layer.tensor, layer.max_abs_error == np.inf, layer.diverged) for layer in layers] == [
        ("layers.0.conv1d", False, False),
        ("layers.0.output", True, True),
        ("logits", False, False),
    ]


def live_module(name: str) -> LiveModule:
    x = np.random.default_rng(1).normal(size=(10, 7, F)).astype(np.float32)
    return read_module(shaken(COMPUTED[name]()), EvaluationInputs(x))


def image_of(graph: Graph, directory: Path) -> Model:
    (directory / "model.mamba").write_bytes(write_image(graph))
    return Model("model", directory / "model.mamba", None)


def test_a_module_in_memory_shows_its_own_tensors(tmp_path: Path):
    live = live_module("LayerNorm before each block")
    assert live.inputs.tensors is not None
    assert {tensor.shape[:2] for tensor in live.inputs.tensors.values()} == {(8, 7)}
    layers = trace_layers(image_of(live.graph, tmp_path), TARGET, live.inputs, 7, Limits())
    names = [layer.tensor for layer in layers]
    blocks = ("in_proj.x", "in_proj.z", "conv1d", "x_proj", "dt", "gated", "output")
    assert names == ["linear_in", *(f"layers.{n}.{name}" for n in range(3) for name in blocks), "logits"]
    for layer in layers:
        assert not layer.diverged, layer
        assert layer.largest > 0


def test_the_first_tensor_that_differs_from_the_modules_own_is_named(tmp_path: Path):
    live = live_module("a model of transformers inside")
    layers = trace_layers(image_of(with_a_wrong_convolution(live.graph), tmp_path), TARGET, live.inputs, 0, Limits())
    first = next(layer for layer in layers if layer.diverged)
    assert first.tensor == "layers.1.conv1d"
    assert "layers.0.gated" in [layer.tensor for layer in layers[: layers.index(first)]]


def test_a_module_that_is_read_wrong_anywhere_is_not_traced_against_the_reading(tmp_path: Path):
    live = live_module("a block that is used twice")
    assert live.inputs.tensors is not None
    own = dict(live.inputs.tensors)
    own["layers.1.gated"] = own["layers.1.gated"] * 1.01
    layers = trace_layers(image_of(live.graph, tmp_path), TARGET, replace(live.inputs, tensors=own), 0, Limits())
    assert [layer.tensor for layer in layers if layer.diverged] == ["layers.1.gated"]


def test_an_input_without_tensors_cannot_be_traced(tmp_path: Path):
    live = live_module("one block, mean")
    model = image_of(live.graph, tmp_path)
    for tensors, index, why in ((live.inputs.tensors, 9, "for the first 8 inputs"), (None, 0, "no PyTorch side")):
        request = read_request(str(model.path), replace(live.inputs, tensors=tensors))
        with pytest.raises(InputError, match=why):
            plan([request], [TARGET], RunOptions(trace_input=index))
