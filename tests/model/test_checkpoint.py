"""Checkpoints under every accepted naming and format, and the rejection of everything else by name."""

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file
from samples import CONFIGS, random_weights

from emu.errors import InputError
from emu.model.checkpoint import load_checkpoint
from emu.model.config import ModelConfig, Pooling
from emu.model.reference import from_checkpoint
from emu.model.stated import Stated

Tensors = dict[str, NDArray[np.float32]]

PLAIN = CONFIGS["one plain block, mean"]
PLAIN_PAIR = CONFIGS["two plain blocks with every bias"]
RESIDUAL = CONFIGS["one residual block, mean"]
TOKENS = ModelConfig(
    1, 12, d_model=8, d_inner=16, d_state=4, dt_rank=1, n_blocks=2, n_tokens=12, block="residual", pooling="none",
    linear_in=False,
)  # fmt: skip  # 12 tokens


def save(tensors: Tensors, path: Path, metadata: dict[str, str] | None = None) -> Path:
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, path, metadata)
    return path


def rejection(path: Path) -> str:
    """Return the one line with which a file is rejected."""
    with pytest.raises(InputError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def bare(weights: Tensors) -> Tensors:
    return {name.removeprefix("layers.0.mixer."): tensor for name, tensor in weights.items()}


def published(weights: Tensors) -> Tensors:
    return {
        name.replace("layers.0.mixer.", "mamba.").replace("head.", "classifier."): tensor
        for name, tensor in weights.items()
    }


def language_model(weights: Tensors, embedding: str, backbone: str, head: bool) -> Tensors:
    named = {f"{backbone}{embedding}.weight": weights["embedding.weight"]}
    named |= {
        f"{backbone}{name}": tensor for name, tensor in weights.items() if name.startswith(("layers.", "norm_f."))
    }
    return named | {"lm_head.weight": weights["head.weight"]} if head else named


# Names and formats


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_our_own_names(tmp_path: Path, config: ModelConfig) -> None:
    weights = random_weights(config)
    metadata = {"pooling": config.pooling, "norm_epsilon": repr(config.norm_epsilon)}
    checkpoint = load_checkpoint(save(weights, tmp_path / "m.safetensors", metadata))
    assert checkpoint.config == config
    assert list(checkpoint.weights) == list(weights)
    assert all(np.array_equal(checkpoint.weights[name], tensor) for name, tensor in weights.items())


def test_a_bare_block(tmp_path: Path) -> None:
    config = CONFIGS["a bare block"]
    weights = random_weights(config)
    checkpoint = load_checkpoint(save(bare(weights), tmp_path / "m.safetensors"))
    assert checkpoint.config == config
    assert all(np.array_equal(checkpoint.weights[name], tensor) for name, tensor in weights.items())


def test_the_published_layout(tmp_path: Path) -> None:
    weights = random_weights(PLAIN)
    checkpoint = load_checkpoint(save(published(weights), tmp_path / "m.safetensors"))
    assert checkpoint.config == PLAIN
    assert all(np.array_equal(checkpoint.weights[name], tensor) for name, tensor in weights.items())


@pytest.mark.parametrize("embedding", ["embedding", "embeddings"], ids=["mamba_ssm", "transformers"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied head", "own head"])
def test_language_models(tmp_path: Path, embedding: str, tied: bool) -> None:
    weights = random_weights(TOKENS)
    path = save(language_model(weights, embedding, "backbone.", head=not tied), tmp_path / "m.safetensors")
    checkpoint = load_checkpoint(path)
    assert checkpoint.config == TOKENS
    expected = weights | {"head.bias": np.zeros(12, np.float32)}
    if tied:
        expected["head.weight"] = weights["embedding.weight"]
    assert list(checkpoint.weights) == list(expected)
    assert all(np.array_equal(checkpoint.weights[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("embedding", ["embedding", "embeddings"], ids=["mamba_ssm", "transformers"])
def test_language_models_without_a_head(tmp_path: Path, embedding: str) -> None:
    tensors = language_model(random_weights(TOKENS), embedding, "", head=False)
    config = load_checkpoint(save(tensors, tmp_path / "m.safetensors")).config
    assert (config.n_tokens, config.n_outputs, config.head, config.pooling) == (12, 8, False, "none")


@pytest.mark.parametrize(
    "nest", [lambda state: state, lambda state: {"epoch": 3, "state_dict": state}, lambda state: {"model": state}]
)
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
def test_pytorch_files(tmp_path: Path, nest: Callable[[object], object], suffix: str) -> None:
    weights = random_weights(PLAIN)
    torch.save(nest({name: torch.from_numpy(tensor) for name, tensor in weights.items()}), tmp_path / f"m{suffix}")
    checkpoint = load_checkpoint(tmp_path / f"m{suffix}")
    assert checkpoint.config == PLAIN
    assert all(np.array_equal(checkpoint.weights[name], tensor) for name, tensor in weights.items())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_other_precisions_become_float32(tmp_path: Path, dtype: torch.dtype, suffix: str) -> None:
    state = {name: torch.from_numpy(tensor).to(dtype) for name, tensor in random_weights(PLAIN).items()}
    path = tmp_path / f"m{suffix}"
    if suffix == ".pt":
        torch.save(state, path)
    else:
        save_torch_file(state, path)
    weights = load_checkpoint(path).weights
    assert {tensor.dtype for tensor in weights.values()} == {np.dtype(np.float32)}
    assert all(np.array_equal(weights[name], tensor.float().numpy()) for name, tensor in state.items())


@pytest.mark.parametrize(
    ("metadata", "argument", "expected"),
    [(None, None, "mean"), ("last", None, "last"), ("last", "mean", "mean"), (None, "last", "last")],
)
def test_the_argument_beats_the_metadata_beats_the_default(
    tmp_path: Path, metadata: str | None, argument: Pooling | None, expected: Pooling
) -> None:
    notes = {} if metadata is None else {"pooling": metadata}
    path = save(random_weights(PLAIN), tmp_path / "m.safetensors", notes)
    assert load_checkpoint(path, Stated(pooling=argument)).config.pooling == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [("pooling", "median"), ("norm_epsilon", "small"), ("norm_epsilon", "nan"), ("norm_epsilon", "-1")],
)
def test_metadata_that_makes_no_sense_is_rejected(tmp_path: Path, key: str, value: str) -> None:
    path = save(random_weights(RESIDUAL), tmp_path / "m.safetensors", {key: value})
    message = rejection(path)
    assert key in message
    assert repr(value) in message


def test_safetensors_need_no_pytorch_and_its_own_files_say_so(tmp_path: Path) -> None:
    weights = random_weights(PLAIN)
    save(weights, tmp_path / "m.safetensors")
    torch.save({name: torch.from_numpy(tensor) for name, tensor in weights.items()}, tmp_path / "m.pt")
    program = (
        "import sys; sys.modules['torch'] = None\n"  # as if it were not installed
        "from pathlib import Path\n"
        "from emu.errors import MissingToolError\n"
        "from emu.model.checkpoint import load_checkpoint\n"
        "from emu.model.graph import build_graph\n"
        "print(build_graph(load_checkpoint(Path(sys.argv[1]))).config.d_inner)\n"
        "try:\n"
        "    load_checkpoint(Path(sys.argv[2]))\n"
        "except MissingToolError as error:\n"
        "    print(error)\n"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path / "m.safetensors"), str(tmp_path / "m.pt")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment)
    d_inner, message = finished.stdout.splitlines()
    assert d_inner == "16"
    assert message == "reading a PyTorch file needs PyTorch: pip install 'emu-mcu[torch]'"


def test_a_checkpoint_makes_a_reference_ready_for_inference(tmp_path: Path) -> None:
    model = from_checkpoint(load_checkpoint(save(random_weights(RESIDUAL), tmp_path / "m.safetensors")))
    assert not model.training
    assert model(torch.zeros(2, 5, RESIDUAL.n_features)).shape == (2, RESIDUAL.n_outputs)


# Rejections: tensors


def _as_is(weights: Tensors) -> Tensors:
    return weights


def _mamba_ssm(weights: Tensors) -> Tensors:
    return language_model(weights, "embedding", "backbone.", head=False)


@pytest.mark.parametrize(
    ("config", "layout"),
    [
        (PLAIN, _as_is),
        (PLAIN_PAIR, _as_is),
        (CONFIGS["three residual blocks with every bias"], _as_is),
        (CONFIGS["a bare block"], bare),
        (PLAIN, published),
        (TOKENS, _mamba_ssm),
    ],
    ids=["plain", "plain with biases", "residual", "bare", "published", "mamba_ssm"],
)
def test_every_missing_tensor_is_named(
    tmp_path: Path, config: ModelConfig, layout: Callable[[Tensors], Tensors]
) -> None:
    tensors = layout(random_weights(config))
    optional = {"linear_in.bias", "head.bias", "classifier.bias", "norm_f.weight"}  # a model can be without them
    if config.n_blocks == 1:  # with several blocks: all or none
        optional.add("conv1d.bias")
    unmistakable = {"backbone.embedding.weight"}  # without it, the family cannot be told from transformers'
    for name in tensors:
        if name.endswith(tuple(optional)) or name in unmistakable:
            continue
        rest = {other: tensor for other, tensor in tensors.items() if other != name}
        assert rejection(save(rest, tmp_path / "m.safetensors")) == f"tensor '{name}' is missing"


def test_a_language_model_without_its_embedding_is_rejected(tmp_path: Path) -> None:
    tensors = language_model(random_weights(TOKENS), "embeddings", "backbone.", head=True)
    del tensors["backbone.embeddings.weight"]
    assert rejection(save(tensors, tmp_path / "m.safetensors")) == "tensor 'backbone.embeddings.weight' is missing"


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        (_as_is, "layers.0.mixer.E"),
        (_as_is, "layers.00.mixer.D"),
        (_as_is, "optimizer.step"),
        (published, "mamba.norm.bias"),
        (published, "dropout.p"),
    ],
)
def test_every_unexpected_tensor_is_named(tmp_path: Path, layout: Callable[[Tensors], Tensors], name: str) -> None:
    tensors = layout(random_weights(PLAIN)) | {name: np.ones(8, np.float32)}
    assert rejection(save(tensors, tmp_path / "m.safetensors")).startswith(f"tensor '{name}' is unexpected")


@pytest.mark.parametrize("name", random_weights(RESIDUAL))
def test_every_misshapen_tensor_is_named_with_what_it_contradicts(tmp_path: Path, name: str) -> None:
    weights = random_weights(RESIDUAL)
    original = weights[name]
    for shape in (
        (*original.shape, 1),
        (*(size + 1 for size in original.shape),),
        (0, *original.shape[1:]),
        original.shape[1:],
    ):
        message = rejection(save(weights | {name: np.ones(shape, np.float32)}, tmp_path / "m.safetensors"))
        assert f"'{name}'" in message
        assert "shape" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"layers.0.mixer.x_proj.weight": (9, 15)},
            "tensor 'layers.0.mixer.x_proj.weight' has shape (9, 15), expected (9, 16): "
            "D = 16 comes from 'layers.0.mixer.A_log'",
        ),
        (
            {"layers.0.mixer.x_proj.weight": (10, 16)},
            "tensor 'layers.0.mixer.x_proj.weight' has shape (10, 16), expected (9, 16): "
            "R+2N = 9 comes from 'layers.0.mixer.dt_proj.weight' and 'layers.0.mixer.A_log'",
        ),
        (
            {"layers.0.mixer.in_proj.weight": (31, 8)},
            "tensor 'layers.0.mixer.in_proj.weight' has shape (31, 8), expected (32, 8): "
            "2D = 32 comes from 'layers.0.mixer.A_log'",
        ),
        (
            {"layers.0.mixer.conv1d.weight": (16, 2, 4)},
            "tensor 'layers.0.mixer.conv1d.weight' has shape (16, 2, 4), expected (16, 1, 4): "
            "group width = 1 comes from the depthwise convolution",
        ),
        (
            {"head.weight": (3, 9)},
            "tensor 'head.weight' has shape (3, 9), expected (3, 8): M = 8 comes from 'layers.0.mixer.in_proj.weight'",
        ),
        (
            {"layers.0.mixer.A_log": (16, 0)},
            "tensor 'layers.0.mixer.A_log' has shape (16, 0), expected (D, N), none of them 0",
        ),
        (
            {"layers.0.mixer.conv1d.weight": (16, 1, 1)},
            "tensor 'layers.0.mixer.conv1d.weight' has 1 tap; d_conv must be at least 2",
        ),
    ],
)
def test_a_wrong_shape_says_what_was_expected_and_why(
    tmp_path: Path, changes: dict[str, tuple[int, ...]], message: str
) -> None:
    misshapen = {name: np.ones(shape, np.float32) for name, shape in changes.items()}
    assert rejection(save(random_weights(PLAIN) | misshapen, tmp_path / "m.safetensors")) == message


def test_a_wrong_shape_is_told_in_the_names_of_the_file(tmp_path: Path) -> None:
    tensors = _mamba_ssm(random_weights(TOKENS)) | {"backbone.embedding.weight": np.ones((12, 9), np.float32)}
    assert rejection(save(tensors, tmp_path / "m.safetensors")) == (
        "tensor 'backbone.embedding.weight' has shape (12, 9), expected (12, 8): "
        "M = 8 comes from 'backbone.layers.0.mixer.in_proj.weight'"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_the_first_value_that_is_not_finite_is_named(tmp_path: Path, value: float, suffix: str) -> None:
    weights = random_weights(PLAIN)
    weights["layers.0.mixer.out_proj.weight"][[3, 5], [7, 2]] = value
    path = tmp_path / f"m{suffix}"
    if suffix == ".pt":
        torch.save({name: torch.from_numpy(tensor) for name, tensor in weights.items()}, path)
    else:
        save(weights, path)
    message = rejection(path)
    assert message.startswith(f"tensor 'layers.0.mixer.out_proj.weight' is {value} at index (3, 7)")


def test_a_float64_beyond_float32_is_not_finite(tmp_path: Path) -> None:
    tensors = {name: tensor.astype(np.float64) for name, tensor in random_weights(PLAIN).items()}
    tensors["head.bias"][1] = 1e39
    save_file(tensors, tmp_path / "m.safetensors")
    assert rejection(tmp_path / "m.safetensors").startswith("tensor 'head.bias' is inf at index (1,)")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.float8_e4m3fn, torch.complex64], ids=str)
def test_a_dtype_that_is_no_weight_is_named(tmp_path: Path, suffix: str, dtype: torch.dtype) -> None:
    state = {name: torch.from_numpy(tensor) for name, tensor in random_weights(PLAIN).items()}
    state["layers.0.mixer.D"] = torch.ones(16).to(dtype)
    path = tmp_path / f"m{suffix}"
    if suffix == ".pt":
        torch.save(state, path)
    else:
        save_torch_file(state, path)
    assert rejection(path).startswith("tensor 'layers.0.mixer.D' has dtype ")


def test_a_gap_in_the_layers_is_named(tmp_path: Path) -> None:
    config = CONFIGS["three plain blocks, last"]
    tensors = {name: w for name, w in random_weights(config).items() if not name.startswith("layers.1.")}
    message = rejection(save(tensors, tmp_path / "m.safetensors"))
    assert message == "layer 'layers.1' is missing, but 'layers.2' is there"


@pytest.mark.parametrize("prefix", ["", "backbone.layers.0.mixer."])
def test_mamba_2_is_recognised(tmp_path: Path, prefix: str) -> None:
    one_per_head = np.ones(4, np.float32)
    for name in ("dt_bias", "A_log"):
        message = rejection(save({f"{prefix}{name}": one_per_head}, tmp_path / "m.safetensors"))
        assert message == f"tensor '{prefix}{name}' with shape (4,) is Mamba-2's; only Mamba-1 is supported"


def test_a_model_of_something_else_is_rejected(tmp_path: Path) -> None:
    path = save({"fc1.weight": np.ones((3, 3), np.float32)}, tmp_path / "m.safetensors")
    assert rejection(path) == "holds no Mamba block (its first tensor is 'fc1.weight')"
    assert rejection(save({}, tmp_path / "none.safetensors")) == "holds no Mamba block (it has no tensor at all)"


# Rejections: files


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_files_that_cannot_be_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    assert rejection(path) == "No such file or directory"
    path.write_bytes(b"")
    assert rejection(path) == "the file is empty"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert "corrupt" in rejection(path)
    path.unlink()
    path.mkdir()
    assert rejection(path) == "Is a directory"


def test_an_unknown_kind_of_file_is_rejected(tmp_path: Path) -> None:
    assert ".safetensors, .pt, .pth, .bin, .ckpt, .index.json" in rejection(tmp_path / "m.onnx")


def test_every_truncation_of_a_safetensors_file_is_rejected(tmp_path: Path) -> None:
    path = save(random_weights(PLAIN), tmp_path / "m.safetensors")
    content = path.read_bytes()
    for length in [*range(1, 64), *range(64, len(content), 97), len(content) - 1]:
        path.write_bytes(content[:length])
        assert rejection(path) == "not a safetensors file: it is truncated or corrupt"


def test_truncated_pytorch_files_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save({name: torch.from_numpy(tensor) for name, tensor in random_weights(PLAIN).items()}, path)
    content = path.read_bytes()
    for length in (1, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        assert "truncated or corrupt" in rejection(path)


def test_a_corrupt_header_is_rejected_or_harmless(tmp_path: Path) -> None:
    path = save(random_weights(RESIDUAL), tmp_path / "m.safetensors", {"pooling": "last"})
    content = path.read_bytes()
    header_bytes = 8 + int.from_bytes(content[:8], "little")
    generator = np.random.default_rng(11)
    accepted = 0
    for _ in range(1000):
        mutated = bytearray(content)
        for position in generator.integers(header_bytes, size=generator.integers(1, 4)):
            mutated[position] = generator.integers(256)
        path.write_bytes(mutated)
        with contextlib.suppress(InputError):  # and nothing else may come out
            load_checkpoint(path)
            accepted += 1
    assert accepted < 100


class _Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.proof,)


@pytest.mark.parametrize("save_object", [torch.save, lambda what, path: path.write_bytes(pickle.dumps(what))])
def test_code_in_a_pickle_is_rejected_and_never_run(
    tmp_path: Path, save_object: Callable[[object, Path], object]
) -> None:
    proof = tmp_path / "proof"
    save_object({"layers.0.mixer.D": _Payload(proof)}, tmp_path / "m.pt")
    assert "holds Python objects, which are never run" in rejection(tmp_path / "m.pt")
    assert not proof.exists()


def test_a_pickle_without_a_state_dict_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save([torch.ones(3)], path)
    assert rejection(path) == "holds a list, not a state dict; save model.state_dict()"
    torch.save({"epoch": 3}, path)
    assert rejection(path) == "entry 'epoch' is not a named dense tensor; save model.state_dict()"
    torch.save({"A_log": torch.ones(3, 3).to_sparse()}, path)
    assert rejection(path) == "entry 'A_log' is not a named dense tensor; save model.state_dict()"
