"""Graphs, folded and not, against the numpy recurrence of the trained weights."""

import numpy as np
import pytest
from oracles import evaluate, recurrence
from samples import CONFIGS, random_checkpoint, random_sequence

from emu.model.config import ModelConfig
from emu.model.graph import build_graph

each_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())


@each_config
@pytest.mark.parametrize("fold", [True, False], ids=["folded", "as trained"])
@pytest.mark.parametrize("steps", [1, 23])
def test_a_graph_computes_what_was_trained(config: ModelConfig, fold: bool, steps: int) -> None:
    checkpoint = random_checkpoint(config)
    x = random_sequence(config, steps)
    expected = recurrence(checkpoint, x)
    logits = evaluate(build_graph(checkpoint, fold), x)
    assert logits.shape == (config.n_outputs,)
    assert np.abs(logits - expected).max() < 1e-12 * np.abs(expected).max()


@each_config
def test_without_folding_every_layer_stays(config: ModelConfig) -> None:
    graph = build_graph(random_checkpoint(config), fold=False)
    assert (graph.linear_in is not None) == config.linear_in
    assert (graph.head is not None) == config.head
    assert all(block.out_proj is not None for block in graph.blocks)
    assert all(block.in_proj.weight.shape == (2 * config.d_inner, config.d_model) for block in graph.blocks)


@pytest.mark.parametrize(
    ("name", "linear_in_folds", "out_proj_folds"),
    [
        ("one plain block, mean", True, True),
        ("one plain block, last", True, True),
        ("plain, rows too wide to fold", False, True),
        ("two plain blocks with every bias", True, True),
        ("three plain blocks, last", True, True),
        ("one residual block, mean", False, False),
        ("a bare block", False, False),
        ("residual blocks without a head", False, False),
    ],
)
def test_only_neighbouring_linear_maps_fold(name: str, linear_in_folds: bool, out_proj_folds: bool) -> None:
    config = CONFIGS[name]
    graph = build_graph(random_checkpoint(config))
    assert (graph.linear_in is None) == (linear_in_folds or not config.linear_in)
    assert graph.blocks[0].in_proj.weight.shape[1] == (config.n_features if linear_in_folds else config.d_model)
    assert [block.out_proj is None for block in graph.blocks] == [False] * (config.n_blocks - 1) + [out_proj_folds]
    if graph.head is not None:
        assert graph.head.weight.shape[1] == (config.d_inner if out_proj_folds else config.d_model)


def test_linear_in_folds_only_where_that_saves_multiply_adds() -> None:
    def folds(n_features: int) -> bool:
        config = ModelConfig(n_features, 2, d_model=4, d_inner=6, d_state=2, dt_rank=1)
        return build_graph(random_checkpoint(config)).linear_in is None

    # 12 F multiply-adds folded, 4 F + 48 as trained: equal at F = 6
    assert [folds(5), folds(6), folds(7)] == [True, False, False]


@each_config
def test_the_decay_is_negative_and_everything_is_float64(config: ModelConfig) -> None:
    checkpoint = random_checkpoint(config)
    for number, block in enumerate(build_graph(checkpoint).blocks):
        a_log = checkpoint.weights[f"layers.{number}.mixer.A_log"].astype(np.float64)
        np.testing.assert_allclose(block.a, -np.exp(a_log), rtol=1e-15)
        tensors = (
            block.in_proj.weight,
            block.conv_weight,
            block.conv_bias,
            block.x_proj,
            block.dt_proj.weight,
            block.d,
        )
        assert {tensor.dtype for tensor in tensors} == {np.dtype(np.float64)}
