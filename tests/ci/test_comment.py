"""The comment on a pull request, against a GitHub of our own on this machine."""

import io
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from markdown_it import MarkdownIt

from emu.record import Firmware, Memory, Run, RunFile

REPOSITORY = Path(__file__).parents[2]
SHA = "a" * 40
MARKER = "<!-- emu: emu-report -->"


class FakeGitHub(ThreadingHTTPServer):
    """Holds what the API would; artifacts are on another host, which must not be given the token."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        source = {"sha": SHA, "repo": {"id": 7}}
        self.pulls: list[dict[str, Any]] = [{"number": 12, "head": source}]
        self.comments: list[dict[str, Any]] = []
        self.archive = b""
        self.artifacts = [{"id": 5, "name": "emu-report"}]
        self.seen_by_storage: list[str | None] = []
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeGitHub  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self):
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        page = slice(100 * (int(query.get("page", 1)) - 1), 100 * int(query.get("page", 1)))
        self.server.asked.append(self.path)
        if url.path == "/storage":
            self.server.seen_by_storage.append(self.headers["Authorization"])
            self._answer(200, self.server.archive)
        elif self.headers["Authorization"] != "Bearer secret":
            self._answer(401, b"{}")
        elif url.path == "/repos/o/r/pulls":
            self._json(self.server.pulls[page] if query["head"] == "stranger:topic" else [])
        elif url.path == "/repos/o/r/actions/runs/99/artifacts":
            self._json({"artifacts": [each for each in self.server.artifacts if each["name"] == query["name"]]})
        elif url.path == "/repos/o/r/actions/artifacts/5/zip":
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_port}/storage")
            self.end_headers()
        elif url.path == "/repos/o/r/issues/12/comments":
            self._json(self.server.comments[page])
        else:
            self._answer(404, b"{}")

    def do_POST(self):
        assert self.path == "/repos/o/r/issues/12/comments"
        comment = {"id": 100 + len(self.server.comments), "user": {"type": "Bot"}, **self._body()}
        self.server.comments.append(comment)
        self._json(comment)

    def do_PATCH(self):
        (comment,) = [c for c in self.server.comments if self.path == f"/repos/o/r/issues/comments/{c['id']}"]
        comment.update(self._body())
        self._json(comment)

    def _body(self) -> dict[str, Any]:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _json(self, document: Any) -> None:
        self._answer(200, json.dumps(document).encode())

    def _answer(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def comment(github: FakeGitHub, tmp_path: Path):
    """Run the script as the action does."""

    def comment(allowed: str = "", emu: Path = REPOSITORY, **changed: Any) -> "subprocess.CompletedProcess[str]":
        run = {
            "id": 99,
            "head_sha": SHA,
            "head_branch": "topic",
            "head_repository": {"id": 7, "owner": {"login": "stranger"}},
            "html_url": "https://github.com/o/r/actions/runs/99",
            "pull_requests": [],  # as it is for forks
        }
        (tmp_path / "event.json").write_text(json.dumps({"workflow_run": run | changed}))
        environment = {
            **os.environ,
            "PYTHONPATH": str(emu),
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
            "GITHUB_API_URL": github.url,
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_TOKEN": "secret",
            "ARTIFACT": "emu-report",
            "ALLOWED": allowed,
            "no_proxy": "*",
        }
        script = REPOSITORY / "ci/comment/comment.py"
        return subprocess.run(
            [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    return comment


def record(stack: int, model: str = "kws") -> bytes:
    memory = Memory(flash_bytes=90_000, static_ram_bytes=10_960, stack_peak_bytes=stack)
    firmware = Firmware(path="fw.elf", sha256="0" * 64, toolchain=None)
    run = Run(model=model, target="stm32h7-unicorn", firmware=firmware, memory=memory)
    return RunFile(schema=1, runs=[run]).model_dump_json(by_alias=True).encode()


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(f"{name}.json", data)
    return buffer.getvalue()


def test_one_comment_that_stays_one(github: FakeGitHub, comment):
    by_a_person = {"id": 1, "user": {"type": "User"}, "body": f"{MARKER} mine"}
    github.comments = [by_a_person, *({"id": n, "user": {"type": "Bot"}, "body": "other"} for n in range(2, 150))]
    github.archive = archive(run=record(488), baseline=record(480))
    assert comment().returncode == 0
    written = github.comments[-1]["body"]
    assert written.startswith(MARKER)
    (row,) = [line for line in written.splitlines() if line.startswith("| ✗ | `kws@stm32h7-unicorn` | stack")]
    assert [cell.strip() for cell in row.split("|")[4:7]] == ["480 B", "488 B", "+8 B (+1.7%)"]
    assert "https://github.com/o/r/actions/runs/99" in written

    github.archive = archive(run=record(470), baseline=record(480))
    assert comment(allowed="stack=5%").returncode == 0
    assert len(github.comments) == 150
    updated = github.comments[-1]["body"]
    assert "470 B" in updated
    assert "488 B" not in updated
    assert "| 5% |" in updated
    assert github.comments[0] == by_a_person
    assert github.seen_by_storage == [None, None], "the token stays with the API"


def test_without_a_baseline_the_figures_alone(github: FakeGitHub, comment):
    github.archive = archive(run=record(488))
    assert comment().returncode == 0
    assert "488 B" in github.comments[0]["body"]


def test_nobody_is_mentioned(github: FakeGitHub, comment):
    github.archive = archive(run=record(488, "@org/team @person [x](http://evil) <img src=http://evil>"))
    assert comment().returncode == 0
    body = github.comments[0]["body"]
    assert "@org" not in body
    assert "@person" not in body
    html = MarkdownIt("gfm-like", {"linkify": False}).render(body)
    assert "evil" in html
    assert re.findall(r"(?:href|src)=\"(.*?)\"", html) == ["https://github.com/o/r/actions/runs/99"]


@pytest.mark.parametrize("ends", ["sys.exit(70)", "sys.exit(1)", "os.abort()", "raise ImportError"])
def test_an_emu_that_fails_is_an_error_and_no_verdict(github: FakeGitHub, comment, tmp_path: Path, ends: str):
    (tmp_path / "fake" / "emu").mkdir(parents=True)
    (tmp_path / "fake" / "emu" / "__init__.py").touch()
    (tmp_path / "fake" / "emu" / "__main__.py").write_text(f"import os, sys\n{ends}\n")
    for github.archive in (archive(run=record(488)), archive(run=record(488), baseline=record(488))):
        outcome = comment(emu=tmp_path / "fake")
        assert outcome.returncode == 1
        assert outcome.stderr.startswith("error: emu ")
        assert github.comments == []


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (b"no archive", "no archive"),
        (archive(other=b""), "no run.json"),
        (archive(run=b"{}"), "not what emu writes"),
        (archive(run=record(1), baseline=b"[]"), "not what emu writes"),
        (archive(run=b"\0" * 60_000_000), "larger than"),  # 60 KB as an archive
        (bytes(20_000_001), "larger than"),
    ],
    ids=["no-zip", "empty", "no-record", "no-baseline", "bomb", "large"],
)
def test_an_artifact_that_may_not_be_used(github: FakeGitHub, comment, files: bytes, reason: str):
    github.archive = files
    outcome = comment()
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.startswith("no comment: ")
    assert reason in outcome.stdout
    assert github.comments == []


@pytest.mark.parametrize(
    "changed",
    [{"head_sha": "b" * 40}, {"head_branch": "main"}, {"head_repository": {"id": 8, "owner": {"login": "stranger"}}}],
)
def test_a_run_that_is_of_no_pull_request_now(github: FakeGitHub, comment, changed: dict[str, Any]):
    github.archive = archive(run=record(488))
    outcome = comment(**changed)
    assert outcome.stdout.startswith("no comment: no open pull request")
    assert not any("artifacts" in path for path in github.asked)
    assert github.comments == []


def test_a_pull_request_that_deleted_its_fork(github: FakeGitHub, comment):
    github.pulls[0]["head"]["repo"] = None
    assert comment().stdout.startswith("no comment: ")
    assert comment(head_repository=None).stdout.startswith("no comment: ")


def test_github_that_refuses_is_an_error(github: FakeGitHub, comment):
    github.archive = archive(run=record(488))
    outcome = comment(id=98)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("error: GitHub ")
    assert "Traceback" not in outcome.stderr
