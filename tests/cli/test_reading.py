"""What the commands say about a checkpoint that names no pooling, and how a user states the pooling."""

from pathlib import Path

import numpy as np
import pytest
from records import read_runs
from safetensors.numpy import load_file, save_file

from emu.inputs import load_inputs
from emu.model.sources import find_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The weights of a demo without its metadata, and its inputs with PyTorch's logits of a mean over time."""
    demo = find_model("har")
    assert demo.inputs is not None
    inputs = load_inputs(demo.inputs).first(3)
    assert inputs.logits64 is not None
    np.savez(tmp_path / "inputs.npz", x=inputs.x, logits64=inputs.logits64)
    np.savez(tmp_path / "rows.npz", x=inputs.x)
    save_file(load_file(demo.path), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_export_says_how_it_reads_the_weights(emu, model: Path):
    outcome = emu("export", model, "--set", "pooling=last", "-o", model.with_name("model.mamba"))
    assert outcome.code == 0, outcome
    tensors, stated, assumed, _ = outcome.stdout.splitlines()
    assert tensors.startswith("from the tensors: input: linear 6 -> 64; blocks: 1 of d_model 64, d_inner 128")
    assert stated == "stated: pooling: the last step"
    assert assumed.startswith("assumed: direction: forward in time; activation: SiLU")


def test_a_run_keeps_its_reading_and_says_what_was_compared(emu, model: Path):
    record = model.with_name("run.json")
    for inputs, shown in (("inputs.npz", "the logits of 3 inputs agree"), ("rows.npz", "pooling: mean over time")):
        outcome = emu("run", model, "-t", "host-native", "--inputs", model.with_name(inputs), "--json", record)
        assert outcome.code == 0, outcome
        assert shown in outcome.stdout
        (run,) = read_runs(record)
        assert run.reading is not None
        assert "pooling" in {each.what for each in run.reading.statements if each.source == "assumed"}
        assert run.reading.checked_inputs == (3 if inputs == "inputs.npz" else 0)


@pytest.mark.parametrize("stated", ["on the command line", "beside the checkpoint"])
def test_logits_of_another_reading_end_the_run_before_anything_is_built(emu, model: Path, stated: str):
    settings = ("--set", "pooling=last") if stated == "on the command line" else ()
    if not settings:
        model.with_name("model.emu.toml").write_text('pooling = "last"\n')
    outcome = emu("run", model, "-t", "host-native", "--inputs", model.with_name("inputs.npz"), *settings)
    outcome.assert_one_clear_line(
        f"{model}: the reference logits are another model's",
        "No layer of the C is at fault: nothing was built.",
        "They are these weights' logits with pooling mean (mean over time): state it: --set pooling=mean",
    )


def test_a_statement_about_an_image_or_firmware_is_refused(emu, model: Path):
    image = model.with_name("model.mamba")
    assert emu("export", model, "-o", image).code == 0
    inputs = ("--inputs", model.with_name("inputs.npz"), "--set", "pooling=last")
    emu("run", image, "-t", "host-native", *inputs).assert_one_clear_line("--set is for checkpoints; an image has all")
    emu("run", "own.elf", "-t", "host-native", *inputs).assert_one_clear_line("--set is for checkpoints, not for firm")


def test_the_file_beside_the_checkpoint_is_not_overwritten(emu, model: Path):
    beside = model.with_name("model.emu.toml")
    beside.write_text('pooling = "last"\n')
    emu("export", model, "-o", beside).assert_one_clear_line("would overwrite")
    assert beside.read_text() == 'pooling = "last"\n'
