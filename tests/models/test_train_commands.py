"""The training commands on directories of the published data sets, as a user types them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from published_layouts import write_speech_commands, write_uci_har

from emu.resources import resource
from models.datasets import speech_commands


def train(demo: str, data: Path, output: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"models.{demo}.train", "--epochs", "1"]
    return subprocess.run(
        [*command, "--data", str(data), "--output", str(output)],
        cwd=resource("models").parent,
        capture_output=True,
        text=True,
        check=False,
    )


def check_demo(output: Path, shape: tuple[int, int, int], classes: int) -> None:
    with np.load(output / "inputs.npz") as stored:
        assert stored["x"].shape == shape
        assert stored["logits64"].shape == (shape[0], classes)
    assert (output / "model.safetensors").exists()
    assert (output / "metrics.json").exists()


def test_kws_trains_on_speech_commands(tmp_path: Path) -> None:
    write_speech_commands(tmp_path / "data", speech_commands.WORDS)
    finished = train("kws", tmp_path / "data", tmp_path / "output")
    assert finished.returncode == 0, finished.stderr
    check_demo(tmp_path / "output", (10, 100, 40), classes=10)


def test_har_trains_on_uci_har(tmp_path: Path) -> None:
    write_uci_har(tmp_path / "data", train=range(1, 13), test=range(13, 20))
    finished = train("har", tmp_path / "data", tmp_path / "output")
    assert finished.returncode == 0, finished.stderr
    check_demo(tmp_path / "output", (7, 10, 57), classes=6)


@pytest.mark.parametrize("demo", ["kws", "har"])
def test_directory_without_the_data_ends_with_one_line_and_exit_code_2(demo: str, tmp_path: Path) -> None:
    finished = train(demo, tmp_path, tmp_path / "output")
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: ")
    assert finished.stderr.count("\n") == 1
    assert not (tmp_path / "output").exists()
