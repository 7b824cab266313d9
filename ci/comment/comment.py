"""Write the figures of a pull request's run into one comment on it: what ci/comment/action.yml runs.

The artifact was made by whoever opened the pull request, so it is data that may be anything. Which pull request it is
about, GitHub is asked; of the artifact two files are read, up to a limit, into a record's schema, and the comment is
rendered here, by code that the pull request cannot change.
"""

import io
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_ARCHIVE_BYTES = 20_000_000
MOST_FILE_BYTES = 50_000_000
MOST_COMMENT_CHARACTERS = 60_000
"""GitHub takes 65,536."""
_MOST_PAGES = 20
_PER_PAGE = 100
_MOST_ANSWER_BYTES = 20_000_000
_BAD_INPUT = 2
"""emu's exit code for a file that is not what it should be."""


class RefusedError(Exception):
    """There is nothing to comment on, or nothing that may be used."""


class GitHub:
    """A repository through GitHub's REST API."""

    def __init__(self, api: str, repository: str, token: str):
        self._base = f"{api}/repos/{repository}"
        self._token = token

    def get(self, path: str, **query: str) -> Any:
        """Return the content of ``path``."""
        return json.loads(self._send("GET", path, query=query))

    def pages(self, path: str, **query: str) -> Iterator[Any]:
        """Yield the entries of a list."""
        for page in range(1, _MOST_PAGES + 1):
            entries = self.get(path, **query, per_page=str(_PER_PAGE), page=str(page))
            yield from entries
            if len(entries) < _PER_PAGE:
                return

    def download(self, path: str, most: int) -> bytes:
        """Return the content of ``path``, also from another host. Raises RefusedError over ``most`` bytes."""
        data = self._send("GET", path, most=most)
        if len(data) > most:
            raise RefusedError(f"the artifact is larger than {most:,} bytes")
        return data

    def write(self, method: str, path: str, document: Any) -> None:
        """Send a document to ``path``."""
        self._send(method, path, json.dumps(document).encode())

    def _send(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        query: dict[str, str] | None = None,
        most: int = _MOST_ANSWER_BYTES,
    ) -> bytes:
        """Return the answer, or its first ``most`` + 1 bytes."""
        url = f"{self._base}/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        request = urllib.request.Request(url, data, {"Accept": "application/vnd.github+json"}, method=method)
        request.add_unredirected_header("Authorization", f"Bearer {self._token}")  # an artifact's host must not see it
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read(most + 1)


def find_pull_request(github: GitHub, run: dict[str, Any]) -> int:
    """Return the number of the open pull request whose newest commit is the one that ran."""
    if run["head_repository"] is None:
        raise RefusedError("the repository of the pull request is gone")
    owner = run["head_repository"]["owner"]["login"]
    for pull in github.pages("pulls", state="open", head=f"{owner}:{run['head_branch']}"):
        source = pull["head"]["repo"] or {}  # None if the fork is gone
        if pull["head"]["sha"] == run["head_sha"] and source.get("id") == run["head_repository"]["id"]:
            return pull["number"]
    raise RefusedError(f"no open pull request has {run['head_sha']} as its newest commit")


def fetch_artifact(github: GitHub, run: dict[str, Any], name: str) -> zipfile.ZipFile:
    """Return the artifact ``name`` of a workflow's run."""
    found = github.get(f"actions/runs/{run['id']}/artifacts", name=name)["artifacts"]
    if not found:
        raise RefusedError(f"the run has no artifact {name}")
    newest = max(found, key=lambda artifact: artifact["id"])
    try:
        archive = github.download(f"actions/artifacts/{newest['id']}/zip", MOST_ARCHIVE_BYTES)
        return zipfile.ZipFile(io.BytesIO(archive))
    except zipfile.BadZipFile:
        raise RefusedError("the artifact is no archive") from None


def read_member(artifact: zipfile.ZipFile, name: str) -> bytes | None:
    """Return a file of the artifact, or None if it has none of that name."""
    try:
        with artifact.open(name) as file:
            data = file.read(MOST_FILE_BYTES + 1)
    except KeyError:
        return None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise RefusedError(f"{name} of the artifact cannot be read: {error}") from None
    if len(data) > MOST_FILE_BYTES:
        raise RefusedError(f"{name} of the artifact is larger than {MOST_FILE_BYTES:,} bytes")
    return data


def render(record: bytes, baseline: bytes | None, allowed: str) -> str:
    """Return the comparison with the baseline, or the figures alone if there is none, as Markdown."""
    with tempfile.TemporaryDirectory() as directory:
        new, base, figures = (Path(directory, name) for name in ("run.json", "baseline.json", "figures.md"))
        new.write_bytes(record)
        if baseline is None:
            _emu("report", str(new), "--markdown", str(figures), good=(0,))
            return figures.read_text(encoding="utf-8")
        base.write_bytes(baseline)
        gates = ["--fail-on-increase", allowed] if allowed else []
        return _emu("diff", str(base), str(new), "--markdown", *gates, good=(0, 1))


def _emu(*arguments: str, good: tuple[int, ...]) -> str:
    """Return what emu prints; with 1, which is good of a comparison alone, figures grew."""
    command = [sys.executable, "-P", "-m", "emu", *arguments]  # not a file called emu in the current directory
    outcome = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=120, check=False)
    said = " ".join(outcome.stderr.split())[-300:]
    if outcome.returncode == _BAD_INPUT:
        raise RefusedError(f"the artifact is not what emu writes: {said}")
    if outcome.returncode not in good or (outcome.returncode == 1 and not outcome.stdout):
        sys.exit(f"error: emu {arguments[0]} has ended with exit code {outcome.returncode}: {said}")
    return outcome.stdout


def compose(marker: str, text: str, run: dict[str, Any]) -> str:
    """Return the comment: what was rendered, cut at a line if it is too long, with nobody mentioned."""
    kept, room = [], MOST_COMMENT_CHARACTERS
    for line in re.sub(r"(?<!\w)@", "@\u200b", text).splitlines():
        room -= len(line) + 1
        if room < 0:
            kept += ["", "_The rest is in the artifact of the run: a comment has to stay short._"]
            break
        kept.append(line)
    heading = "### Figures of this pull request"
    source = f"[run]({run['html_url']}) of {run['head_sha'][:12]}"
    return "\n".join([marker, heading, "", *kept, "", f"Measured in emulators, exact: {source}"]) + "\n"


def post(github: GitHub, number: int, marker: str, body: str) -> None:
    """Write the comment in place of the one that an earlier run wrote, if there is one."""
    for comment in github.pages(f"issues/{number}/comments"):
        # Anyone can write the marker, but not as a bot.
        if comment["user"]["type"] == "Bot" and comment["body"].startswith(marker):
            github.write("PATCH", f"issues/comments/{comment['id']}", {"body": body})
            return
    github.write("POST", f"issues/{number}/comments", {"body": body})


def main() -> None:
    """Do it, with what the runner has in the environment."""
    environment = os.environ
    run = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))["workflow_run"]
    github = GitHub(environment["GITHUB_API_URL"], environment["GITHUB_REPOSITORY"], environment["GITHUB_TOKEN"])
    name = environment["ARTIFACT"]
    marker = f"<!-- emu: {name} -->"
    try:
        number = find_pull_request(github, run)
        artifact = fetch_artifact(github, run, name)
        record = read_member(artifact, "run.json")
        if record is None:
            raise RefusedError("the artifact has no run.json")
        text = render(record, read_member(artifact, "baseline.json"), environment["ALLOWED"])
        post(github, number, marker, compose(marker, text, run))
    except RefusedError as reason:
        print(f"no comment: {reason}")
        return
    except urllib.error.URLError as error:
        sys.exit(f"error: GitHub does not answer as it should: {error}")
    print(f"commented on pull request {number}")


if __name__ == "__main__":
    main()
