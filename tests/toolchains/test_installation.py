"""Building a toolchain: whole or not at all, once, from the step at which it ended, and with no scratch file left."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from scripts import MakeRecipe, write_script

from emu.errors import MissingToolError, OutputError
from emu.toolchains.installation import install
from emu.toolchains.recipe import Recipe

MAKE_COMPILER = 'mkdir -p "$RESULT/bin"; echo "from $RECIPE_KEY" >"$RESULT/bin/compiler"'

INSTALL = """
import sys
from pathlib import Path
from rich.console import Console
from emu.toolchains.display import BuildDisplay
from emu.toolchains.installation import install
from emu.toolchains.recipe import Recipe
with BuildDisplay(Console(stderr=True)) as display:
    install(Recipe("fake", Path(sys.argv[1]), "bin/compiler"), display)
"""


class Notes:
    """A watcher that remembers the steps."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.lines: list[str] = []
        self.ended = 0

    def waits(self) -> None:
        self.titles.append("waits")

    def begins(self, number: int, count: int, title: str) -> None:
        self.titles.append(f"{number}/{count} {title}")

    def prints(self, line: str) -> None:
        self.lines.append(line)

    def ends(self) -> None:
        self.ended += 1


def start(recipe: Recipe) -> subprocess.Popen[str]:
    """Install in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", INSTALL, str(recipe.directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def wait_for(path: Path) -> str:
    """Wait until the file is not empty, and return its text."""
    for _ in range(3000):
        with suppress(FileNotFoundError):
            if text := path.read_text():
                return text
        time.sleep(0.01)
    raise AssertionError(f"{path} was not written")


def is_running(process: int) -> bool:
    with suppress(FileNotFoundError):
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    return False


@pytest.mark.usefixtures("debian")
def test_the_steps_run_in_order_and_leave_only_the_toolchain(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe("echo 1 >order; echo done", *["echo more >>order"] * 8, f'{MAKE_COMPILER}; cp order "$RESULT"')
    notes = Notes()
    install(recipe, notes)
    assert notes.titles == [f"{number}/10 Step {number}" for number in range(1, 11)]
    assert notes.lines == ["done"]
    assert notes.ended == 10
    assert recipe.built() == recipe.home / "bin" / "compiler"
    assert (recipe.home / "bin" / "compiler").read_text() == f"from {recipe.key}\n"
    assert (recipe.home / "order").read_text() == "1\n" + 8 * "more\n"
    left = {path.name for path in recipe.home.parent.iterdir()}
    assert left == {recipe.key, f"{recipe.key}.lock"}


@pytest.mark.usefixtures("debian")
def test_a_second_time_nothing_runs(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(MAKE_COMPILER)
    install(recipe, Notes())
    notes = Notes()
    install(recipe, notes)
    assert notes.titles == []


@pytest.mark.usefixtures("debian")
def test_another_recipe_is_another_toolchain(make_recipe: MakeRecipe) -> None:
    first = make_recipe(MAKE_COMPILER)
    install(first, Notes())
    second = make_recipe(f"# changed\n{MAKE_COMPILER}")
    assert second.built() is None
    install(second, Notes())
    assert first.home != second.home
    assert first.built() is not None
    assert second.built() is not None


@pytest.mark.usefixtures("debian")
def test_after_a_failure_it_goes_on_where_it_ended(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    recipe = make_recipe(
        "echo first >>count",
        f"echo half >>half; [ -e {mended} ] || {{ echo 'E: Failed to fetch'; echo 'and more'; exit 7; }}",
        f'cp count half "$RESULT"; {MAKE_COMPILER}',
    )
    with pytest.raises(MissingToolError, match="step 2, 2-step, failed: E: Failed to fetch") as failure:
        install(recipe, Notes())
    assert "\n" not in str(failure.value)
    assert recipe.built() is None
    assert not recipe.home.exists()
    assert "and more" in (recipe.home.with_suffix(".build") / "log").read_text()
    mended.touch()
    notes = Notes()
    install(recipe, notes)
    assert notes.titles[-2:] == ["2/3 Step 2", "3/3 Step 3"]
    assert (recipe.home / "count").read_text() == "first\n"
    assert (recipe.home / "half").read_text() == "half\nhalf\n"


@pytest.mark.usefixtures("debian")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_however_it_is_ended_nothing_goes_on_and_the_step_is_done_again(
    make_recipe: MakeRecipe, tmp_path: Path, end: signal.Signals
) -> None:
    worker, second_time = tmp_path / "worker", tmp_path / "second_time"
    recipe = make_recipe(
        "echo first >>count",
        f'[ -e {second_time} ] || {{ (trap "" HUP TERM INT; sleep 600) & echo $! >{worker}; wait; }}\n'
        "echo second >>count",
        f'cp count "$RESULT"; {MAKE_COMPILER}',
    )
    installing = start(recipe)
    worker_id = int(wait_for(worker))
    assert is_running(worker_id)
    installing.send_signal(end)
    installing.communicate(timeout=30)
    assert recipe.built() is None
    second_time.touch()
    notes = Notes()
    install(recipe, notes)  # the lock is free only once the processes of the first attempt have ended
    assert not is_running(worker_id)
    assert notes.titles[-2:] == ["2/3 Step 2", "3/3 Step 3"]
    assert (recipe.home / "count").read_text() == "first\nsecond\n"
    assert recipe.built() is not None


@pytest.mark.usefixtures("debian")
def test_two_at_once_build_once(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    began, go_on = tmp_path / "began", tmp_path / "go_on"
    recipe = make_recipe(f"echo begin >>{began}; while [ ! -e {go_on} ]; do sleep 0.05; done; {MAKE_COMPILER}")
    first = start(recipe)
    wait_for(began)
    second = start(recipe)
    assert second.stdout is not None
    assert "waiting for another process" in second.stdout.readline()
    go_on.touch()
    for process in (first, second):
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
    assert began.read_text() == "begin\n"
    assert recipe.built() is not None


@pytest.mark.usefixtures("debian")
def test_a_damaged_toolchain_is_built_again(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(MAKE_COMPILER)
    install(recipe, Notes())
    (recipe.home / "bin" / "compiler").write_text("half")
    assert recipe.built() is None
    install(recipe, Notes())
    assert recipe.built() is not None
    assert (recipe.home / "bin" / "compiler").read_text() == f"from {recipe.key}\n"


@pytest.mark.usefixtures("debian")
def test_packages_that_are_missing_are_named_with_the_command(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(MAKE_COMPILER, packages="present\nremoved\nnever-was")
    with pytest.raises(MissingToolError, match=r"apt-get install removed never-was$"):
        install(recipe, Notes())
    assert recipe.built() is None


def test_elsewhere_than_on_debian_the_alternative_is_named(
    home: Path, make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(MissingToolError, match=r"docs\.espressif\.com"):
        install(make_recipe(MAKE_COMPILER), Notes())


def test_a_cache_that_cannot_be_written_is_one_clear_error(
    debian: Path, make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(write_script(debian / "file", "")))
    with pytest.raises(OutputError, match="XDG_CACHE_HOME"):
        install(make_recipe(MAKE_COMPILER), Notes())


@pytest.mark.usefixtures("debian")
def test_a_full_disk_ends_in_one_clear_error(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe("head -c 1M /dev/zero >/dev/full", MAKE_COMPILER)
    with pytest.raises(MissingToolError, match="No space left on device"):
        install(recipe, Notes())


def run_emu(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "emu", *arguments], check=False, capture_output=True, text=True)


@pytest.mark.usefixtures("home")
def test_the_command_line_refuses_what_there_is_no_recipe_for() -> None:
    outcome = run_emu("toolchain", "install", "riscv")
    assert outcome.returncode == 2
    assert outcome.stderr.splitlines() == [
        "error: riscv: there is no recipe for a toolchain of this name, only for: xtensa"
    ]


@pytest.mark.usefixtures("debian")
def test_the_command_line_says_which_packages_are_missing() -> None:
    outcome = run_emu("toolchain", "install", "xtensa")
    assert outcome.returncode == 3
    assert len(outcome.stderr.splitlines()) == 1
    assert "apt-get install binutils-xtensa-lx106 g++ gcc" in outcome.stderr
