"""Instructions by call path for https://www.speedscope.app; the format is in speedscope.app/file-format-schema.json."""

import json
from collections.abc import Iterable
from typing import Any

import emu
from emu.record import CallPath, Run
from emu.wording import repeated

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def render_speedscope(runs: Iterable[Run]) -> str:
    """Return the JSON, with a profile for each run that has call paths.

    Instructions stand for time. Each call path is entered once: its own instructions come first, then its callees.
    """
    frames = _Frames()
    profiles = [
        _profile(f"{run.model} on {run.target}", run.profile.call_paths, frames)
        for run in runs
        if run.profile is not None
    ]
    shared = {"frames": frames.listed}
    return json.dumps(
        {"$schema": _SCHEMA, "exporter": f"emu {emu.__version__}", "shared": shared, "profiles": profiles}
    )


class _Frames:
    """The functions of all profiles, each listed once."""

    def __init__(self) -> None:
        self.listed: list[dict[str, Any]] = []
        self._index_of: dict[tuple[str | None, str | None, int | None], int] = {}

    def index(self, path: CallPath) -> int:
        name = None if path.function is None else path.function + repeated(path)
        key = (name, path.file, path.line)
        if key not in self._index_of:
            self._index_of[key] = len(self.listed)
            place = {"file": path.file, "line": path.line}
            self.listed.append({"name": name, **{k: v for k, v in place.items() if v is not None}})
        return self._index_of[key]


def _profile(name: str, paths: list[CallPath], frames: _Frames) -> dict[str, Any]:
    callees: dict[int | None, list[int]] = {}
    for index, path in enumerate(paths):
        callees.setdefault(path.caller, []).append(index)
    events: list[dict[str, Any]] = []
    now = 0
    pending = [(index, True) for index in reversed(callees.get(None, []))]
    while pending:
        index, opens = pending.pop()
        events.append({"type": "O" if opens else "C", "frame": frames.index(paths[index]), "at": now})
        if opens:
            now += paths[index].self_instructions
            pending += [(index, False), *((callee, True) for callee in reversed(callees.get(index, [])))]
    return {"type": "evented", "name": name, "unit": "none", "startValue": 0, "endValue": now, "events": events}
