"""No process of a test outlives pytest."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from children import MARK

LOOPS = """
import pathlib, subprocess, sys
def test_that_never_ends():
    command = [sys.executable, "-c", "while True: pass"]
    child = subprocess.Popen(command, start_new_session=True)
    pathlib.Path("child").write_text(str(child.pid))
    child.wait()
"""


def waited_for(path: Path) -> str:
    """Return the text of ``path`` as soon as it has any."""
    deadline = time.monotonic() + 60
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline, f"{path} is not written"
        time.sleep(0.05)
    return path.read_text()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the guard finds processes in /proc")
@pytest.mark.parametrize("options", [(), ("-n", "1")])
def test_a_process_ends_with_a_pytest_that_is_killed(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "test_loops.py").write_text(LOOPS)
    (tmp_path / "pytest.ini").touch()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "children", *options, "test_loops.py"]
    variables = {name: value for name, value in os.environ.items() if name != MARK and not name.startswith("PYTEST_")}
    variables["PYTHONPATH"] = str(Path(__file__).parent)
    with subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=subprocess.DEVNULL) as tests:
        child = int(waited_for(tmp_path / "child"))
        tests.kill()
    deadline = time.monotonic() + 20
    try:
        while is_alive(child):
            assert time.monotonic() < deadline, "the child outlives its pytest"
            time.sleep(0.05)
    finally:
        if is_alive(child):
            os.kill(child, signal.SIGKILL)


def is_alive(process: int) -> bool:
    """Return whether a process runs; one that has ended but that nobody has waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
