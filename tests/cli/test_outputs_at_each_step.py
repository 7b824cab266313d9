"""Models with outputs at each step: inputs, verdicts, reports and memory."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import read_runs
from safetensors.numpy import load_file, save_file

from emu.inputs import load_inputs
from emu.model.checkpoint import load_checkpoint
from emu.model.forward import forward
from emu.model.sources import find_model
from emu.model.stated import Stated

STEPS = 7


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The weights of a demo, whose head runs at each step, and some rows with the model's answers."""
    demo = find_model("har")
    assert demo.inputs is not None
    save_file(load_file(demo.path), tmp_path / "model.safetensors")
    (tmp_path / "model.emu.toml").write_text('pooling = "none"\n')
    x = load_inputs(demo.inputs).x[:2, :STEPS]
    answers = logits(tmp_path / "model.safetensors", x)
    np.savez(tmp_path / "forecast.npz", x=x, logits64=answers)
    np.savez(tmp_path / "tags.npz", x=x, logits64=answers, logits=answers.astype(np.float32), y=answers.argmax(-1))
    return tmp_path / "model.safetensors"


def logits(model: Path, x: np.ndarray) -> np.ndarray:
    checkpoint = load_checkpoint(model, Stated(pooling="none"))
    weights = {name: tensor.astype(np.float64) for name, tensor in checkpoint.weights.items()}
    return forward(checkpoint.config, weights, x)


def run(emu, model: Path, inputs: str, *options: object) -> tuple[Any, Any]:
    """Return the outcome of `emu run`, and the record, or None if there is none."""
    record = model.with_name("run.json")
    arguments = ("--inputs", model.with_name(inputs), "--json", record, *options)
    outcome = emu("run", model, "-t", "stm32h7-unicorn", *arguments)
    return outcome, read_runs(record)[0] if record.exists() else None


def test_the_class_of_each_step_is_compared(emu, model: Path):
    outcome, record = run(emu, model, "tags.npz", "--trace-layers")
    assert outcome.code == 0, outcome
    assert "14 of 14 steps" in outcome.stdout
    assert record.parity.steps == STEPS
    assert record.parity.label_accuracy == 1.0
    assert record.parity.worst_input.step is not None
    assert record.layers[-1].tensor == "logits"


def test_outputs_without_classes_have_no_verdict_on_labels(emu, model: Path):
    outcome, record = run(emu, model, "forecast.npz", "--report", model.with_name("out"))
    assert outcome.code == 0, outcome
    assert "labels agree" not in outcome.stdout
    assert "mean logit error" in outcome.stdout
    assert record.parity.argmax_agreement is None
    assert "argmax_agreement" in record.not_measured
    for report in model.with_name("out").iterdir():
        assert not re.search(r"(says|firmware|>) ?no class", report.read_text(errors="replace")), report


def test_a_wrong_output_of_one_step_fails(emu, model: Path):
    x = load_inputs(model.with_name("tags.npz")).x
    wrong = logits(model, x).astype(np.float32)
    wrong[1, 3] = -wrong[1, 3]
    np.savez(model.with_name("wrong.npz"), x=x, logits=wrong, y=wrong.argmax(-1))
    outcome, record = run(emu, model, "wrong.npz", "--tolerance", "10", "--report", model.with_name("out"))
    assert outcome.code == 1, outcome
    assert "13 of 14 steps" in outcome.stdout
    assert (record.parity.worst_input.index, record.parity.worst_input.step) == (1, 3)
    assert re.search(r"#1 step 3.*PyTorch says", (model.with_name("out") / "report.md").read_text())


def test_memory_does_not_grow_with_the_sequence(emu, model: Path):
    x = np.zeros((1, 40 * STEPS, 6), np.float32)
    np.savez(model.with_name("long.npz"), x=x, logits64=logits(model, x))
    (_, short), (outcome, long) = run(emu, model, "forecast.npz"), run(emu, model, "long.npz")
    assert outcome.code == 0, outcome
    assert short.memory == long.memory


def test_firmware_is_asked_for_each_step_if_the_answers_are_of_each_step(emu, model: Path):
    elf = model.with_name("own.elf")
    assert emu("build", model, "-t", "stm32h7-unicorn", "-o", elf).code == 0
    outcome, record = run(emu, elf, "tags.npz")
    assert outcome.code == 0, outcome
    assert record.parity.agreeing == 14


STEPS_WANTED = "expected [N, T, C]. If the checkpoint's model gives the other, state it: --set pooling=mean"
STEPS_UNWANTED = "expected [N, C]. If the checkpoint's model gives the other, state it: --set pooling=none"


@pytest.mark.parametrize(
    ("pooling", "answers", "said"),
    [
        ("none", {"logits": np.zeros((2, 7))}, STEPS_WANTED),
        ("last", {"logits": np.zeros((2, STEPS, 7))}, STEPS_UNWANTED),
        ("none", {"y": np.zeros(2, np.int64)}, "y has shape [2]; the model gives outputs at each step"),
        ("none", {"logits": np.zeros((2, STEPS + 1, 7))}, "logits has shape [2, 8, 7]; x has 2 inputs of 7 steps"),
        ("none", {"logits": np.zeros((2, STEPS, 7)), "y": np.zeros(2, int)}, "all answers need to be of each step"),
        ("none", {"logits": np.zeros((2, STEPS, 6))}, "6 columns"),
    ],
)
def test_answers_of_another_shape_are_refused(emu, model: Path, pooling: str, answers: dict, said: str):
    np.savez(model.with_name("other.npz"), x=np.zeros((2, STEPS, 6), np.float32), **answers)
    outcome, _ = run(emu, model, "other.npz", "--set", f"pooling={pooling}")
    assert outcome.code == 2, outcome
    assert said in " ".join(outcome.stderr.split())
