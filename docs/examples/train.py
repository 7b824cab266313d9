"""Train a small Mamba model to tell gestures apart, and write the model with some inputs."""

import math

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from emu.model.config import ModelConfig
from emu.model.reference import MambaClassifier

GESTURES = ["circle", "shake", "tap"]


def gestures(count: int) -> tuple[Tensor, Tensor]:
    """Return x (count, 50 steps, 3 axes), as from an accelerometer, and the gestures' numbers (count)."""
    time = torch.linspace(0, 1, 50).expand(count, 50)
    begin, strength = torch.rand(count, 1), 0.5 + torch.rand(count, 1)
    turn = 2 * math.pi * (2 * time + begin)
    still = torch.zeros_like(time)
    circle = torch.stack([turn.sin(), turn.cos(), still], dim=2)
    shake = torch.stack([(4 * turn).sin(), still, still], dim=2)
    tap = torch.stack([still, still, (-200 * (time - begin) ** 2).exp()], dim=2)
    which = torch.randint(3, (count,))
    x = torch.stack([circle, shake, tap])[which, torch.arange(count)]
    return strength[:, :, None] * x + 0.2 * torch.randn_like(x), which


torch.manual_seed(0)
torch.set_num_threads(1)
config = ModelConfig(
    n_features=3,
    n_outputs=3,
    d_model=16,
    d_inner=32,
    d_state=8,
    dt_rank=1,
)
model = MambaClassifier(config)
optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(1, 41):
    x, y = gestures(32)
    loss = cross_entropy(model(x), y, label_smoothing=0.05)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if step % 10 == 0:
        print(f"step {step}: loss {loss.item():.2f}")

x, y = gestures(100)
with torch.no_grad():
    logits, logits64 = model(x), model.double()(x.double())
print(f"right about {int((logits.argmax(1) == y).sum())} of {len(y)} new gestures")

weights = {name: tensor.float() for name, tensor in model.state_dict().items()}
save_file(weights, "model.safetensors")
np.savez("inputs.npz", x=x, y=y, logits=logits, logits64=logits64, classes=GESTURES)
