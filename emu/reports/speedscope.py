"""Instructions by call path for https://www.speedscope.app (file format: speedscope.app/file-format-schema.json)."""

import json
from collections.abc import Iterable
from typing import Any

import emu
from emu.record import CallPath, Run
from emu.reports.collapsed import call_stacks


def render_speedscope(runs: Iterable[Run]) -> str:
    """Return the JSON, with one sampled profile for each run that has one: a sample is a path, its weight the count."""
    frames: dict[tuple[str | None, str | None, int | None], int] = {}

    def frame(path: CallPath) -> int:
        return frames.setdefault((path.function, path.file, path.line), len(frames))

    profiles = [_profile(run, frame) for run in runs if run.profile is not None]
    document = {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": f"emu {emu.__version__}",
        "shared": {"frames": [_frame(*key) for key in frames]},
        "profiles": profiles,
    }
    return json.dumps(document)
