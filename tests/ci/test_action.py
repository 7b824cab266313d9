"""The action: each step's script, run as the runner does, and what it tells the runner."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from runner import REPOSITORY, Job, execute

from emu.targets import find_target

TARGET = "stm32h7-unicorn"
FIRMWARE = REPOSITORY / "tests/firmware"
PREPARE = """
prepare() { printf '%s\\n' "prepare $*" "tools ${tools[*]}" "xtensa $xtensa" "archives $archives"; }
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    return workspace


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The place of the action on the runner, with this Python's emu and nothing to install."""
    checkout = tmp_path / "action"
    (checkout / "ci").mkdir(parents=True)
    (checkout / "emu").symlink_to(REPOSITORY / "emu")
    (checkout / "ci/prepare").write_text(PREPARE)
    (checkout / ".venv/bin").mkdir(parents=True)
    install(checkout, f'exec "{sys.executable}" -m emu "$@"')
    return checkout


@pytest.fixture
def act(checkout: Path, workspace: Path) -> Callable[..., Job]:
    """Run the action with some inputs."""
    path = f"{REPOSITORY}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"

    def act(**given: str) -> Job:
        inputs = {name.replace("_", "-"): value for name, value in given.items()}
        return execute("ci/action.yml", inputs, workspace, checkout / "ci", {"PYTHONPATH": path})

    return act


@pytest.fixture
def only_installed(checkout: Path) -> None:
    """Let the action end at its step `Run`."""
    install(checkout, "exit 3")


def install(checkout: Path, script: str) -> None:
    program = checkout / ".venv/bin/emu"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def compile_faulty(workspace: Path) -> None:
    """Build the faulty firmware as a user does: from the repository, which is the workspace."""
    (workspace / "src").mkdir()
    for source in (REPOSITORY / "tests/ci/faulty.c", FIRMWARE / "startup.c", FIRMWARE / "test.ld"):
        (workspace / "src" / source.name).write_bytes(source.read_bytes())
    flags = [*find_target(TARGET).board.build.flags, "-g", "-O1", "-nostartfiles", "-Wl,--no-warn-rwx-segments"]
    sources = ["-Tsrc/test.ld", "src/startup.c", "src/faulty.c"]
    subprocess.run(["arm-none-eabi-gcc", *flags, *sources, "-o", "faulty.elf"], check=True, cwd=workspace)


def test_a_model_that_holds_and_then_grows(act, workspace: Path):
    job = act(run="kws", options="--limit 2", report="out", artifact="figures")
    assert not job.failed, job.log
    assert job.outputs == {"json": "out/run.json", "ok": "true"}
    (run,) = json.loads((workspace / "out/run.json").read_text())["runs"]
    assert (run["model"], run["target"], run["parity"]["inputs"]) == ("kws", TARGET, 2)
    assert job.summary == (workspace / "out/report.md").read_text()
    assert job.summary.startswith("## ✅ ")
    assert job.obeyed == []
    assert job.used["Artifact"] == {"name": "figures", "path": "out", "if-no-files-found": "ignore"}

    before = json.loads((workspace / "out/run.json").read_text())
    before["runs"][0]["memory"]["stack_peak_bytes"] -= 8
    (workspace / "before.json").write_text(json.dumps(before))
    job = act(run="kws", options="--limit\n2", baseline="before.json")
    assert (job.failed, job.outputs) == (True, {"json": "emu-report/run.json", "ok": "false"})
    assert (job.codes["Run"], job.codes["Compare with the baseline"], job.codes["Verdict"]) == (0, 0, 1)
    assert len(job.obeyed) == 1
    assert job.obeyed[0].startswith("::error title=emu diff::")
    report, _, comparison = job.summary.partition("\n## Against the baseline\n\n")
    assert report == (workspace / "emu-report/report.md").read_text()
    (grown,) = [line for line in comparison.splitlines() if line.startswith("| ✗ | `kws@stm32h7-unicorn` | stack")]
    assert "+8 B" in grown
    assert (workspace / "emu-report/baseline.json").read_text() == json.dumps(before)
    assert "Artifact" in job.used, "also where a verdict fails"

    job = act(
        run="kws", options="--limit 2", baseline="before.json", fail_on_increase="stack=2%,ram=8", summary="false"
    )
    assert job.outputs["ok"] == "true"
    assert (job.summary, job.obeyed, job.failed) == ("", [], False)


def test_faulty_firmware_is_annotated_at_its_lines(act, workspace: Path):
    compile_faulty(workspace)
    job = act(run="faulty.elf", memcheck="true")
    assert (job.failed, job.outputs["ok"]) == (True, "false")
    assert (job.codes["Run"], job.codes["Verdict"]) == (0, 1)
    lines = {
        match[2]: number
        for number, line in enumerate((workspace / "src/faulty.c").read_text().splitlines(), 1)
        if (match := re.search(r"(; /\* (.*) \*/)$", line))
    }
    annotated = {}
    for command in job.obeyed:  # and nothing that the firmware printed
        match = re.fullmatch(
            r"::error file=src/faulty\.c,line=(\d+),title=(.*?)%3A faulty on stm32h7-unicorn::.*", command
        )
        assert match, command
        annotated[match[2]] = int(match[1])
    assert annotated == {name: lines[name] for name in ("unmapped write", "uninitialised branch")}
    assert "::error::planted" in job.log
    assert job.summary.startswith("## ❌ ")
    assert "Artifact" in job.used


def test_the_log_obeys_nothing_while_firmware_runs(act, checkout: Path):
    """Also if the program printed whole lines as they are, which emu's report does not."""
    prints = "echo ::error::from stdout; echo '  ::warning::from stderr' >&2"
    install(checkout, f"{prints}; mkdir -p emu-report; echo {{}} >emu-report/run.json; exit 1")
    job = act(run="a.elf", summary="false")
    assert "::error::from" in job.log
    assert "::warning::from" in job.log
    assert job.obeyed == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"run": "nothing%.elf"}, "emu run::nothing%25.elf"),
        ({"run": "kws", "targets": "toaster"}, 'emu run::there is no target "toaster"'),
        ({"run": "$(touch injected) `touch injected` ;touch injected"}, "emu run::"),
    ],
)
def test_a_mistake_is_an_annotation(act, workspace: Path, given: dict[str, str], message: str):
    job = act(**given)
    assert job.codes["Run"] == 2
    assert "Verdict" not in job.codes
    assert job.outputs["ok"] == "false"
    (command,) = job.obeyed
    assert command.startswith(f"::error title={message}")
    assert not (workspace / "injected").exists()


@pytest.mark.parametrize("ends", ["exit 1", "exit 0", "exit 70", "kill -SEGV $$"])
def test_an_emu_that_fails_without_a_record_is_no_verdict(act, checkout: Path, workspace: Path, ends: str):
    (workspace / "emu-report").mkdir()
    (workspace / "emu-report" / "run.json").write_text("of an earlier job")
    install(checkout, f"echo why >&2; {ends}")
    job = act(run="kws")
    assert job.codes["Run"] not in (0, 1)
    assert job.outputs["ok"] == "false"
    assert job.obeyed == ["::error title=emu run::why"]


@pytest.mark.parametrize("ends", ["exit 1", "exit 0", "exit 74"])
def test_a_comparison_that_fails_is_not_one_that_grew(act, checkout: Path, workspace: Path, ends: str):
    (workspace / "base.json").write_text("{}")
    record = "mkdir -p emu-report; echo {} >emu-report/run.json; touch emu-report/report.md"
    install(checkout, f'case $1 in run) {record} ;; diff) echo why >&2; {ends} ;; *) touch "$4" ;; esac')
    job = act(run="kws", baseline="base.json")
    assert job.codes["Compare with the baseline"] not in (0, 1)
    assert job.obeyed == ["::error title=emu diff::why"]


def test_a_wrong_option_is_an_annotation_that_can_be_read(act):
    (command,) = act(run="kws", options="--bogus").obeyed
    assert command == "::error title=emu run::no such option: --bogus (`emu run --help` shows what to type)"


def test_a_baseline_that_is_missing_is_an_annotation(act):
    job = act(run="kws", options="--limit 1", baseline="missing.json")
    assert (job.codes["Compare with the baseline"], job.outputs["ok"]) == (2, "false")
    assert job.obeyed == ["::error title=emu diff::missing.json: No such file or directory"]
    assert "kws on stm32h7-unicorn" in job.summary


@pytest.mark.parametrize(
    ("targets", "tools", "xtensa"),
    [
        ("stm32h7-unicorn", "", "no"),
        ("stm32h7-unicorn stm32h7-qemu", "qemu-system-arm", "no"),
        ("esp32s3-qemu", "", "yes"),
        ("stm32h7-qemu\nesp32s3-qemu\n", "qemu-system-arm", "yes"),
    ],
)
@pytest.mark.usefixtures("only_installed")
def test_only_what_the_targets_need_is_installed(act, targets: str, tools: str, xtensa: str):
    job = act(run="missing.elf", targets=targets, python_version="")
    needs = job.step_outputs["needs"]
    assert "prepare --editable ." in job.log.splitlines()
    assert f"xtensa {xtensa}" in job.log.splitlines()
    assert f"tools {tools}" in job.log.splitlines()
    assert f"archives {needs['packages']}" in job.log.splitlines()
    assert ("Xtensa compiler from the cache" in job.used) == (xtensa == "yes")
    assert ("Xtensa compiler to the cache" in job.used) == (xtensa == "yes")
    assert job.used["Debian packages from the cache"] == {"path": needs["packages"], "key": needs["packages-key"]}
    assert "Python" not in job.used


def test_a_board_of_the_repository_s_own(act, workspace: Path):
    shutil.copytree(REPOSITORY / "docs/examples/stm32f746", workspace / "boards")
    job = act(run="har", targets="stm32f746-unicorn", boards="boards/stm32f746.toml", options="--limit 1")
    assert job.outputs["ok"] == "true", job.log
    (run,) = json.loads((workspace / job.outputs["json"]).read_text())["runs"]
    assert run["target"] == "stm32f746-unicorn"


@pytest.mark.usefixtures("only_installed")
def test_the_compiler_of_a_board_of_the_repository_s_own_is_installed(act, workspace: Path):
    boards = {"arm.toml": "arm-none-eabi", "lx7.toml": "xtensa"}
    for name, toolchain in boards.items():
        (workspace / name).write_text(f'[build]\ntoolchain = "{toolchain}"\n')
    (workspace / "inline.toml").write_text('build = { flags = [], toolchain="xtensa" }\n')
    for names, xtensa in (("arm.toml", "no"), ("arm.toml lx7.toml", "yes"), ("inline.toml", "yes")):
        job = act(run="missing.elf", targets="own-qemu", boards=names)
        assert f"xtensa {xtensa}" in job.log.splitlines()


@pytest.mark.usefixtures("only_installed")
def test_torch_is_installed_for_what_needs_it(act):
    for given in ({"run": "model.pt"}, {"run": "kws", "options": "--trace-layers --limit 1"}):
        assert "prepare --editable .[torch]" in act(**given).log.splitlines()


@pytest.mark.usefixtures("only_installed")
def test_the_cache_of_the_compiler_is_the_recipe_s(act, checkout: Path):
    first = act(run="missing.elf", targets="esp32s3-qemu").step_outputs["needs"]
    link = checkout / "emu"
    link.unlink()
    recipe = link / "toolchains/xtensa"
    recipe.mkdir(parents=True)
    for file in (REPOSITORY / "emu/toolchains/xtensa").iterdir():
        if file.is_file():
            (recipe / file.name).write_bytes(file.read_bytes())
    (recipe / "5-configure").write_text("another")
    second = act(run="missing.elf", targets="esp32s3-qemu").step_outputs["needs"]
    assert first["toolchains-key"] != second["toolchains-key"]
    assert first["packages-key"] == second["packages-key"]


def test_what_apt_downloads_is_kept_where_a_cache_can_read_it(tmp_path: Path):
    """With an apt-get that makes what the real one makes: a lock, and a directory that only it may read."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/apt-get").write_text(
        '#!/bin/sh\necho "$*" >>"$ASKED"\n'
        "for each; do case $each in Dir::Cache::archives=*) archives=${each#*=}; esac; done\n"
        'if [ -n "$archives" ]; then touch "$archives/lock" "$archives/partial/x" "$archives/a_1.deb"; fi\n'
    )
    (tmp_path / "bin/sudo").write_text('#!/bin/sh\nshift\n[ "$1" = chown ] || exec "$@"\n')
    for program in (tmp_path / "bin").iterdir():
        program.chmod(0o755)
    script = f'. "{REPOSITORY}/ci/prepare"; archives=$1; install_packages one two'
    environment = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "ASKED": f"{tmp_path}/asked"}
    archives = tmp_path / "kept"
    subprocess.run(["bash", "-c", script, "bash", str(archives)], check=True, env=environment, capture_output=True)
    assert [path.name for path in archives.iterdir()] == ["a_1.deb"]
    assert "one two" in (tmp_path / "asked").read_text()
    subprocess.run(["bash", "-c", script, "bash", ""], check=True, env=environment, capture_output=True)
    assert "archives" not in (tmp_path / "asked").read_text().splitlines()[-1]
