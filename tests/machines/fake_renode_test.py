"""What renode-test does, as documented, in front of fake_renode.py: starts it, and runs suites against its server."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_KEYWORDS = """\
*** Keywords ***
Setup
    Import Library    Remote    http://127.0.0.1:{port}/

Teardown
    No Operation

Test Teardown
    No Operation
"""


def main(suite: str, results_option: str, results: str, *options: str) -> int:
    assert results_option == "-r"
    with tempfile.TemporaryDirectory() as text:
        directory = Path(text)
        (directory / "config").touch()
        fake = [sys.executable, str(Path(__file__).with_name("fake_renode.py")), "--plain", "--disable-gui"]
        fake += [
            "--config",
            str(directory / "config"),
            "--pid-file",
            str(directory / "pid"),
            "--robot-server-port",
            "0",
        ]
        process = subprocess.Popen(fake, env=os.environ | {"TMPDIR": text})
        try:
            port = directory / f"renode-{process.pid}" / "robot_port"
            while not (port.exists() and port.read_text()):
                time.sleep(0.05)
            keywords = directory / "keywords.robot"
            keywords.write_text(_KEYWORDS.format(port=port.read_text()))
            robot = [sys.executable, "-m", "robot", "--variable", f"RENODEKEYWORDS:{keywords}", *options]
            robot += ["--outputdir", results, "--output", "robot_output.xml", suite]
            return subprocess.run(robot, check=False).returncode
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
