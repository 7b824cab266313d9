"""A composite action as GitHub's runner executes it, but for the actions of others that it uses: those are recorded."""

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]


def load(path: str) -> dict[str, Any]:
    return yaml.safe_load((REPOSITORY / path).read_text())


@dataclass
class Job:
    """What an action leaves."""

    outputs: dict[str, str] = field(default_factory=dict)
    step_outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    """Exit codes by the step's name."""
    used: dict[str, dict[str, str]] = field(default_factory=dict)
    """Arguments to actions of others, by the step's name."""
    log: str = ""
    summary: str = ""

    @property
    def failed(self) -> bool:
        return any(self.codes.values())

    @property
    def obeyed(self) -> list[str]:
        """The commands in the log that the runner would obey."""
        commands, token = [], None
        for line in map(str.strip, self.log.splitlines()):
            if token is not None:
                token = None if line == f"::{token}::" else token
            elif line.startswith("::stop-commands::"):
                token = line.removeprefix("::stop-commands::")
            elif line.startswith("::"):
                commands.append(line)
        return commands


def execute(
    action: str, given: dict[str, str], workspace: Path, directory: Path, environment: dict[str, str] | None = None
) -> Job:
    """Run the steps of the action at ``action``, whose directory is taken to be ``directory``, in ``workspace``."""
    definition = load(action)
    inputs = {name: str(each.get("default", "")) for name, each in definition["inputs"].items()}
    assert given.keys() <= inputs.keys()
    inputs |= given
    missing = [name for name, each in definition["inputs"].items() if each.get("required") and name not in given]
    assert not missing
    job = Job()
    scratch = workspace.parent / "runner"
    scratch.mkdir(exist_ok=True)
    for step in definition["runs"]["steps"]:
        condition = str(step.get("if", "success()"))
        if "cancelled()" not in condition:
            condition = f"!{job.failed} && ({_bare(condition)})"
        if _evaluate(_bare(condition), inputs, job):
            _step(step, inputs, job, workspace, scratch, directory, environment or {})
    for name, output in definition.get("outputs", {}).items():
        job.outputs[name] = _fill(output["value"], inputs, job)
    return job


def _step(
    step: dict[str, Any],
    inputs: dict[str, str],
    job: Job,
    workspace: Path,
    scratch: Path,
    directory: Path,
    more: dict[str, str],
) -> None:
    name, identifier = step["name"], step.get("id")
    if "uses" in step:
        job.used[name] = {key: _fill(str(value), inputs, job) for key, value in step["with"].items()}
        return
    files = {variable: scratch / variable for variable in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for file in files.values():
        file.write_text("")
    script = scratch / "step.sh"
    script.write_text(step["run"])
    environment = {
        **os.environ,
        "GITHUB_WORKSPACE": str(workspace),
        "GITHUB_ACTION_PATH": str(directory),
        "RUNNER_TEMP": str(scratch),
        **{variable: str(file) for variable, file in files.items()},
        **more,
        **{key: _fill(str(value), inputs, job) for key, value in step.get("env", {}).items()},
    }
    assert step["shell"] == "bash"
    outcome = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        cwd=workspace,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    job.codes[name] = outcome.returncode
    job.log += outcome.stdout
    job.summary += files["GITHUB_STEP_SUMMARY"].read_text()
    lines = files["GITHUB_OUTPUT"].read_text().splitlines()
    if identifier:
        job.step_outputs[identifier] = dict(line.split("=", 1) for line in lines)


def _bare(condition: str) -> str:
    return re.sub(r"^\$\{\{|\}\}$", "", condition).strip()


def _fill(text: str, inputs: dict[str, str], job: Job) -> str:
    return re.sub(r"\$\{\{(.*?)\}\}", lambda match: str(_evaluate(match[1], inputs, job)), text)


def _evaluate(expression: str, inputs: dict[str, str], job: Job) -> Any:
    """Return the value of an expression: strings, contexts, and, or, not, comparisons."""
    context = {
        **{f"inputs.{name}": value for name, value in inputs.items()},
        **{f"steps.{step}.outputs.{name}": v for step, each in job.step_outputs.items() for name, v in each.items()},
        "github.token": "token",
    }
    python = re.sub(r"\b(?:inputs|steps|github)\.[\w.-]+", lambda match: repr(context.get(match[0], "")), expression)
    python = python.replace("&&", " and ").replace("||", " or ").replace("success()", "True")
    python = re.sub(r"!(?!=)", " not ", python.replace("cancelled()", "False"))
    return eval(python.strip(), {"__builtins__": {}})
