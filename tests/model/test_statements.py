"""emu's reading of a checkpoint: from its tensors, the files next to it, and the user's statements."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from samples import CONFIGS, random_weights

from emu.errors import InputError
from emu.model.checkpoint import load_checkpoint
from emu.model.config import ModelConfig
from emu.model.stated import Stated, parse_settings

RESIDUAL = CONFIGS["one residual block, mean"]
PLAIN = CONFIGS["one plain block, mean"]
TOKENS = ModelConfig(
    12, 12, d_model=8, d_inner=16, d_state=4, dt_rank=1, n_blocks=2, block="residual", pooling="last"
)  # 12 tokens
TRANSFORMERS = {"model_type": "mamba"}
MAMBA_SSM = {"d_model": 8, "n_layer": 2, "vocab_size": 12, "ssm_cfg": {}, "rms_norm": True}


def checkpoint(directory: Path, config: ModelConfig = RESIDUAL, **metadata: str) -> Path:
    path = directory / "model.safetensors"
    save_file(random_weights(config), path, metadata or None)
    return path


def language_model(directory: Path, config_json: object, head: bool = False) -> Path:
    weights = random_weights(TOKENS)
    named = {f"backbone.{name}": tensor for name, tensor in weights.items() if name.startswith(("layers.", "norm_f."))}
    named["backbone.embeddings.weight"] = np.ascontiguousarray(weights["linear_in.weight"].T)
    if head:
        named["lm_head.weight"] = weights["head.weight"]
    save_file(named, directory / "model.safetensors")
    (directory / "config.json").write_text(json.dumps(config_json))
    return directory / "model.safetensors"


def said(path: Path, stated: Stated | None = None) -> dict[str, tuple[str, str]]:
    return {each.what: (each.value, each.source) for each in load_checkpoint(path, stated).reading}


def refusal(path: Path, stated: Stated | None = None) -> str:
    with pytest.raises(InputError) as caught:
        load_checkpoint(path, stated)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_the_tensors_show_and_what_is_assumed(tmp_path: Path) -> None:
    assert said(checkpoint(tmp_path)) == {
        "input": ("linear 6 -> 8", "tensors"),
        "blocks": ("1 of d_model 8, d_inner 16, d_state 4, d_conv 4, dt_rank 1", "tensors"),
        "norm": ("RMSNorm", "assumed"),
        "norm_epsilon": ("1e-05", "assumed"),
        "direction": ("forward in time", "assumed"),
        "activation": ("SiLU", "assumed"),
        "inner_norm": ("none on dt, B and C", "assumed"),
        "gate": ("SiLU", "assumed"),
        "block": ("y = x + mixer(norm(x))", "assumed"),
        "final norm": ("after the blocks", "tensors"),
        "pooling": ("mean over time", "assumed"),
        "between the layers": ("nothing else", "assumed"),
        "head": ("linear 8 -> 3", "tensors"),
    }


def test_a_model_without_norms_has_no_statement_on_norms(tmp_path: Path) -> None:
    statements = said(checkpoint(tmp_path, PLAIN))
    assert "norm" not in statements
    assert "norm_epsilon" not in statements
    assert statements["block"] == ("y = mixer(x)", "assumed")


def test_the_file_beside_the_checkpoint_states_what_no_tensor_shows(tmp_path: Path) -> None:
    path = checkpoint(tmp_path)
    (tmp_path / "model.emu.toml").write_text('pooling = "last"\nnorm_epsilon = 1e-3\n')
    assert load_checkpoint(path).config.pooling == "last"
    assert load_checkpoint(path).config.norm_epsilon == 1e-3
    assert said(path)["pooling"] == ("the last step", "stated")
    assert said(path)["norm_epsilon"] == ("0.001", "stated")


def test_the_command_line_beats_the_file_beats_config_json_beats_the_metadata(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, norm_epsilon="0.1", pooling="last")
    assert said(path)["norm_epsilon"] == ("0.1", "metadata")
    (tmp_path / "config.json").write_text(json.dumps({**TRANSFORMERS, "layer_norm_epsilon": 0.2}))
    assert said(path)["norm_epsilon"] == ("0.2", "config.json")
    (tmp_path / "model.emu.toml").write_text("norm_epsilon = 0.3\n")
    assert said(path)["norm_epsilon"] == ("0.3", "stated")
    assert said(path, parse_settings(["norm_epsilon=0.4"]))["norm_epsilon"] == ("0.4", "stated")
    assert said(path)["pooling"] == ("the last step", "metadata")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('poling = "last"', "poling: is not known"),
        ('pooling = "median"', "pooling: \"median\" is none of 'mean', 'last', 'max', 'sum' or 'none'"),
        ("norm_epsilon = 0", "norm_epsilon: 0 is not greater than 0"),
        ("pooling", "not a statement about a checkpoint"),
    ],
)
def test_a_file_that_states_nonsense_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = checkpoint(tmp_path)
    (tmp_path / "model.emu.toml").write_text(text)
    assert refusal(path).startswith(f"{tmp_path / 'model.emu.toml'}: ")
    assert complaint in refusal(path)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("pooling", "--set pooling: expected KEY=VALUE, such as --set pooling=last"),
        ("poling=last", "--set poling=last: 'poling' is not known; expected one of block, norm,"),
        ("pooling=median", "--set pooling: \"median\" is none of 'mean'"),
        ("norm_epsilon=small", '--set norm_epsilon: "small" is not a number'),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(setting: str, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_settings([setting])
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (
            {"activation": "gelu", "pooling": "last"},
            "activation is 'gelu' (GELU): the engine computes 'silu' only",
        ),
        ({"direction": "both"}, "direction is 'both' (forward plus backward in time): the engine computes 'forward'"),
    ],
)
def test_what_the_engine_does_not_compute_is_refused_by_name(
    tmp_path: Path, stated: dict[str, Any], message: str
) -> None:
    path = checkpoint(tmp_path)
    assert refusal(path, Stated(**stated)).startswith(f"{path}: {message}")


def test_a_statement_that_the_tensors_contradict_is_refused(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, PLAIN)
    assert "block is stated as 'residual', but the blocks have no norm" in refusal(path, Stated(block="residual"))
    assert "norm_epsilon is stated as 0.1, but the blocks have no norm" in refusal(path, Stated(norm_epsilon=0.1))
    path = checkpoint(tmp_path)
    assert "block is stated as 'plain', but the blocks have norms" in refusal(path, Stated(block="plain"))


# config.json


def test_a_configuration_of_transformers_is_read(tmp_path: Path) -> None:
    path = language_model(tmp_path, {**TRANSFORMERS, "hidden_act": "silu", "layer_norm_epsilon": 1e-3})
    statements = said(path)
    assert statements["norm_epsilon"] == ("0.001", "config.json")
    assert statements["activation"] == ("SiLU", "config.json")
    assert statements["head"] == ("the embedding, tied", "config.json")
    assert statements["pooling"] == ("none, outputs at each step", "assumed")
    assert load_checkpoint(path).config.norm_epsilon == 1e-3


def test_what_transformers_leaves_out_has_its_default(tmp_path: Path) -> None:
    statements = said(language_model(tmp_path, TRANSFORMERS))
    assert statements["norm_epsilon"] == ("1e-05", "config.json")
    assert statements["block"] == ("y = x + mixer(norm(x))", "config.json")


def test_layer_norms_are_known_by_their_biases(tmp_path: Path) -> None:
    weights = random_weights(RESIDUAL)
    biases = {name.replace("weight", "bias"): weight for name, weight in weights.items() if "norm" in name}
    save_file(weights | biases, tmp_path / "model.safetensors")
    path = tmp_path / "model.safetensors"
    assert said(path)["norm"] == ("LayerNorm", "tensors")
    assert "norm is stated as 'rms', but the tensors show 'layer'" in refusal(path, Stated(norm="rms"))
    save_file(weights | {"norm_f.bias": biases["norm_f.bias"]}, path)
    assert "tensor 'layers.0.norm.bias' is missing" in refusal(path)


def test_a_stack_without_a_final_norm_is_one(tmp_path: Path) -> None:
    weights = random_weights(RESIDUAL)
    del weights["norm_f.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    checkpoint = load_checkpoint(tmp_path / "model.safetensors")
    assert (checkpoint.config.block, checkpoint.config.final_norm) == ("residual", False)
    assert {each.what: (each.value, each.source) for each in checkpoint.reading}["final norm"] == ("none", "tensors")


def test_a_configuration_of_mamba_ssm_without_rms_norm_has_layer_norms(tmp_path: Path) -> None:
    path = language_model(tmp_path, {**MAMBA_SSM, "rms_norm": False})
    assert said(path)["norm"] == ("LayerNorm", "config.json")


def test_a_configuration_of_mamba_ssm_is_read(tmp_path: Path) -> None:
    path = language_model(tmp_path, MAMBA_SSM)
    assert said(path)["norm"] == ("RMSNorm", "config.json")
    assert said(path)["head"] == ("the embedding, tied", "config.json")


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"model_type": "jamba"}, "model_type is 'jamba'; emu reads mamba and falcon_mamba"),
        ({"model_type": "mamba2", "time_step_limit": [0.0, float("inf")]}, "model_type is 'mamba2'"),
        ({**TRANSFORMERS, "hidden_act": "mish"}, "hidden_act is 'mish'; emu knows silu, swish, gelu, relu"),
        ({**TRANSFORMERS, "layer_norm_epsilon": "tiny"}, "norm_epsilon"),
        ({**TRANSFORMERS, "tie_word_embeddings": "yes"}, "tie_word_embeddings is 'yes', expected true or false"),
        ({**MAMBA_SSM, "ssm_cfg": {"layer": "Mamba2"}}, "ssm_cfg.layer is 'Mamba2'; emu reads Mamba1"),
        ({**MAMBA_SSM, "attn_layer_idx": [1]}, "attn_layer_idx is [1]: emu knows no attention layers"),
        ({**MAMBA_SSM, "d_intermediate": 16}, "d_intermediate is 16: emu knows no MLP between Mamba blocks"),
    ],
)
def test_a_configuration_of_something_else_is_refused_by_name(tmp_path: Path, config: object, complaint: str) -> None:
    message = refusal(language_model(tmp_path, config))
    assert message.startswith(f"{tmp_path / 'config.json'}: ")
    assert complaint in message


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({**TRANSFORMERS, "hidden_act": "gelu"}, "activation is 'gelu' (GELU): the engine computes 'silu' only"),
        ({**TRANSFORMERS, "tie_word_embeddings": False}, "tensor 'lm_head.weight' is missing, and config.json ties no"),
    ],
)
def test_a_configuration_that_the_engine_does_not_compute_is_refused(
    tmp_path: Path, config: object, complaint: str
) -> None:
    path = language_model(tmp_path, config)
    assert refusal(path).startswith(f"{path}: {complaint}")


def test_a_tied_head_with_values_of_its_own_is_refused(tmp_path: Path) -> None:
    path = language_model(tmp_path, TRANSFORMERS, head=True)
    assert "config.json ties the head to the embedding, but tensor 'lm_head.weight' has other values" in refusal(path)
    path = language_model(tmp_path, {**TRANSFORMERS, "tie_word_embeddings": False}, head=True)
    assert said(path)["head"] == ("linear 8 -> 12", "tensors")


@pytest.mark.parametrize("config", [[], {}, {"name": "mine", "lr": 0.1}])
def test_a_configuration_of_another_program_says_nothing(tmp_path: Path, config: object) -> None:
    path = checkpoint(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert said(path)["norm_epsilon"] == ("1e-05", "assumed")


def test_a_configuration_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = checkpoint(tmp_path)
    (tmp_path / "config.json").write_text("{")
    assert refusal(path).startswith(f"{tmp_path / 'config.json'}: not a model's configuration: it is not JSON")
