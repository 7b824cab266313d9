"""Graphs, folded and not, against the numpy recurrence of the trained weights."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from oracles import evaluate, recurrence
from samples import CONFIGS, random_checkpoint, random_sequence

from emu.errors import InputError
from emu.model.config import ModelConfig
from emu.model.graph import Graph, build_graph, fold_linear_in, fold_out_proj
from emu.model.image import write_image
from emu.model.ops import Activation, Fork, Linear, Mixer, Operation, Pool

each_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())


@each_config
@pytest.mark.parametrize("fold", [True, False], ids=["folded", "as trained"])
@pytest.mark.parametrize("steps", [1, 23])
def test_a_graph_computes_what_was_trained(config: ModelConfig, fold: bool, steps: int) -> None:
    checkpoint = random_checkpoint(config)
    x = random_sequence(config, steps)
    expected = recurrence(checkpoint, x)
    logits = evaluate(build_graph(checkpoint, fold), x)
    assert logits.shape == ((steps, config.n_outputs) if config.pooling == "none" else (config.n_outputs,))
    assert np.abs(logits - expected).max() < 1e-12 * np.abs(expected).max()


@each_config
@pytest.mark.parametrize("fold", [fold_linear_in, fold_out_proj], ids=lambda fold: fold.__name__)
def test_a_pass_changes_no_result(config: ModelConfig, fold: Callable[[Graph], Graph]) -> None:
    trained = build_graph(random_checkpoint(config), fold=False)
    x = random_sequence(config, steps=11)
    expected = evaluate(trained, x)
    assert np.abs(evaluate(fold(trained), x) - expected).max() < 1e-12 * np.abs(expected).max()


def test_a_pass_that_folds_wrongly_would_be_seen() -> None:
    config = CONFIGS["one plain block, mean"]
    trained = build_graph(random_checkpoint(config), fold=False)
    x = random_sequence(config, steps=11)
    for index, operation in enumerate(trained.operations):
        if isinstance(operation, Linear):
            dropped = replace(trained, operations=changed(trained, index, replace(operation, bias=np.ones(1))))
            assert np.abs(evaluate(dropped, x) - evaluate(trained, x)).max() > 1e-3


def changed(graph: Graph, index: int, operation: Operation) -> tuple[Operation, ...]:
    return (*graph.operations[:index], operation, *graph.operations[index + 1 :])


def kinds(graph: Graph) -> list[str]:
    return [type(operation).__name__ for operation in graph.operations]


def trained_kinds(config: ModelConfig) -> list[str]:
    mixing = ["Mixer", "Linear"]
    residual = config.block == "residual"
    block = ["Fork", "Norm", *mixing] if residual else mixing
    return [
        *(["Linear"] if config.linear_in else []),
        *(block * config.n_blocks),
        *(["Norm"] if residual else []),
        "Pool",
        *(["Linear"] if config.head else []),
    ]


@each_config
def test_without_folding_every_layer_stays(config: ModelConfig) -> None:
    graph = build_graph(random_checkpoint(config), fold=False)
    assert kinds(graph) == trained_kinds(config)
    for operation in graph.operations:
        if isinstance(operation, Mixer):
            assert operation.in_proj.weight.shape == (2 * config.d_inner, config.d_model)


@pytest.mark.parametrize(
    ("name", "linear_in_folds", "out_proj_folds"),
    [
        ("one plain block, mean", True, True),
        ("one plain block, last", True, True),
        ("plain, rows too wide to fold", False, True),
        ("two plain blocks with every bias", True, True),
        ("three plain blocks, last", True, True),
        ("one residual block, mean", False, False),
        ("outputs at each step", True, True),
        ("outputs at each step, more than d_inner", False, False),
        ("a bare block", False, False),
        ("residual blocks without a head", False, False),
    ],
)
def test_only_neighbouring_linear_maps_fold(name: str, linear_in_folds: bool, out_proj_folds: bool) -> None:
    config = CONFIGS[name]
    graph = build_graph(random_checkpoint(config))
    expected = trained_kinds(config)
    if linear_in_folds:
        del expected[0]
    if out_proj_folds:
        del expected[expected.index("Pool") - 1]
    assert kinds(graph) == expected
    first = next(operation for operation in graph.operations if isinstance(operation, Mixer))
    assert first.in_proj.weight.shape[1] == (config.n_features if linear_in_folds else config.d_model)
    head = graph.operations[-1]
    if isinstance(head, Linear):
        assert head.weight.shape[1] == (config.d_inner if out_proj_folds else config.d_model)


def test_an_order_of_operations_that_the_image_cannot_hold_is_refused() -> None:
    graph = build_graph(random_checkpoint(CONFIGS["three plain blocks, last"]), fold=False)
    last_pooled = next(index for index, operation in enumerate(graph.operations) if isinstance(operation, Pool))
    for order in (
        graph.operations[:last_pooled],  # no pooling
        graph.operations[last_pooled:],  # no block
        (*graph.operations, Fork()),
        (Activation("relu"), *graph.operations),
        (graph.operations[0], Fork(), Activation("relu"), *graph.operations[1:]),
        (*graph.operations[:2], *graph.operations[3:]),  # a block in the middle has no out_proj
        (Fork(), *graph.operations),
    ):
        with pytest.raises(InputError, match="has no place for these operations in this order: "):
            write_image(replace(graph, operations=order))


def test_linear_in_folds_only_where_that_saves_multiply_adds() -> None:
    def folds(n_features: int) -> bool:
        config = ModelConfig(n_features, 2, d_model=4, d_inner=6, d_state=2, dt_rank=1)
        return isinstance(build_graph(random_checkpoint(config)).operations[0], Mixer)

    # 12 F multiply-adds folded, 4 F + 48 as trained: equal at F = 6
    assert [folds(5), folds(6), folds(7)] == [True, False, False]


@each_config
def test_the_decay_is_negative_and_everything_is_float64(config: ModelConfig) -> None:
    checkpoint = random_checkpoint(config)
    mixers = [operation for operation in build_graph(checkpoint).operations if isinstance(operation, Mixer)]
    assert len(mixers) == config.n_blocks
    for number, block in enumerate(mixers):
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
