"""Failures as a Code Quality report, which GitLab shows at lines of a merge request."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence

from emu.printable import printable
from emu.record import Run
from emu.reports.failures import Failure, failures
from emu.reports.sources import Sources
from emu.wording import title

_LONGEST_LINE = 300


def render_code_quality(runs: Sequence[Run], sources: Sources) -> str:
    """Return the JSON: an issue for each fault, memory error and other failed verdict.

    GitLab drops an issue without a file. A failure that no line of ``sources`` shows is at line 1 of the file that ran.
    """
    seen: Counter[str] = Counter()
    return json.dumps([_issue(failure, sources, seen) for failure in failures(runs)], indent=2) + "\n"


def _issue(failure: Failure, sources: Sources, seen: Counter[str]) -> dict[str, object]:
    path, line = failure.place(sources) or (failure.run.model, 1)
    headline = printable(failure.lines[0], _LONGEST_LINE)
    # GitLab compares two reports by fingerprint. Line numbers move with each edit, so a fingerprint has none.
    same = "\0".join(
        [title(failure.run), failure.name, path, failure.places[0].function or "" if failure.places else ""]
    )
    seen[same] += 1
    return {
        "description": f"{printable(title(failure.run))}: {headline}",
        "check_name": printable(failure.name),
        "fingerprint": hashlib.sha256(f"{same}\0{seen[same]}".encode("utf-8", "replace")).hexdigest(),
        "severity": "major",
        "location": {"path": printable(path), "lines": {"begin": line}},
    }
