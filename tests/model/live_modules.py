"""Modules as people write them: each is a forward pass in one line, over parts that it names."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import MambaConfig, MambaModel
from transformers.models.mamba.modeling_mamba import MambaMixer

from emu.model.config import ModelConfig
from emu.model.reference import Mamba

F, M, D, N, K, R, C = 5, 8, 16, 4, 4, 1, 3
"""Features, and the dimensions of every block, as in ``emu/model/config.py``."""

SHAPE = ModelConfig(F, C, d_model=M, d_inner=D, d_state=N, d_conv=K, dt_rank=R)
SIZES: dict[str, Any] = {"vocab_size": 11, "hidden_size": M, "state_size": N, "use_mambapy": False}


class Net(nn.Module):
    """A module with these parts and this forward pass."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **parts: nn.Module | nn.Parameter):
        super().__init__()
        self.compute = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self.compute(self, x)


def mamba(**changes: Any) -> nn.Module:
    return Mamba(replace(SHAPE, **changes))


def parts(**changes: nn.Module | nn.Parameter) -> dict[str, nn.Module | nn.Parameter]:
    """Return a linear layer in, a block and a head, and what else a module has."""
    return {"inp": nn.Linear(F, M), "mixer": mamba(), "head": nn.Linear(M, C), **changes}


def blocks(count: int, norm: Callable[[], nn.Module], forward: Callable[[Any, Tensor], Tensor]) -> nn.ModuleList:
    return nn.ModuleList(Net(forward, norm=norm(), mixer=mamba()) for _ in range(count))


def through(layers: nn.ModuleList, x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def with_residuals(m: Any, x: Tensor) -> Tensor:
    """As mamba_ssm's MixerModel: a block returns its output and the residual before it."""
    hidden, residual = m.inp(x), None
    for layer in m.layers:
        residual = hidden if residual is None else hidden + residual
        hidden = layer.mixer(layer.norm(residual))
    return m.head(m.norm_f(hidden + residual).mean(1))


def layer_norm() -> nn.Module:
    return nn.LayerNorm(M)


def rms_norm() -> nn.Module:
    return nn.RMSNorm(M, eps=1e-5)


class RMSNorm(nn.Module):
    """As in mamba-minimal."""

    def __init__(self) -> None:
        super().__init__()
        self.eps = 1e-5
        self.weight = nn.Parameter(torch.ones(M))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class MinimalBlock(nn.Module):
    """A block that scans with ``A = -exp(A_log)`` in its forward pass, one step at a time, as in mamba-minimal."""

    def __init__(self) -> None:
        super().__init__()
        self.in_proj = nn.Linear(M, 2 * D, bias=False)
        self.conv1d = nn.Conv1d(D, D, K, groups=D, padding=K - 1)
        self.x_proj = nn.Linear(D, R + 2 * N, bias=False)
        self.dt_proj = nn.Linear(R, D)
        self.A_log = nn.Parameter(torch.log(torch.arange(1.0, N + 1).repeat(D, 1)))
        self.D = nn.Parameter(torch.ones(D))
        self.out_proj = nn.Linear(D, M, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        steps = x.shape[1]
        u, gate = self.in_proj(x).split([D, D], dim=-1)
        u = functional.silu(self.conv1d(u.mT)[:, :, :steps].mT)
        delta, b, c = self.x_proj(u).split([R, N, N], dim=-1)
        delta = functional.softplus(self.dt_proj(delta))
        decay = torch.exp(delta[..., None] * -torch.exp(self.A_log))
        driven = delta[..., None] * b[:, :, None] * u[..., None]
        state, outputs = torch.zeros_like(driven[:, 0]), []
        for step in range(steps):
            state = decay[:, step] * state + driven[:, step]
            outputs.append((state * c[:, step, None]).sum(-1))
        return self.out_proj((torch.stack(outputs, 1) + u * self.D) * functional.silu(gate))


class Backward(Mamba):
    """A block with nothing but a block's tensors, on the reversed sequence."""

    def __init__(self) -> None:
        super().__init__(SHAPE)

    def forward(self, hidden: Tensor, tap: Any = None) -> Tensor:
        return super().forward(hidden.flip(1), tap).flip(1)


class Scaled(Backward):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(M))

    def forward(self, hidden: Tensor, tap: Any = None) -> Tensor:
        return Mamba.forward(self, hidden, tap) * self.scale


class Rounded(Backward):
    def forward(self, hidden: Tensor, tap: Any = None) -> Tensor:
        return Mamba.forward(self, (hidden * 64).round() / 64, tap)


def of_transformers(activation: str = "silu") -> nn.Module:
    return MambaMixer(MambaConfig(**SIZES, num_hidden_layers=1, hidden_act=activation), 0)


def model_of_transformers() -> nn.Module:
    return MambaModel(MambaConfig(**SIZES, num_hidden_layers=2, layer_norm_epsilon=1e-5))


def shaken(module: nn.Module) -> nn.Module:
    """Give every weight a value that no initialisation gives, so that no part is without effect."""
    generator = torch.Generator().manual_seed(7)
    for name, weight in module.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        with torch.no_grad():
            weight.add_((1.5 if name.endswith("out_proj.weight") else 0.2) * noise)
    return module.eval()


COMPUTED: dict[str, Callable[[], nn.Module]] = {
    "one block, mean": lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x)).mean(1)), **parts()),
    "one block, last step": lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x))[:, -1]), **parts()),
    "one block, maximum": lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x)).amax(1)), **parts()),
    "one block, sum": lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x)).sum(1)), **parts()),
    "nothing before the block": lambda: Net(
        lambda m, x: m.head(m.mixer(x).mean(1)), mixer=mamba(d_model=F), head=nn.Linear(F, C)
    ),
    "a block alone": lambda: Net(lambda m, x: m.mixer(x)[:, -1], mixer=mamba(d_model=F)),
    "a sequence of modules": lambda: Net(
        lambda m, x: m.head(m.body(x).mean(1)),
        body=nn.Sequential(nn.Linear(F, M), mamba(), nn.Identity(), mamba()),
        head=nn.Linear(M, C),
    ),
    "LayerNorm before each block": lambda: Net(
        lambda m, x: m.head(m.norm(through(m.layers, m.inp(x))).mean(1)),
        **parts(layers=blocks(3, layer_norm, lambda b, x: x + b.mixer(b.norm(x))), norm=layer_norm()),
    ),
    "RMSNorm of torch, no final norm": lambda: Net(
        lambda m, x: m.head(through(m.layers, m.inp(x))[:, -1]),
        **parts(layers=blocks(2, rms_norm, lambda b, x: x + b.mixer(b.norm(x)))),
    ),
    "RMSNorm of its own, branch first": lambda: Net(
        lambda m, x: m.head(m.norm(through(m.layers, m.inp(x))).amax(1)),
        **parts(layers=blocks(2, RMSNorm, lambda b, x: b.mixer(b.norm(x)) + x), norm=RMSNorm()),
    ),
    "norm after the residual": lambda: Net(
        lambda m, x: m.head(through(m.layers, m.inp(x)).mean(1)),
        **parts(layers=blocks(2, layer_norm, lambda b, x: b.norm(x + b.mixer(x)))),
    ),
    "norm without a residual": lambda: Net(
        lambda m, x: m.head(through(m.layers, m.inp(x)).mean(1)),
        **parts(layers=blocks(2, layer_norm, lambda b, x: b.mixer(b.norm(x)))),
    ),
    "residual without a norm": lambda: Net(lambda m, x: m.head((m.inp(x) + m.mixer(m.inp(x))).mean(1)), **parts()),
    "a residual that is scaled": lambda: Net(
        lambda m, x: m.head(through(m.layers, m.inp(x)).mean(1)),
        **parts(layers=blocks(2, layer_norm, lambda b, x: x + 0.5 * b.mixer(b.norm(x)))),
    ),
    "residuals as MixerModel passes them": lambda: Net(
        with_residuals, **parts(layers=blocks(3, rms_norm, lambda b, x: b.mixer(x)), norm_f=rms_norm())
    ),
    "a norm without weights": lambda: Net(
        lambda m, x: m.head(m.mixer(m.norm(m.inp(x))).mean(1)),
        **parts(norm=nn.LayerNorm(M, elementwise_affine=False)),
    ),
    "dropout": lambda: Net(
        lambda m, x: m.head(m.drop(m.mixer(m.drop(m.inp(x)))).mean(1)), **parts(drop=nn.Dropout(0.5))
    ),
    "a head without bias": lambda: Net(
        lambda m, x: m.head(m.mixer(m.inp(x)).mean(1)), **parts(head=nn.Linear(M, C, bias=False))
    ),
    "a head before the mean": lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x))).mean(1), **parts()),
    "a head before the last step": lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x)))[:, -1], **parts()),
    "a head before the maximum": lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x))).amax(1), **parts()),
    "a norm after the last step": lambda: Net(
        lambda m, x: m.head(m.norm(m.mixer(m.inp(x))[:, -1])), **parts(norm=layer_norm())
    ),
    "two heads, one after the other": lambda: Net(
        lambda m, x: m.last(m.head(m.mixer(m.inp(x)).mean(1))), **parts(last=nn.Linear(C, 2))
    ),
    "one number": lambda: Net(
        lambda m, x: m.head(m.mixer(m.inp(x)).mean(1)).squeeze(-1), **parts(head=nn.Linear(M, 1))
    ),
    "a block that is used twice": lambda: Net(lambda m, x: m.head(m.mixer(m.mixer(m.inp(x))).mean(1)), **parts()),
    "a head that has no part in the answer": lambda: Net(
        lambda m, x: (m.head(h := m.mixer(m.inp(x)).mean(1)), m.other(h)),
        **parts(other=nn.Sequential(nn.Linear(M, 7), nn.Tanh())),
    ),
    "an answer in a table": lambda: Net(lambda m, x: {"logits": m.head(m.mixer(m.inp(x)).mean(1))}, **parts()),
    "a block of mamba-minimal": lambda: Net(
        lambda m, x: m.head(m.mixer(m.inp(x)).mean(1)), **parts(mixer=MinimalBlock())
    ),
    "a block of transformers": lambda: Net(
        lambda m, x: m.head(m.mixer(m.inp(x)).mean(1)), **parts(mixer=of_transformers())
    ),
    "a model of transformers inside": lambda: Net(
        lambda m, x: m.head(m.mixer(inputs_embeds=m.inp(x)).last_hidden_state.mean(1)),
        **parts(mixer=model_of_transformers()),
    ),
    "an answer at each step": lambda: Net(lambda m, x: m.head(m.norm(m.mixer(m.inp(x)))), **parts(norm=layer_norm())),
    "an answer at each step, without a norm": lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x))), **parts()),
    "a block and nothing else": lambda: mamba(d_model=F),
    "a residual at each step": lambda: Net(lambda m, x: x + m.mixer(x), mixer=mamba(d_model=F)),
    "DataParallel": lambda: nn.DataParallel(Net(lambda m, x: m.head(m.mixer(m.inp(x)).mean(1)), **parts())),
}
"""Modules that emu computes, by what is special in them."""

REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "a GRU": (
        lambda: Net(
            lambda m, x: m.head(m.rnn(m.mixer(m.inp(x)))[0].mean(1)), **parts(rnn=nn.GRU(M, M, batch_first=True))
        ),
        "model.rnn: emu knows no torch.nn.GRU",
    ),
    "attention": (
        lambda: Net(
            lambda m, x: m.head(m.attend(h := m.mixer(m.inp(x)), h, h)[0].mean(1)),
            **parts(attend=nn.MultiheadAttention(M, 2, batch_first=True)),
        ),
        "model.attend: emu knows no torch.nn.MultiheadAttention",
    ),
    "a gated residual": (
        lambda: Net(
            lambda m, x: m.head(((g := torch.sigmoid(m.gate)) * (h := m.inp(x)) + (1 - g) * m.mixer(h)).mean(1)),
            **parts(gate=nn.Parameter(torch.randn(M))),
        ),
        "emu does not know how it is made",
    ),
    "a residual with two factors": (
        lambda: Net(
            lambda m, x: m.head(m.norm(0.3 * (h := m.inp(x)) + 0.7 * m.mixer(h)).mean(1)), **parts(norm=rms_norm())
        ),
        "the input of model.norm (torch.nn.RMSNorm) is 0.3 times the output of model.inp",
    ),
    "tanh between layers": (
        lambda: Net(lambda m, x: m.head(m.mixer(torch.tanh(m.inp(x))).mean(1)), **parts()),
        "the input of model.mixer (Mamba) is tanh of the output of model.inp (torch.nn.Linear)",
    ),
    "reversed time": (
        lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x).flip(1)).mean(1)), **parts()),
        "the input of model.mixer (Mamba) is the output of model.inp (torch.nn.Linear), reversed in time",
    ),
    "reversed time inside a block": (
        lambda: Net(
            lambda m, x: m.head(m.two(m.inp(x)).mean(1)),
            **parts(two=Net(lambda m, x: m.mixer(x) + m.mixer(x.flip(1)).flip(1), mixer=mamba())),
        ),
        "model.two",
    ),
    "a block that runs both ways": (
        lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x)).mean(1)), **parts(mixer=Backward())),
        "model.mixer (Backward) is not the Mamba block that emu knows: it runs backward in time",
    ),
    "a scale that no tensor has": (
        lambda: Net(lambda m, x: m.head(1.5 * m.mixer(m.inp(x)).mean(1)), **parts()),
        "the input of model.head (torch.nn.Linear)",
    ),
    "a temperature": (
        lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x)).mean(1)) / 2, **parts()),
        "the output of model (Net) is 0.5 times the output of model.head",
    ),
    "softmax": (
        lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x)).mean(1)).softmax(-1), **parts()),
        "the output of model (Net) is softmax of the output of model.head",
    ),
    "a position that is added": (
        lambda: Net(
            lambda m, x: m.head(m.mixer(m.inp(x) + m.position).mean(1)),
            **parts(position=nn.Parameter(torch.randn(1, 9, M))),
        ),
        "the input of model.mixer (Mamba): emu does not know how it is made",
    ),
    "dropout that stays on": (
        lambda: Net(lambda m, x: m.head(functional.dropout(m.mixer(m.inp(x)), 0.1).mean(1)), **parts()),
        "model gives other answers in another call",
    ),
    "the mean of the batch taken off": (
        lambda: Net(lambda m, x: m.head(m.mixer((h := m.inp(x)) - h.mean(0)).mean(1)), **parts()),
        "model gives other answers in another call",
    ),
    "a convolution before the block": (
        lambda: Net(
            lambda m, x: m.head(m.mixer(m.stem(x.mT)[:, :, :9].mT).mean(1)), **parts(stem=nn.Conv1d(F, M, 3, padding=2))
        ),
        "model.stem: emu knows no torch.nn.Conv1d",
    ),
    "GELU inside the block": (
        lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x)).mean(1)), **parts(mixer=of_transformers("gelu"))),
        "model.mixer (MambaMixer) is not the Mamba block that emu knows: its activation is GELU",
    ),
    "a block with another tensor": (
        lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x)).mean(1)), **parts(mixer=Scaled())),
        "model.mixer (Scaled) is not the Mamba block that emu knows: it has scale, too",
    ),
    "a block that rounds its state": (
        lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x)).mean(1)), **parts(mixer=Rounded())),
        "model.mixer (Rounded) is not the Mamba block that emu knows: it gives other values",
    ),
    "attention pooling": (
        lambda: Net(
            lambda m, x: m.head((m.score(h := m.mixer(m.inp(x))).softmax(1) * h).sum(1)), **parts(score=nn.Linear(M, 1))
        ),
        "the input of model.head (torch.nn.Linear): emu does not know how it is made",
    ),
    "two poolings": (
        lambda: Net(
            lambda m, x: m.head(torch.cat([(h := m.mixer(m.inp(x))).mean(1), h.amax(1)], 1)),
            **parts(head=nn.Linear(2 * M, C)),
        ),
        "the input of model.head (torch.nn.Linear): emu does not know how it is made",
    ),
    "the mean of all steps but the first": (
        lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x))[:, 1:].mean(1)), **parts()),
        "the input of model.head (torch.nn.Linear): emu does not know how it is made",
    ),
    "every second step": (
        lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x)[:, ::2]).mean(1)), **parts()),
        "model.mixer (Mamba) takes or gives a tensor [7, 5, 8], which has no row for each of the 9 steps",
    ),
    "steps added up": (
        lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x).cumsum(1)).mean(1)), **parts()),
        "the steps of the output of model.inp (torch.nn.Linear) so far, added up",
    ),
    "a step of delay": (
        lambda: Net(lambda m, x: m.head(m.mixer(functional.pad(m.inp(x), (0, 0, 1, 0))[:, :-1]).mean(1)), **parts()),
        "the output of model.inp (torch.nn.Linear), one step later",
    ),
    "two blocks side by side": (
        lambda: Net(lambda m, x: m.head((m.mixer(h := m.inp(x)) + m.other(h)).mean(1)), **parts(other=mamba())),
        "the engine has one path with residuals",
    ),
    "a gate outside the block": (
        lambda: Net(lambda m, x: m.head((m.mixer(h := m.inp(x)) * h).mean(1)), **parts()),
        "the input of model.head (torch.nn.Linear): emu does not know how it is made",
    ),
    "a residual around two blocks with residuals": (
        lambda: Net(
            lambda m, x: m.head(((h := m.inp(x)) + through(m.layers, h)).mean(1)),
            **parts(layers=blocks(2, layer_norm, lambda b, x: x + b.mixer(b.norm(x)))),
        ),
        "another residual",
    ),
    "two epsilons": (
        lambda: Net(
            lambda m, x: m.head(m.after(m.mixer(m.before(m.inp(x)))).mean(1)),
            **parts(before=nn.LayerNorm(M, eps=1e-3), after=layer_norm()),
        ),
        "model.after: its epsilon is 1e-05, and that of model.before is 0.001",
    ),
    "two sizes of blocks": (
        lambda: Net(lambda m, x: m.head(m.other(m.mixer(m.inp(x))).mean(1)), **parts(other=mamba(d_state=2))),
        "model.other has d_inner 16, d_state 2, d_conv 4, dt_rank 1, and model.mixer has d_inner 16, d_state 4",
    ),
    "a clip that the examples do not reach": (
        lambda: Net(lambda m, x: m.head(m.mixer(m.inp(x.clamp(-4, 4))).mean(1)), **parts()),
        "the input of model.inp (torch.nn.Linear): emu does not know how it is made",
    ),
    "no block": (
        lambda: Net(lambda m, x: m.head(m.inp(x).mean(1)), inp=nn.Linear(F, M), head=nn.Linear(M, C)),
        "model has no Mamba block on the way to its answer",
    ),
}
"""Modules that emu does not compute, most with the tensors of one that it does, and what it says."""
