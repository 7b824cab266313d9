"""What people expect of a command line: short options, completion, a default target, settings, clean pipes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_faulty_firmware import build
from test_starts import ENDS

TARGET = "stm32h7-unicorn"


def run(directory: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in ``directory``, without what this test session's environment sets."""
    kept = {name: value for name, value in os.environ.items() if name != "COLUMNS" and not name.startswith("EMU_")}
    command = [sys.executable, "-m", "emu", *map(str, arguments)]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, env=kept | environment)


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("firmware"), "tiny", ENDS.format(text="habits"))


def test_short_options(tmp_path: Path, firmware: Path):
    assert run(tmp_path, "-h").stdout == run(tmp_path, "--help").stdout
    assert run(tmp_path, "diff", "-h").stdout == run(tmp_path, "diff", "--help").stdout
    assert run(tmp_path, "-V").stdout == run(tmp_path, "--version").stdout
    quiet = run(tmp_path, "run", firmware, "-q")
    assert quiet.stdout == f"✓ tiny on {TARGET}\n"
    assert quiet.returncode == 0


def test_the_help_fits_its_lines(tmp_path: Path):
    shown = run(tmp_path, "--help").stdout
    assert "..." not in shown.partition("Commands:")[2]
    narrow = run(tmp_path, "run", "--help", COLUMNS="60").stdout.splitlines()
    assert max(map(len, narrow)) <= 60


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("emu dif", {"diff"}),
        ("emu run x --target esp32s3-", {"esp32s3-qemu", "esp32s3-renode"}),
        ("emu build kws -t stm32h7-un", {TARGET}),
        ("emu size --mark", {"--markdown"}),
    ],
)
def test_the_shell_completes(tmp_path: Path, words: str, expected: set[str]):
    asked = {"_EMU_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    assert set(run(tmp_path, **asked).stdout.split()) == expected


def test_a_shell_gets_its_script(tmp_path: Path):
    script = run(tmp_path, "--show-completion", "bash").stdout
    check = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert check.returncode == 0, check.stderr
    assert "complete" in script


def test_a_record_on_stdout_is_alone_there(tmp_path: Path, firmware: Path):
    outcome = run(tmp_path, "run", firmware, firmware, "--json", "-")
    assert [each["model"] for each in json.loads(outcome.stdout)["runs"]] == ["tiny", "tiny"]
    assert f"tiny on {TARGET}" in outcome.stderr
    assert list(tmp_path.iterdir()) == []
    assert json.loads(run(tmp_path, "run", firmware, "-q", "--json", "-").stdout)["schema"] == 1


def test_no_path_is_wrapped_in_a_pipe(tmp_path: Path):
    deep = f"/opt/{'a' * 60}/{'b' * 60}/driver.c"
    source = f'#line 7 "{deep}"\nint main(void) {{ *(volatile int *)0x60000000 = 1; return 0; }}'
    elf = build(tmp_path, "long", source)
    assert any(f"{deep}:7" in line for line in run(tmp_path, "run", elf).stdout.splitlines())
    narrow = run(tmp_path, "run", elf, COLUMNS="60").stdout.splitlines()
    assert max(map(len, narrow)) <= 60


# ---- a project's settings --------------------------------------------------------------------------------------------


def targets_of(outcome: subprocess.CompletedProcess[str]) -> list[str]:
    assert outcome.returncode in (0, 1), outcome.stderr
    return [each["target"] for each in json.loads(outcome.stdout)["runs"]]


def test_an_option_comes_before_the_environment_and_that_before_the_file(tmp_path: Path, firmware: Path):
    arguments = ("run", firmware, "-q", "--json", "-")
    assert targets_of(run(tmp_path, *arguments)) == [TARGET]
    copy = (
        (Path(__file__).parents[2] / "targets" / "stm32h7.toml")
        .read_text()
        .replace('name = "stm32h7"', 'name = "mine"')
    )
    (tmp_path / "boards").mkdir()
    linker = Path(__file__).parents[2] / "linker"
    (tmp_path / "boards" / "mine.toml").write_text(copy.replace("../linker", str(linker)))
    (tmp_path / "emu.toml").write_text('targets = ["mine-unicorn"]\nboards = ["boards/mine.toml"]\n')
    below = tmp_path / "src" / "deep"
    below.mkdir(parents=True)
    assert targets_of(run(below, *arguments)) == ["mine-unicorn"]
    assert targets_of(run(below, *arguments, EMU_TARGET=TARGET)) == [TARGET]
    assert targets_of(run(below, *arguments, "-t", "mine-unicorn", EMU_TARGET=TARGET)) == ["mine-unicorn"]
    assert "mine-unicorn" in run(below, "targets").stdout


@pytest.mark.parametrize("file", ["emu.toml", "pyproject.toml"])
def test_limits_of_the_project_are_verdicts(tmp_path: Path, firmware: Path, file: str):
    table = "limits" if file == "emu.toml" else "tool.emu.limits"
    (tmp_path / file).write_text(f'[{table}]\nstack = 4\nflash = "64 KB"\n')
    outcome = run(tmp_path, "run", firmware, "--json", "-")
    assert outcome.returncode == 1
    (record,) = json.loads(outcome.stdout)["runs"]
    verdicts = {verdict["name"]: verdict for verdict in record["verdicts"]}
    assert not verdicts["stack peak within its limit"]["ok"]
    assert verdicts["stack peak within its limit"]["limit"] == "4 B"
    assert verdicts["flash within its limit"]["ok"]


def test_the_nearest_file_counts_and_another_tools_file_does_not(tmp_path: Path, firmware: Path):
    (tmp_path / "emu.toml").write_text("[limits]\nstack = 4\n")
    below = tmp_path / "below"
    below.mkdir()
    (below / "pyproject.toml").write_text("[tool.other]\nkey = 1\n")
    assert run(below, "run", firmware, "-q").returncode == 1
    (below / "pyproject.toml").write_text('[tool.emu]\nlimits = { stack = "1 KB" }\n')
    assert run(below, "run", firmware, "-q").returncode == 0
    (below / "emu.toml").write_text("[limits]\nstack = 4\n")
    assert run(below, "run", firmware, "-q").returncode == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("target = 3\n", "target: is not known"),
        ("targets = 3\n", "targets: 3 is not a list"),
        ('boards = ["gone.toml"]\n', "gone.toml: no such file"),
        ("[limits]\nflush = 3\n", 'there is no figure "flush", only flash'),
        ('[limits]\nstack = "many"\n', '"many" is not a size such as'),
        ("[limits\n", "emu.toml"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(tmp_path: Path, firmware: Path, text: str, says: str):
    (tmp_path / "emu.toml").write_text(text)
    outcome = run(tmp_path, "run", firmware)
    assert outcome.returncode == 2
    assert outcome.stderr.startswith(f"error: {tmp_path}/emu.toml: ")
    assert says in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
