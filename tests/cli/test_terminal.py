"""What a person at the terminal meets: interrupts, pipes and files instead of a screen."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMAND = [sys.executable, "-m", "emu", "run", "kws", "-t", "stm32h7-unicorn"]


def test_an_interrupt_ends_the_run_at_once_and_quietly():
    process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    maps = Path(f"/proc/{process.pid}/maps")
    while "unicorn_probe.so" not in maps.read_text():  # from then on it runs, for half a minute at least
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in stdout + stderr


def test_a_report_in_a_file_has_no_control_characters():
    outcome = subprocess.run([*COMMAND, "--limit", "1"], capture_output=True, text=True, check=True)
    assert "labels agree with PyTorch" in outcome.stdout
    assert "\x1b" not in outcome.stdout + outcome.stderr
    assert outcome.stderr == ""


def test_a_reader_that_goes_away_is_no_traceback():
    process = subprocess.Popen([*COMMAND, "--limit", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.wait(timeout=30)


def test_a_narrow_terminal_still_shows_every_figure():
    environment = {**os.environ, "COLUMNS": "50"}
    outcome = subprocess.run([*COMMAND, "--limit", "1"], capture_output=True, text=True, check=True, env=environment)
    assert max(map(len, outcome.stdout.splitlines())) <= 50
    for figure in ("1 of 1", "scan_and_gate", "4,096 B"):
        assert figure in outcome.stdout
