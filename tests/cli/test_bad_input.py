"""Each mistake of a user's ends with exit code 2 and one clear line, and never with a traceback."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from emu.model.sources import find_model


@pytest.fixture
def har() -> dict[str, np.ndarray]:
    return load_file(find_model("har").path)


@pytest.fixture
def image(emu, tmp_path: Path) -> Path:
    path = tmp_path / "har.mamba"
    outcome = emu("export", find_model("har").path, "-o", path)
    assert outcome.code == 0, outcome
    return path


def inputs_file(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
    return path


def test_a_missing_tensor(emu, tmp_path: Path, har):
    del har["layers.0.mixer.dt_proj.bias"]
    save_file(har, tmp_path / "m.safetensors")
    emu("export", tmp_path / "m.safetensors", "-o", tmp_path / "m.mamba").assert_one_clear_line(
        "m.safetensors", "layers.0.mixer.dt_proj.bias", "missing"
    )
    assert not (tmp_path / "m.mamba").exists()


def test_a_misshapen_tensor(emu, tmp_path: Path, har):
    har["layers.0.mixer.D"] = har["layers.0.mixer.D"][:-1]
    save_file(har, tmp_path / "m.safetensors")
    emu("export", tmp_path / "m.safetensors", "-o", tmp_path / "m.mamba").assert_one_clear_line(
        "layers.0.mixer.D", "127"
    )


def test_weights_that_are_no_number(emu, tmp_path: Path, har):
    har["head.weight"][2, 3] = np.nan
    save_file(har, tmp_path / "m.safetensors")
    emu("export", tmp_path / "m.safetensors", "-o", tmp_path / "m.mamba").assert_one_clear_line("head.weight", "nan")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_image(emu, tmp_path: Path, image: Path, damage: str):
    data = bytearray(image.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0x10
    else:
        data = data[: len(data) // 3 if damage == "truncated" else 0]
    image.write_bytes(data)
    x = inputs_file(tmp_path / "x.npz", x=np.zeros((1, 128, 6), np.float32))
    emu("run", image, "-t", "stm32h7-unicorn", "--inputs", x).assert_one_clear_line("har.mamba")


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": np.zeros((2, 128, 7), np.float32)}, "7 features"),
        ({"x": np.zeros((128, 6), np.float32)}, "[128, 6]"),
        ({"x": np.zeros((2, 128, 6), np.int32)}, "int32"),
        ({"x": np.full((2, 128, 6), np.inf, np.float32)}, "inf"),
        ({"x": np.zeros((2, 128, 6), np.float32), "y": np.zeros(3, np.int64)}, "y has shape [3]"),
        ({"x": np.zeros((2, 128, 6), np.float32), "logits": np.zeros((2, 5), np.float32)}, "5 columns"),
        ({"features": np.zeros((2, 128, 6), np.float32)}, "no array 'x'"),
        ({"x": np.zeros((0, 128, 6), np.float32)}, "[0, 128, 6]"),
    ],
)
def test_inputs_of_the_wrong_shape(emu, tmp_path: Path, arrays: dict[str, np.ndarray], says: str):
    x = inputs_file(tmp_path / "x.npz", **arrays)
    emu("run", "har", "-t", "stm32h7-unicorn", "--inputs", x).assert_one_clear_line(says)


def test_inputs_that_are_no_archive(emu, tmp_path: Path):
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 not an archive")
    emu("run", "har", "-t", "stm32h7-unicorn", "--inputs", tmp_path / "x.npz").assert_one_clear_line("x.npz")


def test_inputs_that_are_a_bare_array(emu, tmp_path: Path):
    np.save(tmp_path / "x.npy", np.zeros((1, 128, 6), np.float32))
    emu("run", "har", "-t", "stm32h7-unicorn", "--inputs", tmp_path / "x.npy").assert_one_clear_line("x.npy")


def test_an_elf_for_another_cpu(emu, tmp_path: Path):
    (tmp_path / "main.c").write_text("int main(void) { return 0; }")
    subprocess.run(["cc", "main.c", "-o", "host.elf"], cwd=tmp_path, check=True)
    emu("run", tmp_path / "host.elf", "-t", "stm32h7-unicorn").assert_one_clear_line("host.elf", "x86", "Arm")


def test_a_file_that_is_no_elf(emu, tmp_path: Path):
    (tmp_path / "text.elf").write_text("hello")
    emu("run", tmp_path / "text.elf", "-t", "stm32h7-unicorn").assert_one_clear_line("text.elf", "not an ELF")


def test_things_that_are_not_there(emu, tmp_path: Path):
    emu("run", "kws", "-t", "stm32h8-unicorn").assert_one_clear_line("stm32h8-unicorn", "stm32h7-unicorn")
    emu("run", "nonsense", "-t", "stm32h7-unicorn").assert_one_clear_line("nonsense", "kws", "har")
    emu("run", tmp_path / "no.elf", "-t", "stm32h7-unicorn").assert_one_clear_line("no.elf")
    emu("run", tmp_path / "no.mamba", "-t", "stm32h7-unicorn").assert_one_clear_line("no.mamba")
    emu("export", tmp_path / "no.safetensors", "-o", tmp_path / "m.mamba").assert_one_clear_line("no.safetensors")
    emu(
        "run", "har", "-t", "stm32h7-unicorn", "--limit", "1", "--json", tmp_path / "no" / "r.json"
    ).assert_one_clear_line("r.json")


def test_an_image_without_inputs(emu, image: Path):
    emu("run", image, "-t", "stm32h7-unicorn").assert_one_clear_line("--inputs")


def test_a_usage_error_teaches(emu):
    outcome = emu("run", "kws")
    assert outcome.code == 2
    assert "--target" in outcome.stderr
    assert "Traceback" not in outcome.stderr
