"""Reads the run records that the command line writes."""

from pathlib import Path

from emu.record import Run, RunFile


def read_runs(path: Path) -> list[Run]:
    return RunFile.model_validate_json(path.read_text()).runs
