"""The float64 reading of a checkpoint against PyTorch's modules, for every choice that no tensor shows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from samples import CONFIGS, random_sequence, random_weights
from torch import Tensor, nn
from torch.nn import functional
from transformers import FalconMambaConfig, FalconMambaForCausalLM, MambaConfig, MambaForCausalLM

from emu.model.checkpoint import Checkpoint
from emu.model.config import ModelConfig
from emu.model.forward import forward
from emu.model.reference import Mamba, from_checkpoint

STEPS, BATCH = 11, 3
RESIDUAL = CONFIGS["three residual blocks with every bias"]
PLAIN = CONFIGS["two plain blocks with every bias"]


def weights_of(config: ModelConfig) -> dict[str, Any]:
    return {name: tensor.astype(np.float64) for name, tensor in random_weights(config).items()}


def rows(config: ModelConfig) -> np.ndarray:
    return np.stack([random_sequence(config, STEPS, seed) for seed in range(BATCH)])


def assert_equal(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_every_tensor_is_that_of_the_reference(config: ModelConfig) -> None:
    x = rows(config)
    tensors: dict[str, np.ndarray] = {}
    expected: dict[str, np.ndarray] = {}
    logits = forward(config, weights_of(config), x, tensors.__setitem__)
    with torch.no_grad():
        from_checkpoint(Checkpoint(config, random_weights(config))).double()(
            torch.from_numpy(x), tap=lambda name, tensor: expected.__setitem__(name, tensor.numpy())
        )
    assert list(tensors) == list(expected)
    for name, tensor in tensors.items():
        assert_equal(tensor, expected[name])
    assert_equal(logits, expected["logits"])


class Classifier(nn.Module):
    """A classifier whose forward pass takes any of the choices, with PyTorch's own layers around the block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        layer_norm = config.norm == "layer"
        self.linear_in = nn.Linear(config.n_features, config.d_model)

        def norm() -> nn.Module:
            make = nn.LayerNorm if layer_norm else nn.RMSNorm
            return make(config.d_model, eps=config.norm_epsilon, **({"bias": False} if layer_norm else {}))

        normed = config.block not in ("plain", "plain-residual")
        self.layers = nn.ModuleList(
            nn.ModuleDict({**({"norm": norm()} if normed else {}), "mixer": Mamba(config)})
            for _ in range(config.n_blocks)
        )
        self.norm_f = norm() if normed else nn.Identity()
        self.head = nn.Linear(config.d_model, config.n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.linear_in(x)
        for number, layer in enumerate(self.layers):
            hidden = self.block(number, layer, hidden)
        hidden = self.norm_f(hidden)
        match self.config.pooling:
            case "none":
                pooled = hidden
            case "mean":
                pooled = hidden.mean(1)
            case "last":
                pooled = hidden[:, -1]
            case "max":
                pooled = hidden.amax(1)
            case "sum":
                pooled = hidden.sum(1)
        return self.head(pooled)

    def block(self, number: int, layer: Any, x: Tensor) -> Tensor:
        def mixer(hidden: Tensor) -> Tensor:
            ahead, back = layer["mixer"](hidden), layer["mixer"](hidden.flip(1)).flip(1)
            match self.config.direction:
                case "forward":
                    return ahead
                case "both":
                    return ahead + back
                case "both-mean":
                    return (ahead + back) / 2
                case "alternating":
                    return back if number in (1, 3) else ahead

        match self.config.block:
            case "plain":
                return mixer(x)
            case "plain-residual":
                return x + mixer(x)
            case "residual":
                return x + mixer(layer["norm"](x))
            case "post-norm":
                return layer["norm"](x + mixer(x))
            case "norm":
                return mixer(layer["norm"](x))


CHANGES: list[tuple[ModelConfig, dict[str, Any]]] = [
    (RESIDUAL, {"norm": "layer"}),
    (RESIDUAL, {"norm": "layer", "block": "post-norm"}),
    (RESIDUAL, {"block": "norm", "norm_epsilon": 0.1}),
    (PLAIN, {"block": "plain-residual"}),
    (RESIDUAL, {"direction": "both"}),
    (RESIDUAL, {"direction": "both-mean", "pooling": "max"}),
    (PLAIN, {"direction": "alternating"}),
    (PLAIN, {"pooling": "sum"}),
    (RESIDUAL, {"pooling": "none"}),
    (PLAIN, {"activation": "gelu", "gate": "gelu"}),
    (RESIDUAL, {"activation": "relu", "gate": "relu"}),
]


@pytest.mark.parametrize(("config", "changes"), CHANGES, ids=repr)
def test_every_choice_is_what_pytorch_computes(
    config: ModelConfig, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = replace(config, **changes)
    if "activation" in changes:
        monkeypatch.setattr(functional, "silu", getattr(functional, changes["activation"]))
    model = Classifier(changed).double()
    model.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in weights_of(config).items()})
    x = rows(config)
    with torch.no_grad():
        expected = model(torch.from_numpy(x)).numpy()
    assert_equal(forward(changed, weights_of(config), x), expected)
    assert np.abs(_over_time(forward(config, weights_of(config), x)) - expected).max() > 1e-3 * np.abs(expected).max()


def _over_time(logits: np.ndarray) -> np.ndarray:
    """Return logits (B, C) as (B, 1, C), which can be compared with logits of each step."""
    return logits[:, np.newaxis] if logits.ndim == 2 else logits


@pytest.mark.parametrize("falcon", [False, True], ids=["Mamba", "FalconMamba"])
def test_the_models_of_transformers(falcon: bool) -> None:
    torch.manual_seed(3)
    sizes = {"vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 2, "state_size": 4, "use_mambapy": False}
    if falcon:
        model = FalconMambaForCausalLM(FalconMambaConfig(**sizes, mixer_rms_eps=1e-2, layer_norm_epsilon=1e-3))
    else:
        model = MambaForCausalLM(MambaConfig(**sizes, hidden_act="gelu", layer_norm_epsilon=1e-3))
    model = model.double().eval()
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    weights = {name.removeprefix("backbone."): tensor for name, tensor in state.items()}
    weights["linear_in.weight"] = weights.pop("embeddings.weight").T
    weights["head.weight"] = weights.pop("lm_head.weight")
    config = ModelConfig(
        11, 11, d_model=8, d_inner=16, d_state=4, dt_rank=1, n_blocks=2, block="residual", norm_epsilon=1e-3,
        pooling="last", activation="silu" if falcon else "gelu", inner_norm="rms" if falcon else "none",
        inner_norm_epsilon=1e-2,
    )  # fmt: skip
    tokens = np.random.default_rng(0).integers(11, size=(BATCH, STEPS))
    with torch.no_grad():
        expected = model(torch.from_numpy(tokens)).logits[:, -1].numpy()
    got = forward(config, weights, np.eye(11)[tokens])
    assert np.abs(got - expected).max() <= 1e-6 * np.abs(expected).max()  # the library rounds its norms to float32
