"""Baselines: the figures of earlier runs, in a small JSON file for git, to be reviewed like code.

{"schema": 1, "runs": {"kws@stm32h7-unicorn": {"stack": {"value": 488, "parts": {"mamba_step": 104, ...}}, ...}}}
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from emu.budgets.usage import Usage, usages
from emu.errors import InputError
from emu.figures import BUDGETS, NotMeasured
from emu.reading import read_json
from emu.record import SCHEMA, Run, RunFile
from emu.sizes import Layout, static_bytes

LISTED_PARTS = 8
"""How many parts of a figure the file keeps, the largest; of the stack it keeps every frame."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class BaselineFigure(_Part):
    """One figure, and who used it."""

    value: int | None
    """Bytes or instructions; None if it was not measured."""
    parts: dict[str, int] = {}


class Baseline(_Part):
    """The figures of runs, by ``model@target`` and the names of ``emu.figures.BUDGETS``."""

    schema_: Literal[1] = Field(default=SCHEMA, alias="schema")
    runs: dict[str, dict[str, BaselineFigure]] = {}

    @classmethod
    def of(cls, runs: Iterable[Run]) -> "Baseline":
        """Return the figures of ``runs``; if a firmware ran several times, the largest figures.

        Raises InputError if different firmware has the same name.
        """
        baseline, firmware = cls(), {}
        for run in runs:
            key = run_key(run)
            if firmware.setdefault(key, run.firmware.sha256) != run.firmware.sha256:
                raise InputError(
                    f"different firmware is called {key}: give each run a name of its own, "
                    "in tests with emu_run(..., name=...)"
                )
            kept = baseline.runs.setdefault(key, {})
            for name, entry in ((name, _entry(usage)) for name, usage in usages(run).items()):
                if name not in kept or (entry.value or 0) > (kept[name].value or 0):
                    kept[name] = entry
        return baseline

    def to_json(self) -> str:
        """Return the file's text: the largest parts only, and sorted, so that a diff in git shows the changes."""
        runs = {
            key: {name: {"value": entry.value, "parts": _largest(name, entry.parts)} for name, entry in entries.items()}
            for key, entries in self.runs.items()
        }
        return json.dumps({"schema": self.schema_, "runs": runs}, indent=2, sort_keys=True) + "\n"


def baseline_of_layout(layout: Layout) -> Baseline:
    """Return the figures of firmware that has not run: flash and static RAM, with every symbol."""
    figures = {
        name: BaselineFigure(value=sum(parts.values()), parts=parts) for name, parts in static_bytes(layout).items()
    }
    return Baseline(runs={layout.name: figures})


def run_key(run: Run) -> str:
    """Return the name of a run in a baseline."""
    return f"{run.model}@{run.target}"


def read_baseline(path: Path) -> Baseline:
    """Read a baseline, or the figures of a run record that ``emu run --json`` wrote.

    Raises InputError if the file is missing or neither.
    """

    def parse(value: Any) -> Baseline:
        is_record = isinstance(value, dict) and isinstance(value.get("runs"), list)
        return Baseline.of(RunFile.model_validate(value).runs) if is_record else Baseline.model_validate(value)

    return read_json(path, parse, "a baseline or a run record")


def _entry(usage: Usage) -> BaselineFigure:
    parts: dict[str, int] = {}
    for part in usage.parts:
        parts[part.name] = parts.get(part.name, 0) + (part.amount or 0)
    return BaselineFigure(value=None if isinstance(usage.value, NotMeasured) else usage.value, parts=parts)


def _largest(name: str, parts: dict[str, int]) -> dict[str, int]:
    kept = len(parts) if BUDGETS[name].lists_every_part else LISTED_PARTS
    return dict(sorted(parts.items(), key=lambda part: (-part[1], part[0]))[:kept])
