"""Examples that are not commands: programs parse, settings exist, workflows are valid, actions know each input."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import PAGES, REPOSITORY, Block, blocks

from emu.model.stated import Stated, read_stated
from emu.project import find_project
from emu.pytest_plugin import options
from emu.suppressions import load_suppressions
from emu.targets import Board, find_target

LANGUAGES = {"c", "console", "ld", "python", "sh", "text", "toml", "yaml"}
DIAGRAMS = {"README.md": 1, "docs/how-to/own-board.md": 1}
"""How many blocks of plain text a page has: drawings or linker scripts, never output that could be untrue."""
OUR_ACTION = re.compile(r"OWNER/REPO/(?P<directory>.+)@v\d+")


def name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def examples(language: str) -> list[Any]:
    return [
        pytest.param(block, id=f"{name(page)}:{block.line}")
        for page in PAGES
        for block in blocks(page)
        if block.language == language
    ]


class Settings:
    """Takes pytest's place, and keeps the names of settings."""

    def __init__(self) -> None:
        self.names = {"addopts", "testpaths"}
        options.register(self)  # pyright: ignore[reportArgumentType]

    def getgroup(self, *_names: str) -> "Settings":
        return self

    def addoption(self, *_names: str, **_given: Any) -> None:
        """Ignore options: settings have names of their own."""

    def addini(self, name: str, *_about: str, **_given: Any) -> None:
        self.names.add(name)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_of_a_language_that_is_checked(page: Path):
    assert {block.language for block in blocks(page) if not block.language.startswith("{")} <= LANGUAGES
    assert sum(block.language == "text" for block in blocks(page)) == DIAGRAMS.get(name(page), 0)


@pytest.mark.parametrize("block", examples("python"))
def test_python(block: Block):
    ast.parse(block.text)


@pytest.mark.parametrize("block", examples("toml"))
def test_toml(block: Block, tmp_path: Path):
    table = tomllib.loads(block.text)
    if "tool" in table:
        given = table["tool"]["pytest"]["ini_options"].keys()
        assert given <= Settings().names
    elif "suppress" in table:
        (tmp_path / "accepted.toml").write_text(block.text)
        assert load_suppressions(tmp_path / "accepted.toml")
    elif table.keys() & {"targets", "limits"}:
        (tmp_path / "emu.toml").write_text(block.text)
        assert find_project(tmp_path).targets
    elif table.keys() <= Stated.model_fields.keys():
        (tmp_path / "model.emu.toml").write_text(block.text)
        assert read_stated(tmp_path / "model.pt") != Stated()
    elif "emulators" not in table:  # a part of a board file; the commands of its page use whole ones
        whole = find_target("stm32h7-unicorn").board
        changed = {**whole.model_dump(exclude_defaults=True), **table}
        assert Board.model_validate(changed) != whole


@pytest.mark.parametrize("block", examples("yaml"))
def test_workflows(block: Block, tmp_path: Path):
    (tmp_path / "workflow.yml").write_text(block.text)
    program = Path(sys.executable).with_name("check-jsonschema")
    check = [program, "--builtin-schema", "vendor.github-workflows", str(tmp_path / "workflow.yml")]
    outcome = subprocess.run(check, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout
    workflow = yaml.safe_load(block.text)
    used = [step for job in workflow["jobs"].values() for step in job["steps"]]
    ours = [(step, match) for step in used if (match := OUR_ACTION.fullmatch(step.get("uses", "")))]
    assert ours
    for step, match in ours:
        action = yaml.safe_load((REPOSITORY / match["directory"] / "action.yml").read_text())
        given = step.get("with", {}).keys()
        assert given <= action["inputs"].keys()
        assert {name for name, each in action["inputs"].items() if each.get("required")} <= given
