"""Each mistake of a user ends with exit code 2 and one clear line, and never with a traceback."""

import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from emu.model.image import read_image_info
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


def test_a_decay_beyond_all_numbers(emu, tmp_path: Path, har):
    har["layers.0.mixer.A_log"][0, 0] = 800
    save_file(har, tmp_path / "m.safetensors")
    emu("export", tmp_path / "m.safetensors", "-o", tmp_path / "m.mamba").assert_one_clear_line("inf", "beyond float32")


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


def test_an_image_that_asks_for_more_ram_than_there_is(emu, tmp_path: Path, image: Path):
    data = bytearray(image.read_bytes())
    arena = 16 + 8 * 4 + 2 * 4  # after the dimensions, the flags and the epsilon
    assert int.from_bytes(data[arena : arena + 4], "little") == read_image_info(image).arena_bytes
    data[arena : arena + 4] = (0xFFFF_FFF0).to_bytes(4, "little")
    data[12:16] = zlib.crc32(data[16:]).to_bytes(4, "little")
    image.write_bytes(data)
    x = inputs_file(tmp_path / "x.npz", x=np.zeros((1, 128, 6), np.float32))
    emu("run", image, "-t", "stm32h7-unicorn", "--inputs", x).assert_one_clear_line("4,294,967,280 bytes of RAM")


def test_a_cache_that_cannot_be_written(emu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    outcome = emu("run", "har", "-t", "stm32h7-unicorn", "--limit", "1")
    assert outcome.code == 74
    assert outcome.stderr.count("\n") == 1
    assert str(tmp_path / "file" / "emu") in outcome.stderr
    assert "XDG_CACHE_HOME" in outcome.stderr


def test_every_checkpoint_that_is_exported_is_run(emu, tmp_path: Path, har):
    torch = pytest.importorskip("torch")
    torch.save({name: torch.from_numpy(array) for name, array in har.items()}, tmp_path / "m.bin")
    inputs = find_model("har").inputs
    assert emu("export", tmp_path / "m.bin", "-o", tmp_path / "m.mamba").code == 0
    outcome = emu("run", tmp_path / "m.bin", "-t", "stm32h7-unicorn", "--inputs", inputs, "--limit", "1")
    assert outcome.code == 0, outcome


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": np.zeros((2, 128, 7), np.float32)}, "7 features"),
        ({"x": np.zeros((128, 6), np.float32)}, "[128, 6]"),
        ({"x": np.zeros((2, 128, 6), np.int32)}, "int32"),
        ({"x": np.full((2, 128, 6), np.inf, np.float32)}, "inf"),
        ({"x": np.zeros((2, 128, 6), np.float32), "y": np.zeros(3, np.int64)}, "y has shape [3]"),
        ({"x": np.zeros((2, 128, 6), np.float32), "logits": np.zeros((2, 5), np.float32)}, "5 columns"),
        (
            {"x": np.zeros((2, 128, 6), np.float32), "y": np.array([0, 1 << 63], np.uint64)},
            "9223372036854775808 at [1]",
        ),
        (
            {"x": np.zeros((2, 128, 6), np.float32), "y": np.array([0, -1])},
            "y holds -1 at [1], which is no class number",
        ),
        ({"x": np.zeros((2, 128, 6), np.float32), "logits": np.full((2, 7), 1e300)}, "1e+300 at [0, 0]"),
        ({"x": np.zeros((2, 128, 6), np.float32), "logits64": np.full((2, 7), -1e39)}, "-1e+39 at [0, 0]"),
        ({"x": np.zeros((2, 128, 6), np.float32), "classes": np.arange(7)}, "classes is int64 [7]"),
        (
            {
                "x": np.zeros((2, 128, 6), np.float32),
                "classes": np.array(["a", "b"]),
                "logits": np.zeros((2, 7), np.float32),
            },
            "2 names in classes; the logits have 7 columns",
        ),
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
    ).assert_one_clear_line("r.json", code=74)


def test_an_image_without_inputs(emu, image: Path):
    emu("run", image, "-t", "stm32h7-unicorn").assert_one_clear_line("--inputs")


def test_a_usage_error_teaches(emu):
    outcome = emu("build", "kws")
    assert outcome.code == 2
    assert "--output" in outcome.stderr
    assert "Traceback" not in outcome.stderr


# ---- a wrong call ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "fragments"),
    [
        ("rn", ("no such command 'rn'", "`emu --help`")),
        ("toolchain instal", ("no such command 'instal'", "`emu toolchain --help`")),
        ("run", ("missing argument", "`emu run --help`")),
        ("build kws", ("missing option '--output'", "`emu build --help`")),
        ("run kws -t stm32h7-unicorn --limt 3", ("no such option: --limt; did you mean --limit",)),
        (
            "run kws -t stm32h7-unicorn --limit 0",
            ("invalid value for '--limit': \"0\" is not greater than or equal to 1 (`emu run --help`",),
        ),
        (
            "run kws -t stm32h7-unicorn --limit many",
            ("invalid value for '--limit': \"many\" is not a whole number",),
        ),
        *(
            (
                f"run kws -t stm32h7-unicorn --max-seconds {text}",
                (f"invalid value for '--max-seconds': \"{text}\" is not greater than or equal to 0.001",),
            )
            for text in ("0", "-1", "nan")
        ),
        ("export model.pt -o model.mamba --dtype f64", ("invalid value for '--dtype': 'f64'", "int8")),
        ("build kws -t", ("'-t' requires an argument",)),
        ("--debg", ("no such option: --debg", "`emu --help`")),
        ("run kws\x1b[31m --\r\n\x1b[31m", ("no such option: --\\x0d\\x0a\\x1b[31m",)),
    ],
)
def test_a_wrong_call_is_one_line_that_says_what_to_type(emu, call: str, fragments: tuple[str, ...]):
    emu(*call.split(" ")).assert_one_clear_line(*fragments)


@pytest.mark.parametrize("call", [(), ("toolchain",)])
def test_a_call_without_a_command_shows_the_commands(emu, call: tuple[str, ...]):
    outcome = emu(*call)
    assert (outcome.code, outcome.stderr) == (2, "")
    assert "Usage: emu" in outcome.stdout
