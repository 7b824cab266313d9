"""A terminal in which the commands of a page are typed, one after the other, in a directory of the reader's own."""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pages import REPOSITORY, Command, File, Step

ASKS_FOR_THE_CODE = "echo $?"
_END = "---- end of the command, exit code"
_NOT_PASSED_ON = ("PYTEST_", "PYTHON", "PIP_", "VIRTUAL_ENV", "EMU_", "GITHUB_", "CI", "BUILD_NUMBER")


@dataclass(frozen=True)
class Outcome:
    """The result of a command."""

    command: Command
    code: int
    printed: str


def make_environment(directory: Path) -> dict[str, str]:
    """Return the variables of a terminal whose Python has emu, from a wheel of this checkout, and nothing else.

    All other packages that emu and the pages ask pip for are already here, and there is no network.
    """
    wheels = directory / "wheels"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, REPOSITORY]
    subprocess.run([*pip, *build], check=True, cwd=directory)
    venv.create(directory / "environment", with_pip=True)
    programs = directory / "environment/bin"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)} | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(_packages_but_emu(directory / "packages")),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "COLUMNS": "88",
        "TERM": "dumb",
    }
    subprocess.run([programs / "pip", "--quiet", "install", "emu-mcu"], check=True, env=environment)
    return environment


def _packages_but_emu(directory: Path) -> Path:
    """Return a directory with the packages of this Python, except emu (which may be a checkout) and pip."""
    directory.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("emu_mcu", "_emu_mcu", "__editable__", "pip", "__pycache__")):
            (directory / entry.name).symlink_to(entry)
    return directory


def follow(page: Sequence[Step], directory: Path, environment: Mapping[str, str]) -> list[Outcome]:
    """Follow a page in one shell, and return the result of each command that was reached.

    A command that fails is the last one, unless the next command asks for its exit code: ``echo $?``.
    """
    files, project = directory / "files", directory / "project"
    files.mkdir()
    project.mkdir(exist_ok=True)
    script: list[str] = []
    commands = [step for step in page if isinstance(step, Command)]
    following = iter([*commands[1:], None])
    for number, step in enumerate(page):
        if isinstance(step, File):
            (files / str(number)).write_text(step.text)
            name = shlex.quote(step.name)
            script.append(f'mkdir -p "$(dirname {name})"; cp {shlex.quote(str(files / str(number)))} {name}')
        elif isinstance(step, Command):
            script += [step.text, f"code=$?; echo; echo '{_END}' $code"]
            asked = (after := next(following)) is not None and after.text == ASKS_FOR_THE_CODE
            script.append("(exit $code)" if asked else "[ $code = 0 ] || exit 0")
    (directory / "script.sh").write_text("\n".join(script) + "\n")
    process = subprocess.run(
        ["bash", directory / "script.sh"],
        cwd=project,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    *ended, _ = re.split(rf"\n{_END} (\d+)\n", process.stdout)
    reached = zip(commands, ended[::2], ended[1::2], strict=False)
    return [Outcome(command, int(code), printed) for command, printed, code in reached]
