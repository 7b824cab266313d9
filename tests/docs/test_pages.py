"""The commands in the documents, executed as a reader does: their output is compared with the output shown."""

import shutil
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from matching import difference
from pages import PAGES, REPOSITORY, Command, NotExecuted, steps
from terminal import ASKS_FOR_THE_CODE, follow, make_environment

from emu.build import build_firmware
from emu.model.sources import find_model
from emu.targets import find_target
from emu.toolchains import find_toolchain

NOT_EXECUTED = {
    "README.md": 1,
    "CONTRIBUTING.md": 2,
    "docs/tutorial.md": 1,
    "docs/how-to/other-emulators.md": 4,
    "docs/how-to/own-board.md": 1,
    "docs/how-to/size.md": 1,
}
"""How many fences of each page are not executed, and why: a new one is a decision."""

WITH_A_MODEL = ("README.md", "docs/how-to/own-model.md")
"""Pages about the reader's own ``model.safetensors``, ``inputs.npz`` and ``firmware.elf``."""

FIGURES_ARE_OF = "12.2"
"""The GCC that made the code behind the documents' figures: Debian 12's. Another GCC makes other figures."""


def name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def commands(page: Path) -> list[Command]:
    return [step for step in steps(page) if isinstance(step, Command)]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_environment(tmp_path_factory.mktemp("environment"))


def bring_what_the_reader_has(project: Path) -> None:
    """Put a trained model, its first inputs and firmware into the reader's directory."""
    model = find_model("kws")
    assert model.inputs is not None
    with np.load(model.inputs) as inputs:
        np.savez(project / "inputs.npz", **{name: inputs[name][:5] for name in ("x", "y", "logits", "logits64")})
    shutil.copy(model.inputs.with_name("model.safetensors"), project)
    shutil.copy(build_firmware(model.image, find_target("stm32h7-unicorn").board), project / "firmware.elf")


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name)
def test_every_command_does_what_the_page_shows(page: Path, environment: dict[str, str], tmp_path: Path):
    project = tmp_path / "project"
    project.mkdir()
    if name(page) in WITH_A_MODEL:
        bring_what_the_reader_has(project)
    outcomes = follow(steps(page), tmp_path, environment)
    typed = commands(page)
    exact = find_toolchain("arm-none-eabi").version.split()[-2].startswith(FIGURES_ARE_OF)
    for outcome, after in zip(outcomes, [*typed[1:], None], strict=False):
        where = f"{page}:{outcome.command.line}: {outcome.command.text}\n{outcome.printed}"
        asked = after is not None and after.text == ASKS_FOR_THE_CODE
        assert outcome.code == 0 or asked, f"exit code {outcome.code}: {where}"
        assert "Traceback" not in outcome.printed, where
        if outcome.command.shown is not None and exact:
            assert not (found := difference(outcome.command.shown, outcome.printed)), f"{where}\n{found}"
    assert len(outcomes) == len(typed), "the shell ended before the page"
    if not exact and any(command.shown for command in typed):
        warnings.warn(f"what {name(page)} shows was not compared: it is of GCC {FIGURES_ARE_OF}", stacklevel=1)


def test_what_is_not_executed_has_a_reason_and_is_counted():
    excused = [(page, step) for page in PAGES for step in steps(page) if isinstance(step, NotExecuted)]
    assert Counter(name(page) for page, _ in excused) == NOT_EXECUTED
    assert all(len(step.reason.split()) > 1 for _, step in excused)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb", "a\nb\n", True),
        ("a\nb", "a\nc", False),
        ("488 B", "496 B", False),
        ("a  \n\n", "a", True),
        ("  a", "a", False),
        ("...\nb", "a\nb", True),
        ("...\nb", "b", True),
        ("a\n...\nc", "a\nb\nb\nc", True),
        ("a\n...\nc", "a\nb\nc\nd", False),
        ("a ... c", "a b b c", True),
        ("a ... c", "a b\nb c", False),
        ("mean 1.1e-08, all", "mean 4.2e-08, all", True),
        ("mean 1.1e-08, all", "mean 4.2, all", False),
        ("1 passed in 1.95s", "1 passed in 12.01s", True),
        ("1 passed in 1.95s", "1 passed in 61.00s (0:01:01)", True),
        ("1 passed in 1.95s", "2 passed in 1.95s", False),
    ],
)
def test_what_counts_as_shown(shown: str, printed: str, same: bool):
    assert (difference(shown, printed) == "") is same
