"""No command overwrites a file that it reads, and no finished run is lost with terminal, disk or process."""

import errno
import os
import resource as limits
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from records import read_runs

from emu.errors import OutputError
from emu.resources import resource
from emu.writing import write_file

EMU = [sys.executable, "-m", "emu"]
ON_UNICORN = ("-t", "stm32h7-unicorn", "--limit", "1")
MODEL = resource("models") / "har" / "model.safetensors"


@pytest.fixture(scope="module")
def record(emu, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("record") / "run.json"
    assert emu("run", "har", *ON_UNICORN, "--json", path).code == 0
    return path


@pytest.fixture
def here(tmp_path: Path, record: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with a file of each kind, and its links; a command that refuses leaves all files unchanged."""
    shutil.copy(MODEL, tmp_path / "model.safetensors")
    shutil.copy(MODEL.with_name("inputs.npz"), tmp_path / "inputs.npz")
    shutil.copy(record, tmp_path / "run.json")
    board = (resource("targets") / "stm32h7.toml").read_text()
    script = resource("linker") / "stm32h743.ld"
    (tmp_path / "board.toml").write_text(board.replace("../linker/stm32h743.ld", str(script)))
    (tmp_path / "symlink").symlink_to("model.safetensors")
    (tmp_path / "hardlink").hardlink_to(tmp_path / "run.json")
    (tmp_path / "folder").symlink_to(".")
    monkeypatch.chdir(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    yield tmp_path
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    "command",
    [
        "export model.safetensors -o model.safetensors",
        "export model.safetensors -o symlink",
        "export symlink -o folder/model.safetensors",
        "export model.safetensors -o new.mamba --header ./model.safetensors",
        "build model.safetensors -t stm32h7-unicorn -o model.safetensors",
        "run model.safetensors -t stm32h7-unicorn --inputs inputs.npz --json inputs.npz",
        "run model.safetensors -t stm32h7-unicorn --inputs inputs.npz --json symlink",
        "report run.json --html run.json",
        "report run.json --junit new.xml --markdown hardlink",
    ],
)
@pytest.mark.usefixtures("here")
def test_what_is_read_is_not_overwritten(emu, command: str):
    emu(*command.split()).assert_one_clear_line("would overwrite", "is read")


def test_a_board_file_is_read(emu, here: Path, tmp_path_factory):
    board = tmp_path_factory.mktemp("own") / "robot.xml"
    own = (here / "board.toml").read_bytes().replace(b'name = "stm32h7"', b'name = "own"')
    board.write_bytes(own)
    for arguments in (
        ("build", "har", "-o", board, "-t", "own-unicorn"),
        ("run", "har", "--json", board, "-t", "own-unicorn"),
        ("robot", "-o", board.parent, "-t", "own-renode"),
    ):
        emu(*arguments, "--board", board).assert_one_clear_line("would overwrite", "is read")
    assert board.read_bytes() == own


def test_an_elf_is_read(emu, tmp_path: Path):
    elf = tmp_path / "firmware.elf"
    assert emu("build", "har", "-t", "stm32h7-unicorn", "-o", elf).code == 0
    before = elf.read_bytes()
    emu("run", elf, *ON_UNICORN[:2], "--json", elf).assert_one_clear_line("would overwrite", "is read")
    assert elf.read_bytes() == before


@pytest.mark.parametrize(
    "command",
    [
        "export model.safetensors -o new.h --header new.h",
        "export model.safetensors -o new.h --header folder/new.h",
        "run har -t stm32h7-unicorn --report . --json run.json",
        "run har -t stm32h7-unicorn --report . --json folder/report.html",
        "report run.json --html new.html --markdown folder/folder/new.html",
    ],
)
@pytest.mark.usefixtures("here")
def test_outputs_are_not_overwritten_by_outputs(emu, command: str):
    emu(*command.split()).assert_one_clear_line("would overwrite", "another output")


def test_outputs_that_nobody_keeps_may_be_the_same(emu, record: Path):
    assert emu("report", record, "--html", "/dev/null", "--markdown", "/dev/null").code == 0


# ---- what takes no output --------------------------------------------------------------------------------------------


def run_har(record: Path, stdout: int, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    command = [*EMU, "run", "har", *ON_UNICORN, "--json", str(record)]
    where = {**os.environ, **environment}
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, check=False, env=where)


def test_a_reader_that_has_gone_loses_no_record(tmp_path: Path):
    reader, writer = os.pipe()
    os.close(reader)
    assert run_har(tmp_path / "r.json", writer).returncode == 74
    os.close(writer)
    assert len(read_runs(tmp_path / "r.json")) == 1


def test_a_full_disk_behind_the_output_loses_no_record(tmp_path: Path):
    with Path("/dev/full").open("wb") as full:
        assert run_har(tmp_path / "r.json", full.fileno()).returncode == 74
    assert len(read_runs(tmp_path / "r.json")) == 1


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_stream_that_is_closed_loses_nothing_and_no_file_takes_its_place(tmp_path: Path, closed: tuple[int, ...]):
    streams = " ".join(f"{number}>&-" for number in closed)
    command = ["run", "har", *ON_UNICORN, "-t", "stm32h7-qemu", "--json", str(tmp_path / "r.json")]
    script = f'"$@" {streams}'
    outcome = subprocess.run(["sh", "-c", script, "sh", *EMU, *command], capture_output=True, check=False, text=True)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert ("✓" in outcome.stdout) == (1 not in closed)
    assert len(read_runs(tmp_path / "r.json")) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_a_failure_that_nobody_can_read_has_its_exit_code():
    outcome = subprocess.run(["sh", "-c", '"$@" >&- 2>&-', "sh", *EMU, "run", "nothing.elf"], check=False)
    assert outcome.returncode == 2


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252"])
def test_a_terminal_without_the_marks_shows_others(tmp_path: Path, encoding: str):
    outcome = run_har(tmp_path / "r.json", subprocess.PIPE, PYTHONIOENCODING=encoding)
    assert (outcome.returncode, outcome.stderr) == (0, b"")
    shown = outcome.stdout.decode(encoding)
    assert "v  labels agree with PyTorch" in shown
    assert "###" in shown
    assert "?" not in shown
    assert len(read_runs(tmp_path / "r.json")) == 1


@pytest.mark.parametrize("command", ["doctor", "--help", "targets"])
def test_every_command_prints_in_ascii(command: str):
    where = {**os.environ, "PYTHONIOENCODING": "ascii"}
    outcome = subprocess.run([*EMU, command], capture_output=True, check=False, env=where)
    assert (outcome.returncode, outcome.stderr) == (0, b"")


# ---- what ends the process -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_a_signal_loses_no_run_that_was_made(tmp_path: Path, number: signal.Signals, code: int):
    record = tmp_path / "r.json"
    command = [*EMU, "run", "har", *ON_UNICORN, "-t", "stm32h7-qemu", "--json", str(record)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    while line := process.stdout.readline():
        if "╰".encode() in line:  # the first report ends; the second run begins
            break
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == code
    assert b"Traceback" not in stderr
    assert [run.target for run in read_runs(record)] == ["stm32h7-unicorn"]
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


FAIL_ON_QEMU = """
import sys
import emu.cli
import emu.run
plan = sys.modules["emu.run.plan"]
make = plan.run_model
def fail_on_qemu(model, target, *others):
    if target.emulator_name == "qemu":
        raise OSError("the emulator is gone")
    return make(model, target, *others)
plan.run_model = fail_on_qemu
emu.cli.main()
"""


def test_a_second_run_that_fails_loses_no_first(tmp_path: Path):
    record = tmp_path / "r.json"
    arguments = ["run", "har", *ON_UNICORN, "-t", "stm32h7-qemu", "--json", str(record)]
    command = [sys.executable, "-c", FAIL_ON_QEMU, *arguments]
    outcome = subprocess.run(command, capture_output=True, check=False, text=True)
    assert outcome.returncode == 70
    assert "the emulator is gone" in outcome.stderr
    assert [run.target for run in read_runs(record)] == ["stm32h7-unicorn"]


@pytest.mark.parametrize(
    ("start", "targets", "code", "told"),
    [
        (["-m", "emu"], (), 74, "report.html: cannot be written"),
        (["-c", FAIL_ON_QEMU], ("-t", "stm32h7-qemu"), 70, "the emulator is gone"),
    ],
)
def test_a_report_that_fails_loses_no_other_and_no_earlier_error(
    tmp_path: Path, start: list[str], targets: tuple[str, ...], code: int, told: str
):
    (tmp_path / "report.html").mkdir()
    command = [sys.executable, *start, "run", "har", *ON_UNICORN, *targets, "--report", str(tmp_path)]
    outcome = subprocess.run(command, capture_output=True, check=False, text=True)
    assert (outcome.returncode, told in outcome.stderr) == (code, True), outcome.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "report.md", "junit.xml", "run.json"}


INTERRUPTED_LATER = """
import os, signal, sys, time
import emu.cli
import emu.run.layers as layers
import emu.run.running as running
number = int(sys.argv.pop(1))
def interrupted(*_):
    os.kill(os.getpid(), number)
    time.sleep(60)
layers.trace_layers = running.begin_second_run = interrupted
running.needs_second_run = lambda target: True
emu.cli.main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize(
    ("option", "part", "missing"),
    [("--trace-layers", "layers", "layers"), ("--stack-peak", "second run", "stack_peak_bytes")],
)
def test_an_interrupt_in_a_further_part_loses_only_that_part(
    tmp_path: Path, number: signal.Signals, code: int, option: str, part: str, missing: str
):
    arguments = ["run", "har", *ON_UNICORN, option, "--report", str(tmp_path)]
    command = [sys.executable, "-c", INTERRUPTED_LATER, str(number.value), *arguments]
    outcome = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)
    assert (outcome.returncode, "Traceback" in outcome.stderr) == (code, False), outcome.stderr
    (run,) = read_runs(tmp_path / "run.json")
    assert [(each.part, each.detail, each.exit_code) for each in run.failures] == [(part, "interrupted", code)]
    assert "interrupted" in run.not_measured[missing]
    assert (run.parity is not None, run.reading is not None, run.instructions.total is not None) == (True, True, True)
    assert [verdict.name for verdict in run.verdicts if not verdict.ok] == ["every part was made"]
    assert f"{part}: interrupted" in outcome.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "report.md", "junit.xml", "run.json"}


def test_a_hangup_that_nohup_ignores_ends_nothing():
    script = """
import os, signal, sys
import emu.cli
import emu.targets
load = emu.targets.load_targets
emu.targets.load_targets = lambda files: os.kill(os.getpid(), signal.SIGHUP) or load(files)
emu.cli.main()
"""
    for ignored, code in ((True, 0), (False, 129)):
        outcome = subprocess.run(
            [sys.executable, "-c", script, "targets"],
            preexec_fn=lambda to=signal.SIG_IGN if ignored else signal.SIG_DFL: signal.signal(signal.SIGHUP, to),
            capture_output=True,
            check=False,
            text=True,
        )
        assert (outcome.returncode, outcome.stderr) == (code, "")
        assert ("stm32h7-unicorn" in outcome.stdout) == ignored


# ---- what is in a file's place ---------------------------------------------------------------------------------------


def no_file_above_a_kilobyte() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits.setrlimit(limits.RLIMIT_FSIZE, (1024, 1024))


def test_a_file_that_does_not_fit_leaves_the_one_that_is_there(tmp_path: Path, record: Path):
    page = tmp_path / "page.html"
    page.write_text("of yesterday")
    outcome = subprocess.run(
        [*EMU, "report", str(record), "--html", str(page)],
        preexec_fn=no_file_above_a_kilobyte,
        capture_output=True,
        check=False,
    )
    assert outcome.returncode == 74
    assert page.read_text() == "of yesterday"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_file_keeps_its_links_and_its_mode(tmp_path: Path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_file(link, b"new")
    assert link.is_symlink()
    assert (real.read_text(), real.stat().st_mode & 0o777) == ("new", 0o640)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_keeps_its_owner(tmp_path: Path):
    path = tmp_path / "of a user"
    path.write_text("old")
    path.chmod(0o640)
    os.chown(path, 1000, 1001)
    write_file(path, b"new")
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777, path.read_text()) == (1000, 1001, 0o640, "new")


@pytest.mark.parametrize("refused", [(os, "fchown"), (Path, "replace")])
def test_a_file_that_cannot_be_replaced_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: tuple[object, str]
):
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    path = tmp_path / "in a sticky directory"
    path.write_text("old, and longer than the new")
    before = path.stat().st_ino
    monkeypatch.setattr(*refused, refuse)
    write_file(path, b"new")
    assert (path.read_text(), path.stat().st_ino, len(list(tmp_path.iterdir()))) == ("new", before, 1)


def test_a_file_cannot_take_the_place_of_a_directory(tmp_path: Path):
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        write_file(tmp_path, b"")


def test_what_somebody_holds_open_is_written_to(tmp_path: Path, record: Path):
    with (tmp_path / "held").open("wb") as held:
        command = [*EMU, "report", str(record), "--markdown", "/dev/stdout"]
        assert subprocess.run(command, stdout=held, check=False).returncode == 0
    assert (tmp_path / "held").read_text().startswith("## ")
