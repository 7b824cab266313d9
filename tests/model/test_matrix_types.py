"""Matrices in float16 and int8: the firmware is as exact as the rounded weights allow."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from oracles import evaluate
from samples import CONFIGS, random_weights

from emu.errors import InputError
from emu.inputs import EvaluationInputs
from emu.model.checkpoint import Checkpoint
from emu.model.config import MatrixType
from emu.model.graph import Graph, build_graph
from emu.model.image import write_image
from emu.model.ops import Linear, Mixer, Operation
from emu.model.sources import Model
from emu.run import RunOptions, run_model
from emu.targets import find_target

TARGET = find_target("stm32h7-unicorn")


def rounded(weight: np.ndarray, matrix_type: MatrixType) -> np.ndarray:
    """Return a matrix (rows, columns) after rounding, computed apart from the exporter."""
    if matrix_type == "f16":
        return weight.astype(np.float16).astype(np.float64)
    result = np.empty_like(weight)
    for row, values in enumerate(weight):
        scale = np.float64(np.float32(max(abs(values)) / 127))
        result[row] = scale * np.array([round(value / scale) for value in values])
    return result


def round_graph(graph: Graph, matrix_type: MatrixType) -> Graph:
    def linear(layer: Linear) -> Linear:
        return replace(layer, weight=rounded(layer.weight, matrix_type))

    def operation(op: Operation) -> Operation:
        match op:
            case Linear():
                return linear(op)
            case Mixer():
                x_proj = rounded(op.x_proj, matrix_type)
                return replace(op, in_proj=linear(op.in_proj), x_proj=x_proj, dt_proj=linear(op.dt_proj))
            case _:
                return op

    return replace(graph, operations=tuple(map(operation, graph.operations)))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("matrix_type", ["f16", "int8"])
def test_the_firmware_computes_what_the_rounded_weights_say(name: str, matrix_type: MatrixType, tmp_path: Path):
    config = CONFIGS[name]
    graph = build_graph(Checkpoint(config, random_weights(config)))
    image = tmp_path / "model.mamba"
    image.write_bytes(write_image(graph, matrix_type))
    x = np.random.default_rng(2).normal(size=(2, 9, config.n_features)).astype(np.float32)
    logits = np.stack([evaluate(round_graph(graph, matrix_type), sequence) for sequence in x])
    inputs = EvaluationInputs(x, logits64=logits)
    run = run_model(Model("model", image, None), TARGET, inputs, RunOptions(), lambda _done, _total: None)
    assert run.parity is not None
    assert run.parity.relative_mean_error < 1e-6
    unrounded = np.stack([evaluate(graph, sequence) for sequence in x])
    assert np.abs(unrounded - logits).mean() > 10 * run.parity.mean_abs_error  # the rounding is visible


@pytest.mark.parametrize(("matrix_type", "share"), [("f16", 0.5), ("int8", 0.3)])
def test_images_are_smaller(matrix_type: MatrixType, share: float):
    config = replace(CONFIGS["one plain block, mean"], n_features=40, d_model=64, d_inner=128, d_state=4)
    graph = build_graph(Checkpoint(config, random_weights(config)), fold=False)
    small, full = len(write_image(graph, matrix_type)), len(write_image(graph))
    tables = 4 * config.d_inner * (config.d_state + config.d_conv + 6)  # these tensors stay float32
    assert small < share * (full - tables) + 1.2 * tables


def test_a_weight_beyond_float16_is_refused():
    config = CONFIGS["one plain block, mean"]
    weights = random_weights(config)
    weights["layers.0.mixer.x_proj.weight"][0, 0] = 70000.0
    with pytest.raises(InputError, match=r"7e\+04 is beyond float16"):
        write_image(build_graph(Checkpoint(config, weights)), "f16")
