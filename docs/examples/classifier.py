"""Tell activities apart with two Mamba blocks inside a classifier of one's own."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer

ACTIVITIES = ["walk", "run", "row"]
SWINGS = torch.tensor([2.0, 5.0, 1.0])
"""How often the arm swings in a recording."""


class Block(nn.Module):
    """A Mamba block with a norm before it and a residual around it."""

    def __init__(self, config: MambaConfig, number: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size)
        self.mamba = MambaMixer(config, number)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, T, width) to (B, T, width)."""
        return x + self.dropout(self.mamba(self.norm(x)))


class ActivityClassifier(nn.Module):
    """A classifier of recordings: (B, T, 3) -> logits (B, activities)."""

    def __init__(self, width: int = 16, depth: int = 2) -> None:
        super().__init__()
        config = MambaConfig(hidden_size=width, state_size=8, num_hidden_layers=depth)
        self.embed = nn.Linear(3, width)
        self.blocks = nn.ModuleList(Block(config, number) for number in range(depth))
        self.norm = nn.LayerNorm(width)
        self.classify = nn.Linear(width, len(ACTIVITIES))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, T, 3) to logits."""
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.classify(self.norm(x).amax(dim=1))


def recordings(count: int) -> tuple[Tensor, Tensor]:
    """Return x (count, 50 steps, 3 axes), as from a watch on a wrist, and the activities' numbers (count)."""
    which = torch.randint(len(ACTIVITIES), (count,))
    swings = torch.linspace(0, 1, 50) * SWINGS[which, None] + torch.rand(count, 1)
    x = torch.stack([torch.sin(2 * math.pi * (swings + shift)) for shift in (0.0, 0.25, 0.4)], dim=2)
    return x + 0.3 * torch.randn_like(x), which


def train(model: nn.Module) -> None:
    """Train on recordings that are new at each step."""
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(1, 31):
        x, y = recordings(32)
        loss = cross_entropy(model(x), y, label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 10 == 0:
            print(f"step {step}: loss {loss.item():.2f}")


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = ActivityClassifier()
    train(model)
    torch.save(model.state_dict(), "weights.pt")
