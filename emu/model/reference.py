"""The reference in plain PyTorch: every exported model is compared with it.

The block has the semantics and parameter names of ``mamba_ssm.modules.mamba_simple.Mamba`` with
``use_fast_path=False`` (Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces",
arXiv 2312.00752, algorithm 2), so state dicts interchange with mamba_ssm.

Dimensions, as in ``config.py``: B batch, T time, F features, M d_model, D d_inner, N d_state, R dt_rank, C outputs.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from emu.model.checkpoint import Checkpoint
from emu.model.config import ModelConfig

Tap = Callable[[str, Tensor], None]
"""Receives each intermediate tensor by name, for the comparison layer by layer."""


class SelectiveScan(torch.autograd.Function):
    """h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t;  y_t = C_t . h_t, with a backward that recomputes exp(dt A).

    The hand-written backward makes training on a CPU practical: the data of one time step stays in the cache.
    """

    @staticmethod
    def forward(ctx: Any, dt: Tensor, u: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Scan over time: dt, u (T, B, D); a (D, N); b, c (T, B, N); returns y (T, B, D)."""
        steps, batch, width = dt.shape
        states = torch.empty(steps, batch, width, a.shape[1], dtype=dt.dtype)  # (T, B, D, N)
        y = torch.empty_like(dt)
        for t in range(steps):
            torch.mul((dt[t] * u[t]).unsqueeze(-1), b[t].unsqueeze(1), out=states[t])
            if t:
                states[t].addcmul_((dt[t].unsqueeze(-1) * a).exp_(), states[t - 1])
            torch.bmm(states[t], c[t].unsqueeze(-1), out=y[t].unsqueeze(-1))
        ctx.save_for_backward(dt, u, a, b, c, states)
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of dt, u, a, b and c."""
        (grad_y,) = grad_outputs
        dt, u, a, b, c, states = ctx.saved_tensors
        grad_dt, grad_u = torch.empty_like(dt), torch.empty_like(u)
        grad_a, grad_b, grad_c = torch.zeros_like(a), torch.empty_like(b), torch.empty_like(c)
        grad_h = torch.zeros_like(states[0])  # (B, D, N)
        for t in range(dt.shape[0] - 1, -1, -1):
            grad_h.addcmul_(grad_y[t].unsqueeze(-1), c[t].unsqueeze(1))
            grad_c[t] = torch.bmm(grad_y[t].unsqueeze(1), states[t]).squeeze(1)
            grad_b[t] = torch.bmm((dt[t] * u[t]).unsqueeze(1), grad_h).squeeze(1)
            through_b = torch.bmm(grad_h, b[t].unsqueeze(-1)).squeeze(-1)  # (B, D)
            grad_u[t] = dt[t] * through_b
            grad_dt[t] = u[t] * through_b
            if t:
                grad_h.mul_((dt[t].unsqueeze(-1) * a).exp_())  # now the gradient of h_{t-1}
                grad_log_decay = grad_h * states[t - 1]
                grad_dt[t] += (grad_log_decay * a).sum(-1)
                grad_a += torch.einsum("bdn,bd->dn", grad_log_decay, dt[t])
        return grad_dt, grad_u, grad_a, grad_b, grad_c


class Mamba(nn.Module):
    """One Mamba block: (B, T, M) -> (B, T, M)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c = config
        self.dt_rank, self.d_state = c.dt_rank, c.d_state
        self.in_proj = nn.Linear(c.d_model, 2 * c.d_inner, bias=c.projection_bias)
        self.conv1d = nn.Conv1d(
            c.d_inner, c.d_inner, c.d_conv, groups=c.d_inner, padding=c.d_conv - 1, bias=c.conv_bias
        )
        self.x_proj = nn.Linear(c.d_inner, c.dt_rank + 2 * c.d_state, bias=False)
        self.dt_proj = nn.Linear(c.dt_rank, c.d_inner, bias=True)
        self.A_log = nn.Parameter(torch.arange(1, c.d_state + 1).float().log().repeat(c.d_inner, 1))  # (D, N)
        self.D = nn.Parameter(torch.ones(c.d_inner))
        self.out_proj = nn.Linear(c.d_inner, c.d_model, bias=c.projection_bias)
        self._initialise_time_step()

    def _initialise_time_step(self, shortest: float = 0.001, longest: float = 0.1, floor: float = 1e-4) -> None:
        """Draw softplus(bias) log-uniformly from [shortest, longest], as mamba_ssm does."""
        bound = self.dt_rank**-0.5
        nn.init.uniform_(self.dt_proj.weight, -bound, bound)
        log_dt = torch.rand_like(self.dt_proj.bias) * math.log(longest / shortest) + math.log(shortest)
        dt = log_dt.exp().clamp(min=floor)
        with torch.no_grad():
            self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # the inverse of softplus

    def forward(self, hidden: Tensor, tap: Tap | None = None) -> Tensor:
        """Map hidden (B, T, M) to (B, T, M); ``tap`` sees every intermediate tensor, each (B, T, width)."""
        steps = hidden.shape[1]
        x, z = self.in_proj(hidden).chunk(2, dim=-1)  # (B, T, D) each
        u = F.silu(self.conv1d(x.transpose(1, 2))[..., :steps].transpose(1, 2))  # (B, T, D)
        x_dbl = self.x_proj(u)  # (B, T, R + 2N)
        low_rank_dt, b, c = x_dbl.split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        dt = F.softplus(self.dt_proj(low_rank_dt))  # (B, T, D)
        a = -torch.exp(self.A_log)  # (D, N)
        time_major = [tensor.transpose(0, 1).contiguous() for tensor in (dt, u, b, c)]
        y = SelectiveScan.apply(time_major[0], time_major[1], a, time_major[2], time_major[3])
        y = y.transpose(0, 1) + u * self.D  # (B, T, D)
        gated = y * F.silu(z)  # (B, T, D)
        if tap is not None:
            for name, tensor in {
                "in_proj.x": x, "in_proj.z": z, "conv1d": u, "x_proj": x_dbl, "dt": dt, "gated": gated,
            }.items():  # fmt: skip
                tap(name, tensor)
        return self.out_proj(gated)  # (B, T, M)


class Layer(nn.Module):
    """A Mamba block, alone (``plain``) or with RMSNorm before it and a residual around it (``residual``)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        residual = config.block == "residual"
        self.norm = nn.RMSNorm(config.d_model, eps=config.norm_epsilon) if residual else None
        self.mixer = Mamba(config)

    def forward(self, hidden: Tensor, tap: Tap | None = None) -> Tensor:
        """Map hidden (B, T, M) to (B, T, M)."""
        output = self.mixer(hidden, tap) if self.norm is None else hidden + self.mixer(self.norm(hidden), tap)
        if tap is not None:
            tap("output", output)
        return output


class MambaClassifier(nn.Module):
    """A sequence classifier: (B, T, F) -> logits (B, C), or (B, T, C) without pooling."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.n_tokens, config.d_model) if config.n_tokens else None
        self.linear_in = nn.Linear(config.n_features, config.d_model) if config.linear_in else None
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.n_blocks))
        residual = config.block == "residual"
        normed = residual and config.final_norm
        self.norm_f = nn.RMSNorm(config.d_model, eps=config.norm_epsilon) if normed else None
        self.head = nn.Linear(config.d_model, config.n_outputs) if config.head else None

    def forward(self, x: Tensor, tap: Tap | None = None) -> Tensor:
        """Map x (B, T, F) to logits; ``tap`` sees every intermediate tensor as ``layers.0.conv1d`` and so on."""
        hidden = x if self.embedding is None else self.embedding(x[..., 0].long())  # (B, T, M)
        hidden = hidden if self.linear_in is None else self.linear_in(hidden)
        if tap is not None and self.linear_in is not None:
            tap("linear_in", hidden)
        for index, layer in enumerate(self.layers):
            hidden = layer(hidden, _prefixed(tap, f"layers.{index}."))
        if self.norm_f is not None:
            hidden = self.norm_f(hidden)
        match self.config.pooling:
            case "none":
                pooled = hidden  # (B, T, M)
            case "mean":
                pooled = hidden.mean(dim=1)  # (B, M)
            case _:
                pooled = hidden[:, -1]  # (B, M)
        logits = pooled if self.head is None else self.head(pooled)  # (B, C), or (B, T, C) without pooling
        if tap is not None:
            tap("logits", logits)
        return logits


def from_checkpoint(checkpoint: Checkpoint) -> MambaClassifier:
    """Return the float32 reference of a checkpoint, ready for inference (``.double()`` makes the float64 one)."""
    model = MambaClassifier(checkpoint.config)
    model.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in checkpoint.weights.items()})
    return model.eval()


def _prefixed(tap: Tap | None, prefix: str) -> Tap | None:
    return None if tap is None else lambda name, tensor: tap(prefix + name, tensor)
