"""Layers that a graph may have, from the graph to the board: the float64 answers of a PyTorch module."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from emu.inputs import EvaluationInputs
from emu.model.config import ModelConfig
from emu.model.evaluation import evaluate
from emu.model.graph import Graph, fold_linear_in, fold_out_proj
from emu.model.image import write_image
from emu.model.ops import Activation, Embedding, Fork, InnerNorms, Linear, Mixer, Norm, Operation, Pool
from emu.run import RunOptions, plan, read_request
from emu.targets import find_target

BOARDS = ("stm32h7-unicorn", "esp32s3-qemu")
F, M, D, N, K, R, V = 5, 9, 13, 3, 3, 2, 23


class Block(nn.Module):
    """A Mamba block, with RMSNorms on dt, B and C if ``inner`` is a way to make them."""

    def __init__(self, inner: Callable[[int], nn.Module] | None = None) -> None:
        super().__init__()
        self.in_proj, self.out_proj = nn.Linear(M, 2 * D), nn.Linear(D, M, bias=False)
        self.conv1d = nn.Conv1d(D, D, K, groups=D, padding=K - 1)
        self.x_proj, self.dt_proj = nn.Linear(D, R + 2 * N, bias=False), nn.Linear(R, D)
        self.A_log, self.D = nn.Parameter(torch.rand(D, N)), nn.Parameter(torch.rand(D))
        self.norms = nn.ModuleList() if inner is None else nn.ModuleList(inner(width) for width in (R, N, N))

    def forward(self, x: Tensor) -> Tensor:
        x, z = self.in_proj(x).chunk(2, -1)
        u = functional.silu(self.conv1d(x.mT)[..., : x.shape[1]].mT)
        parts = self.x_proj(u).split([R, N, N], -1)
        dt, b, c = (norm(part) for norm, part in zip(self.norms, parts, strict=True)) if self.norms else parts
        dt = functional.softplus(self.dt_proj(dt))
        h, y = torch.zeros(len(x), D, N, dtype=x.dtype), []
        for t in range(x.shape[1]):
            step = dt[:, t, :, None]
            h = torch.exp(-step * self.A_log.exp()) * h + step * u[:, t, :, None] * b[:, t, None]
            y.append((h * c[:, t, None]).sum(-1))
        return self.out_proj((torch.stack(y, 1) + self.D * u) * functional.silu(z))


def mixed(block: Block, adds: bool = False) -> list[Operation]:
    norms = [array(norm.weight) if norm.weight is not None else None for norm in block.norms]  # pyright: ignore
    inner = None
    if norms:
        dt, b, c = (np.ones(width) if norm is None else norm for norm, width in zip(norms, (R, N, N), strict=True))
        inner = InnerNorms(dt, b, c, block.norms[0].eps)  # type: ignore[arg-type]
    assert block.conv1d.bias is not None
    mixer = Mixer(
        linear(block.in_proj),
        array(block.conv1d.weight)[:, 0],
        array(block.conv1d.bias),
        array(block.x_proj.weight),
        linear(block.dt_proj),
        -np.exp(array(block.A_log)),
        array(block.D),
        inner,
    )
    return [mixer, replace(linear(block.out_proj), adds=adds)]


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def linear(layer: nn.Linear) -> Linear:
    return Linear(array(layer.weight), None if layer.bias is None else array(layer.bias))


def norm(layer: Any, kind: Any) -> Norm:
    bias = getattr(layer, "bias", None)
    weight = np.ones(layer.normalized_shape[0]) if layer.weight is None else array(layer.weight)
    return Norm(weight, None if bias is None else array(bias), kind, layer.eps)


@dataclass
class Case:
    """A forward pass over parts, and the same as operations."""

    parts: dict[str, nn.Module]
    forward: Callable[[Any, Tensor], Tensor]
    operations: Callable[[Any], list[Operation]]
    tokens: bool = False


CASES = {
    "each norm has its epsilon, and some have no weights": Case(
        {
            "inp": nn.Linear(F, M),
            "norm": nn.RMSNorm(M, eps=0.3),
            "block": Block(lambda width: nn.RMSNorm(width, eps=0.1)),
            "plain": nn.LayerNorm(M, eps=1e-2, elementwise_affine=False),
            "second": Block(lambda width: nn.RMSNorm(width, eps=1e-3, elementwise_affine=False)),
            "last": nn.LayerNorm(M, eps=1e-6),
            "head": nn.Linear(M, 4),
        },
        lambda m, x: m.head(
            m.last((h := (g := m.inp(x)) + m.block(m.norm(g))) + m.second(m.plain(h))).mean(1)
        ),
        lambda m: [
            linear(m.inp), Fork(), norm(m.norm, "rms"), *mixed(m.block, adds=True),
            Fork(), norm(m.plain, "layer"), *mixed(m.second, adds=True),
            norm(m.last, "layer"), Pool("mean"), linear(m.head),
        ],
    ),
    "a head of layers": Case(
        {
            "inp": nn.Linear(F, M),
            "block": Block(),
            "norm": nn.LayerNorm(M),
            "head": nn.Sequential(
                nn.Linear(M, 17, bias=False), nn.GELU(), nn.Linear(17, 10), nn.SiLU(), nn.Linear(10, 3), nn.Tanh()
            ),
        },
        lambda m, x: m.head(m.norm(m.block(m.inp(x)).mean(1))),
        lambda m: [
            linear(m.inp), *mixed(m.block), Pool("mean"), norm(m.norm, "layer"), linear(m.head[0]),
            Activation("gelu"), linear(m.head[2]), Activation("silu"), linear(m.head[4]), Activation("tanh"),
        ],
    ),
    "activations between layers, and a head of layers at each step": Case(
        {"inp": nn.Linear(F, M), "block": Block(), "first": nn.Linear(M, 6), "second": nn.Linear(6, 2, bias=False)},
        lambda m, x: torch.sigmoid(
            m.second(torch.relu(m.first(functional.gelu(m.block(torch.tanh(m.inp(x)))))))
        ),
        lambda m: [
            linear(m.inp), Activation("tanh"), *mixed(m.block), Activation("gelu"), Pool("none"), linear(m.first),
            Activation("relu"), linear(m.second), Activation("sigmoid"),
        ],
    ),
    "tokens, with one table at both ends": Case(
        {
            "table": nn.Embedding(V, M),
            "norm": nn.RMSNorm(M, eps=1e-5),
            "block": Block(),
            "last": nn.RMSNorm(M, eps=1e-5),
        },
        lambda m, x: m.last((h := m.table(x[..., 0].long())) + m.block(m.norm(h))) @ m.table.weight.T,
        lambda m: [
            Embedding(array(m.table.weight)), Fork(), norm(m.norm, "rms"), *mixed(m.block, adds=True),
            norm(m.last, "rms"), Pool("none"), Linear(array(m.table.weight), None),
        ],
        tokens=True,
    ),
}  # fmt: skip


def made(case: Case) -> tuple[nn.Module, np.ndarray, np.ndarray, Graph]:
    """Return a module with random weights, its inputs and answers in float64, and its graph."""
    torch.manual_seed(2)
    module = nn.ModuleDict(case.parts)
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -0.9, 0.9)
    for name, parameter in module.named_parameters():
        if "norm" in name and name.endswith("weight"):
            nn.init.uniform_(parameter, 0.5, 1.5)
    module = module.double()
    chance = np.random.default_rng(0)
    x = chance.integers(V, size=(2, 9, 1)) if case.tokens else chance.normal(size=(2, 9, F))
    x = x.astype(np.float32)
    with torch.no_grad():
        logits = case.forward(module, torch.from_numpy(x).double()).numpy()
    shape = ModelConfig(
        x.shape[2], logits.shape[-1], d_model=M, d_inner=D, d_state=N, d_conv=K, dt_rank=R, n_tokens=V * case.tokens
    )
    return module, x, logits, fold_out_proj(fold_linear_in(Graph(shape, tuple(case.operations(module)))))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("board", BOARDS)
def test_the_board_gives_the_modules_answers(name: str, board: str, tmp_path: Path) -> None:
    _, x, logits, graph = made(CASES[name])
    *_, read = evaluate(graph.operations, x.astype(np.float64))
    assert np.abs(read - logits).max() <= 1e-12 * np.abs(logits).max()
    (tmp_path / "model.mamba").write_bytes(write_image(graph))
    request = read_request(tmp_path / "model.mamba", EvaluationInputs(x, logits64=logits))
    (job,) = plan([request], [find_target(board)], RunOptions())
    run = job.run(lambda _done, _total: None)
    assert run.ok, run.verdicts
    assert run.parity is not None
    assert run.parity.max_abs_error <= 2e-6 * np.abs(logits).max()


def test_a_tied_table_is_stored_once() -> None:
    *_, graph = made(CASES["tokens, with one table at both ends"])
    untied = replace(graph, operations=(*graph.operations[:-1], Linear(2.0 * graph.operations[0].weight, None)))  # type: ignore[union-attr]
    table_bytes = 4 * 24 * M  # float32, rows padded to a multiple of four
    assert len(write_image(untied)) - len(write_image(graph)) == (table_bytes + 15) // 16 * 16
