"""What each command says and does when all is well."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from records import read_runs

from emu.inputs import load_inputs
from emu.model.sources import demo_names, find_model


def test_doctor_finds_the_target_ready(emu):
    outcome = emu("doctor")
    assert outcome.code == 0, outcome
    assert "stm32h7-unicorn" in outcome.stdout
    assert "ready" in outcome.stdout


def test_doctor_names_the_command_that_installs_what_is_missing(emu, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = emu("doctor")
    assert outcome.code == 3
    assert "apt-get install gcc-arm-none-eabi" in outcome.stdout


def test_doctor_says_how_to_get_torch(emu, tmp_path: Path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "from importlib import metadata\nversion = metadata.version\n"
        "def hidden(name):\n    if name == 'torch':\n        raise metadata.PackageNotFoundError(name)\n"
        "    return version(name)\nmetadata.version = hidden\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    outcome = emu("doctor")
    assert outcome.code == 0, outcome  # it is needed for little
    assert "torch: not installed" in outcome.stdout
    assert "pip install 'emu-mcu[torch]'" in outcome.stdout


def test_a_run_without_the_compiler_names_the_command_that_installs_it(emu, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    outcome = emu("run", "har", "-t", "stm32h7-unicorn", "--limit", "1")
    assert outcome.code == 3, outcome
    assert outcome.stderr.startswith("error: ")
    assert "apt-get install" in outcome.stderr


def test_targets_say_what_they_do_not_emulate(emu):
    outcome = emu("targets")
    assert outcome.code == 0
    assert "stm32h7-unicorn" in outcome.stdout
    assert "not emulated: interrupts" in outcome.stdout


def test_a_mistake_that_only_running_shows_loses_no_run(emu, tmp_path: Path):
    record, inputs = tmp_path / "run.json", find_model("har").inputs
    assert emu("build", "kws", "-t", "stm32h7-unicorn", "-o", tmp_path / "kws.elf").code == 0
    given = ("--inputs", inputs, "--limit", "1", "--json", record)
    outcome = emu("run", "har", tmp_path / "kws.elf", "-t", "stm32h7-unicorn", *given)
    assert outcome.code == 2, outcome
    assert "the inputs have 6 features a row; the firmware takes 40" in outcome.stderr
    assert [run["model"] for run in json.loads(record.read_text())["runs"]] == ["har"]


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (("nothing.elf",), "nothing.elf: No such file"),
        (("kws", "--inputs", find_model("har").inputs), "the inputs have 6 features a row; the firmware takes 40"),
        (("-t", "stm32h7-qemu", "--memcheck"), "stm32h7-qemu has no --memcheck; stm32h7-unicorn has it"),
        (("--trace-layers", "--trace-input", "1"), "--trace-input 1: there are 1 inputs"),
    ],
)
def test_what_can_be_refused_is_refused_before_the_first_run(emu, tmp_path: Path, second, says: str):
    outcome = emu("run", "har", *second, "-t", "stm32h7-unicorn", "--limit", "1", "--json", tmp_path / "r.json")
    outcome.assert_one_clear_line(says)
    assert outcome.stdout == ""
    assert not (tmp_path / "r.json").exists()


def test_a_missing_tool_is_told_before_anything_runs(emu, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("EMU_RENODE", str(tmp_path / "renode"))
    targets = ("-t", "stm32h7-unicorn", "-t", "stm32h7-renode")
    missing = emu("run", "har", *targets, "--limit", "1", "--json", tmp_path / "none")
    assert missing.code == 3, missing
    assert missing.stdout == ""
    assert not (tmp_path / "none").exists()


def test_help_teaches(emu):
    for command in ("--help", "run", "export", "build", "report"):
        outcome = emu(*([command] if command == "--help" else [command, "--help"]))
        assert outcome.code == 0
        assert "Usage" in outcome.stdout
    assert emu("--version").stdout.startswith("emu ")


@pytest.fixture(scope="module")
def header(emu, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("export")
    outcome = emu("export", find_model("har").path, "-o", directory / "har.mamba", "--header", directory / "har.h")
    assert outcome.code == 0, outcome
    return directory / "har.h"


def test_the_c_header_holds_the_image(header: Path):
    (header.parent / "check.c").write_text(
        '#include "har.h"\n#include <stdio.h>\n'
        "int main(void) { return fwrite(har_image, 1, sizeof har_image, stdout) != sizeof har_image; }"
    )
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "check.c", "-o", "check"], cwd=header.parent, check=True)
    written = subprocess.run(["./check"], cwd=header.parent, check=True, capture_output=True).stdout
    assert written == header.with_name("har.mamba").read_bytes()


def test_an_exported_image_gives_the_same_answers_as_its_checkpoint(emu, tmp_path: Path, header: Path):
    inputs = find_model("har").inputs
    emu("run", header.with_name("har.mamba"), "-t", "stm32h7-unicorn", "--inputs", inputs, "--limit", "3", "--json",
        tmp_path / "image.json")  # fmt: skip
    emu("run", "har", "-t", "stm32h7-unicorn", "--limit", "3", "--json", tmp_path / "demo.json")
    (image,), (demo,) = read_runs(tmp_path / "image.json"), read_runs(tmp_path / "demo.json")
    assert image.parity == demo.parity
    assert image.firmware.sha256 == demo.firmware.sha256
    assert image.instructions == demo.instructions


def test_folding_changes_cost_and_not_answers(emu, tmp_path: Path):
    har = find_model("har")
    emu("export", har.path, "-o", tmp_path / "unfolded.mamba", "--no-fold")
    runs = {}
    for model in (tmp_path / "unfolded.mamba", "har"):
        json_path = tmp_path / "r.json"
        outcome = emu(
            "run", model, "-t", "stm32h7-unicorn", "--inputs", har.inputs, "--limit", "5", "--json", json_path
        )
        assert outcome.code == 0, outcome
        (runs[str(model)],) = read_runs(json_path)
    unfolded, folded = runs.values()
    assert folded.instructions.per_inference < unfolded.instructions.per_inference
    assert folded.memory.flash_bytes < unfolded.memory.flash_bytes


def test_a_firmware_file_runs_with_inputs(emu, tmp_path: Path):
    assert emu("build", "har", "-t", "stm32h7-unicorn", "-o", tmp_path / "har.elf").code == 0
    outcome = emu(
        "run", tmp_path / "har.elf", "-t", "stm32h7-unicorn", "--inputs", find_model("har").inputs, "--limit", "2",
        "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    (run,) = read_runs(tmp_path / "r.json")
    assert run.parity is not None
    assert run.parity.argmax_agreement == 1.0


def test_a_sequence_longer_than_the_mailbox_goes_through_in_parts(emu, tmp_path: Path):
    inputs = find_model("har").inputs
    assert inputs is not None
    x = load_inputs(inputs).x[:1]
    np.savez(tmp_path / "long.npz", x=np.concatenate([x] * 3, axis=1))
    emu("build", "har", "-t", "stm32h7-unicorn", "-o", tmp_path / "short.elf")  # room for 128 rows, the input has 384
    for model in ("har", tmp_path / "short.elf"):
        emu("run", model, "-t", "stm32h7-unicorn", "--inputs", tmp_path / "long.npz", "--json", tmp_path / "r.json")
        (run,) = read_runs(tmp_path / "r.json")
        assert run.not_measured["parity"] == "the inputs come with no reference logits"
        assert run.instructions.per_inference is not None
        assert run.instructions.per_inference > 3 * 400_000


def test_traffic_is_counted_on_request(emu, tmp_path: Path):
    emu("run", "har", "-t", "stm32h7-unicorn", "--limit", "1", "--traffic", "--json", tmp_path / "r.json")
    (run,) = read_runs(tmp_path / "r.json")
    loads, stores = run.instructions.loads_by_region, run.instructions.stores_by_region
    assert loads is not None
    assert stores is not None
    assert loads["flash"] > loads["dtcm"] > 0  # weights are read from flash, the state from DTCM
    assert stores["dtcm"] > 0
    assert stores.get("flash", 0) == 0


def test_trace_layers_finds_every_tensor_equal(emu, tmp_path: Path):
    outcome = emu(
        "run", "har", "-t", "stm32h7-unicorn", "--limit", "1", "--trace-layers", "--json", tmp_path / "r.json"
    )
    assert outcome.code == 0, outcome
    (run,) = read_runs(tmp_path / "r.json")
    assert run.layers is not None
    names = [layer.tensor for layer in run.layers]
    assert names == [f"layers.0.{name}" for name in ("in_proj.x", "in_proj.z", "conv1d", "x_proj", "dt", "gated")] + [
        "logits"
    ]
    assert all(layer.largest > 0 for layer in run.layers)


def test_the_record_is_plain_json_of_the_documented_schema(emu, tmp_path: Path):
    emu("run", "har", "-t", "stm32h7-unicorn", "--limit", "1", "--json", tmp_path / "r.json")
    document = json.loads((tmp_path / "r.json").read_text())
    assert document["schema"] == 1
    (run,) = document["runs"]
    assert {"model", "target", "firmware", "memory", "stack", "heap", "instructions", "parity", "faults", "verdicts",
            "environment", "not_measured"} <= run.keys()  # fmt: skip
    memory = run["memory"]
    assert memory["ram_peak_bytes"] == (
        memory["static_ram_bytes"] + memory["heap_peak_bytes"] + memory["stack_peak_bytes"]
    )
    assert sum(frame["frame_bytes"] for frame in run["stack"]["backtrace"]) == memory["stack_peak_bytes"]
    assert sum(run["instructions"]["by_function"].values()) == run["instructions"]["total"]


def test_the_demos_are_known():
    assert demo_names() == ["har", "kws"]


def test_parity_can_fail(emu, tmp_path: Path):
    path = find_model("har").inputs
    assert path is not None
    inputs = load_inputs(path).first(4)
    assert inputs.logits64 is not None
    wrong = inputs.logits64.copy()
    wrong[2] = np.roll(wrong[2], 1)
    np.savez(tmp_path / "wrong.npz", x=inputs.x, logits64=wrong)
    image, record = tmp_path / "har.mamba", tmp_path / "r.json"  # an image has no reading to compare first
    image.write_bytes(find_model("har").image.read_bytes())
    outcome = emu("run", image, "-t", "stm32h7-unicorn", "--inputs", tmp_path / "wrong.npz", "--json", record)
    assert outcome.code == 1
    (run,) = read_runs(record)
    assert run.parity is not None
    assert run.parity.argmax_agreement == 0.75
    assert run.parity.worst_input.index == 2
    assert {verdict.name for verdict in run.verdicts if not verdict.ok} == {
        "labels agree with PyTorch",
        "mean logit error",
    }
