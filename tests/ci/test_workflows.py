"""What can be said of the actions and workflows without running them: by other checkers, and by rules of our own."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
ACTIONS = sorted(REPOSITORY.glob("ci/**/action.yml"))
WORKFLOWS = sorted(REPOSITORY.glob(".github/workflows/*.yml"))
FILES = [*ACTIONS, *WORKFLOWS]


def steps_of(path: Path) -> Iterator[dict[str, Any]]:
    document = yaml.safe_load(path.read_text())
    if path.name == "action.yml":
        yield from document["runs"]["steps"]
    else:
        for job in document["jobs"].values():
            yield from job.get("steps", [])


def steps() -> list[Any]:
    return [
        pytest.param(step, id=f"{path.relative_to(REPOSITORY)}:{step.get('name', step.get('uses'))}")
        for path in FILES
        for step in steps_of(path)
    ]


def find(tool: str) -> str:
    """Return where a checker is: next to this Python, or in PATH."""
    found = shutil.which(tool, path=str(Path(sys.executable).parent)) or shutil.which(tool)
    return found or pytest.skip(f"{tool} is not installed")


def check(*command: str | Path) -> None:
    outcome = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_actionlint():
    check(find("actionlint"), "-shellcheck", shutil.which("shellcheck") or "", *WORKFLOWS)


def test_no_weakness_that_zizmor_knows():
    check(find("zizmor"), "--offline", "--no-progress", "--min-severity", "medium", *FILES)


@pytest.mark.parametrize(("kind", "files"), [("actions", ACTIONS), ("workflows", WORKFLOWS)])
def test_the_schemas_of_github(kind: str, files: list[Path]):
    check(find("check-jsonschema"), "--builtin-schema", f"vendor.github-{kind}", *files)


def test_shellcheck(tmp_path: Path):
    scripts = []
    for path in FILES:
        for number, step in enumerate(steps_of(path)):
            if "run" in step:
                scripts.append(tmp_path / f"{path.parent.name}-{path.stem}-{number}.sh")
                given = "".join(f"export {name}=given\n" for name in step.get("env", {}))
                scripts[-1].write_text(f"#!/bin/bash\nset -eo pipefail\n{given}{step['run']}\n")
    assert len(scripts) > 8
    check(find("shellcheck"), "--external-sources", *scripts)
    check(find("shellcheck"), *(REPOSITORY / "ci" / name for name in ("prepare", "demo", "test", "test-qemu")))


@pytest.mark.parametrize("step", steps())
def test_no_expression_in_a_script_and_no_action_that_can_change(step: dict[str, Any]):
    assert "${{" not in step.get("run", ""), "values go through env: in a script they would be code"
    used = step.get("uses", "./")
    assert used.startswith("./") or re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", used)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_each_pinned_commit_says_its_version(path: Path):
    for line in path.read_text().splitlines():
        if re.search(r"uses: [^.\s]", line):
            assert re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


@pytest.mark.parametrize("path", WORKFLOWS, ids=str)
def test_no_more_rights_than_needed_and_an_end(path: Path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] in ({}, {"contents": "read"})
    assert "concurrency" in workflow
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 120
    for step in steps_of(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_only_what_runs_nothing_of_a_pull_request_may_write():
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        triggers = workflow[True]  # YAML reads `on` so
        rights = [right for job in workflow["jobs"].values() for right in job.get("permissions", {}).values()]
        if "write" in rights:
            of_the_default_branch = {"push": {"branches": ["main"]}, "workflow_dispatch": None}
            assert list(triggers) == ["workflow_run"] or triggers == of_the_default_branch
            for step in steps_of(path):
                assert "ref" not in step.get("with", {}), "only the default branch is checked out"
        assert "pull_request_target" not in triggers


@pytest.mark.parametrize("path", WORKFLOWS, ids=str)
def test_inputs_that_are_given_exist(path: Path):
    for step in steps_of(path):
        match = re.fullmatch(r"(?:\.|\./base)/(ci|ci/comment)", step.get("uses", ""))
        if match:
            action = yaml.safe_load((REPOSITORY / match[1] / "action.yml").read_text())
            assert step.get("with", {}).keys() <= action["inputs"].keys(), json.dumps(step)
            required = {name for name, each in action["inputs"].items() if each.get("required")}
            assert required <= step.get("with", {}).keys()


@pytest.mark.parametrize("path", ACTIONS, ids=str)
def test_every_input_is_used(path: Path):
    action = yaml.safe_load(path.read_text())
    steps = json.dumps(action["runs"]["steps"])
    for name in action["inputs"]:
        assert f"inputs.{name}" in steps
