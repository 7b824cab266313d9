"""The PyTorch reference against a numpy recurrence and transformers; its gradient against finite differences."""

from pathlib import Path

import numpy as np
import pytest
import torch
from oracles import intermediates, recurrence
from samples import CONFIGS, random_checkpoint, random_sequence
from transformers import MambaConfig, MambaForCausalLM, MambaModel, PreTrainedModel

from emu.model.checkpoint import load_checkpoint
from emu.model.config import ModelConfig, Pooling, default_dt_rank
from emu.model.reference import Mamba, MambaClassifier, SelectiveScan, from_checkpoint
from emu.model.stated import Stated

torch.set_num_threads(1)  # the tensors are tiny, and the tests may share few cores

each_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())


@each_config
@pytest.mark.parametrize("steps", [1, 2, 23])
def test_reference_equals_the_numpy_recurrence(config: ModelConfig, steps: int) -> None:
    checkpoint = random_checkpoint(config)
    model = from_checkpoint(checkpoint).double()
    sequences = [random_sequence(config, steps, seed) for seed in range(3)]
    expected = np.stack([recurrence(checkpoint, x) for x in sequences])
    with torch.no_grad():
        logits = model(torch.from_numpy(np.stack(sequences))).numpy()
    assert logits.shape == (3, *([steps] if config.pooling == "none" else []), config.n_outputs)
    assert np.abs(logits - expected).max() < 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["two plain blocks with every bias", "three residual blocks with every bias"])
def test_taps_see_every_intermediate_tensor(name: str) -> None:
    config = CONFIGS[name]
    checkpoint = random_checkpoint(config)
    x = random_sequence(config, steps=7)
    seen: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        logits = from_checkpoint(checkpoint).double()(torch.from_numpy(x[None]), seen.__setitem__)

    expected = intermediates(checkpoint, x)
    assert list(seen) == [*expected, "logits"]
    for tensor_name, tensor in expected.items():
        np.testing.assert_allclose(seen[tensor_name][0].numpy(), tensor, rtol=1e-10, atol=1e-12, err_msg=tensor_name)
    assert torch.equal(seen["logits"], logits)


def _transformers_model(kind: type[PreTrainedModel], tied: bool = True) -> PreTrainedModel:
    """A small model of transformers on the slow path, with every weight moved away from its initial value."""
    torch.manual_seed(3)
    config = MambaConfig(
        vocab_size=29,
        hidden_size=24,
        state_size=6,
        num_hidden_layers=3,
        conv_kernel=3,
        expand=2,
        time_step_rank=4,
        use_bias=True,
        tie_word_embeddings=tied,
    )
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_reference_equals_the_model_of_transformers(tmp_path: Path, pooling: Pooling) -> None:
    theirs = _transformers_model(MambaModel)
    theirs.save_pretrained(tmp_path)
    checkpoint = load_checkpoint(tmp_path / "model.safetensors", Stated(pooling=pooling))
    assert (checkpoint.config.block, checkpoint.config.n_blocks, checkpoint.config.head) == ("residual", 3, False)

    tokens = torch.randint(29, (4, 19), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        hidden = theirs(tokens).last_hidden_state  # (4, 19, 24)
        ours = from_checkpoint(checkpoint)(tokens[..., None])
    expected = hidden.mean(dim=1) if pooling == "mean" else hidden[:, -1]
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("tied", [True, False], ids=["tied head", "own head"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_reference_equals_the_language_model_of_transformers(tmp_path: Path, tied: bool, suffix: str) -> None:
    theirs = _transformers_model(MambaForCausalLM, tied)
    if suffix == ".pt":
        path = tmp_path / "model.pt"
        torch.save(theirs.state_dict(), path)
    else:
        path = tmp_path / "model.safetensors"
        theirs.save_pretrained(tmp_path)
    checkpoint = load_checkpoint(path)
    assert checkpoint.config.pooling == "none"

    tokens = torch.randint(29, (4, 19), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected = theirs(tokens).logits
        ours = from_checkpoint(checkpoint)(tokens[..., None])
    assert tied == np.array_equal(checkpoint.weights["head.weight"], checkpoint.weights["embedding.weight"])
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_the_gradient_of_the_scan_equals_finite_differences() -> None:
    torch.manual_seed(0)
    steps, batch, width, states = 5, 2, 3, 4
    dt = torch.rand(steps, batch, width, dtype=torch.float64).requires_grad_()
    u = torch.randn(steps, batch, width, dtype=torch.float64).requires_grad_()
    a = (-torch.rand(width, states, dtype=torch.float64) - 0.1).requires_grad_()
    b = torch.randn(steps, batch, states, dtype=torch.float64).requires_grad_()
    c = torch.randn(steps, batch, states, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(SelectiveScan.apply, (dt, u, a, b, c))


def test_a_new_block_starts_as_the_paper_says() -> None:
    block = Mamba(ModelConfig(8, 3, d_model=64, d_inner=128, d_state=16, dt_rank=default_dt_rank(64)))
    dt = torch.nn.functional.softplus(block.dt_proj.bias)
    assert 0.00099 < dt.min() < 0.01 < dt.max() < 0.101
    torch.testing.assert_close(block.A_log.exp(), torch.arange(1.0, 17.0).expand(128, 16))
    assert block.dt_rank == 4
    assert default_dt_rank(65) == 5


@each_config
def test_a_checkpoint_names_its_weights_as_the_reference_does(config: ModelConfig, tmp_path: Path) -> None:
    state = MambaClassifier(config).state_dict()
    torch.save(state, tmp_path / "model.pt")
    weights = load_checkpoint(tmp_path / "model.pt").weights
    assert list(weights) == list(state)
    assert all(np.array_equal(weights[name], tensor.numpy()) for name, tensor in state.items())
