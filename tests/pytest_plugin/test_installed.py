"""The wheel in an environment of its own, without PyTorch, next to the plugins that embedded projects use."""

import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.resources import resource

CHECKOUT = resource("runtime").parent
TORCH = "torch"
OTHER_PLUGINS = ("pytest-xdist", "pytest-randomly", "pytest-timeout", "pytest-embedded", "labgrid")
UNREACHABLE = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ReadTimeoutError")

TEN_LINES = """import pytest

@pytest.mark.limit_stack("512 B")
@pytest.mark.limit_heap("0 B")
@pytest.mark.limit_ram("12 KB")
@pytest.mark.limit_instructions(9_000_000)
@pytest.mark.parity(atol=1e-4)
def test_keywords(emu_run):
    run = emu_run("kws", limit=2)
    assert run.parity.argmax_agreement == 1.0
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


def call(*command: str | Path, directory: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHON"))}
    return subprocess.run(
        list(map(str, command)),
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def pip(python: str | Path, *arguments: str | Path, directory: Path) -> None:
    process = call(python, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check", directory=directory)
    if process.returncode and any(sign in process.stderr for sign in UNREACHABLE):
        pytest.skip("pip does not reach the index that the wheel's dependencies are on")
    assert process.returncode == 0, process.stderr


def test_the_wheel_has_the_demos_and_no_training(tmp_path: Path):
    built = call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, directory=CHECKOUT)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("emu_mcu-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = [archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA")]
    resources = "emu/resources"
    for demo in ("har", "kws"):
        assert {f"{resources}/models/{demo}/{name}" for name in ("inputs.npz", "model.safetensors")} <= names
    assert {
        name for name in names if name.startswith(f"{resources}/models/") and name.endswith((".py", ".md"))
    } == set()
    assert {f"{resources}/targets/stm32h7.toml", f"{resources}/linker/stm32h743.ld", "emu/py.typed"} <= names
    assert [
        line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "==" in line.partition(";")[0]
    ] == []


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a Python module in an environment with the wheel, the wheel's dependencies, and other plugins."""
    directory = tmp_path_factory.mktemp("installed")
    pip(sys.executable, "wheel", "--no-deps", CHECKOUT, "--wheel-dir", directory, directory=directory)
    (wheel,) = directory.glob("emu_mcu-*.whl")
    venv.create(directory / "environment", with_pip=True)
    python = directory / "environment" / "bin" / "python"
    pip(python, "install", wheel, "pytest", *OTHER_PLUGINS, directory=directory)

    def run(module: str, *arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
        return call(python, "-m", module, *arguments, directory=directory)

    return run


ALONE = [f"-pno:{plugin}" for plugin in ("labgrid", "pytest_embedded", "randomly", "timeout", "xdist")]


def test_ten_lines_pass_and_with_a_tighter_limit_tell_what_to_do(installed: Run, tmp_path: Path):
    assert installed("pip", "show", TORCH, directory=tmp_path).returncode != 0
    (tmp_path / "test_keywords.py").write_text(TEN_LINES)
    passed = installed("pytest", *ALONE, directory=tmp_path)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "1 passed" in passed.stdout
    (tmp_path / "test_keywords.py").write_text(TEN_LINES.replace("512 B", "256 B"))
    failed = installed("pytest", *ALONE, directory=tmp_path)
    assert failed.returncode == 1
    for fragment in ("kws on stm32h7-unicorn", "stack peak: ", "limit 256 B: ", "B too much", "mamba_step", "step.c:"):
        assert fragment in failed.stdout, failed.stdout
    for internal in ("Traceback", "site-packages", "pytest_plugin"):
        assert internal not in failed.stdout, failed.stdout


def test_the_command_line_needs_no_torch(installed: Run, tmp_path: Path):
    outcome = installed("emu", "run", "kws", "-t", "stm32h7-unicorn", "--limit", "1", directory=tmp_path)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


# These two plugins do not work together: pytest-embedded's set-up of every test asks for `target`, and gets
# labgrid's, which skips.
@pytest.mark.parametrize("without", ["labgrid", "pytest_embedded"])
def test_other_plugins_work_beside_it(installed: Run, tmp_path: Path, without: str):
    (tmp_path / "test_keywords.py").write_text(TEN_LINES)
    theirs = ["--target=esp32s3"] if without == "labgrid" else ["--lg-log=logs"]
    (tmp_path / "test_theirs.py").write_text(
        "def test_target(target): assert target == 'esp32s3'\n"
        if without == "labgrid"
        else "def test_target(request): assert request.config.getoption('lg_log') == 'logs'\n"
    )
    options = [f"-pno:{without}", "-n", "2", "--timeout=100", "-p", "randomly", "--randomly-seed=7", *theirs]
    outcome = installed("pytest", *options, "-v", "--emu-target=stm32h7-unicorn", directory=tmp_path)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "2 passed" in outcome.stdout
    plugins = next(line for line in outcome.stdout.splitlines() if line.startswith("plugins: "))
    beside = {"xdist", "randomly", "timeout", "emu-mcu", "embedded" if without == "labgrid" else "labgrid"}
    assert beside <= {plugin.rpartition("-")[0] for plugin in plugins.removeprefix("plugins: ").split(", ")}
