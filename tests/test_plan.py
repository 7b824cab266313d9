"""Requests for runs: each is read once, refused before the first run, and run once."""

import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from emu.build import build_firmware
from emu.errors import EmuError, InputError, MissingToolError
from emu.instruments import Limits
from emu.model.sources import find_model
from emu.probes import instructions
from emu.record import Run
from emu.run import Job, RunOptions, execute, plan, read_request
from emu.run.driving import Progress
from emu.run.model_request import ModelRequest
from emu.targets import Target, find_target

TARGET = find_target("stm32h7-unicorn")


class Audience:
    """Records the progress of a plan that is executed, as a command sees it."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.shown: list[Run] = []
        self.kept: list[Run] = []

    @contextmanager
    def progress(self, name: str) -> Iterator[Progress]:
        self.started.append(name)
        yield lambda _done, _total: None

    def show(self, run: Run, _target: Target) -> None:
        self.shown.append(run)

    def keep(self, runs: list[Run]) -> None:
        self.kept = list(runs)


def test_what_is_asked_for_twice_is_made_once_and_shown_twice() -> None:
    audience = Audience()
    requests = [read_request(name, limit=1) for name in ("har", "har")]
    other = read_request("har", limit=2)
    jobs = plan([*requests, other], [TARGET, TARGET], RunOptions())
    runs = execute(jobs, audience.progress, audience.show, audience.keep)
    assert audience.started == ["har", "har"]
    assert [run.instructions.inferences for run in runs] == [1, 1, 1, 1, 2, 2]
    assert runs == audience.shown == audience.kept


def test_the_same_firmware_in_two_files_is_two_runs(tmp_path: Path) -> None:
    built = build_firmware(find_model("har").image, TARGET.board)
    paths = [tmp_path / directory / "firmware.elf" for directory in ("debug", "release")]
    for path in paths:
        path.parent.mkdir()
        shutil.copy(built, path)
    audience = Audience()
    execute(
        plan([read_request(path) for path in paths], [TARGET], RunOptions()),
        audience.progress,
        audience.show,
        audience.keep,
    )
    assert [run.firmware.path for run in audience.shown] == [str(path) for path in paths]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["dbg/fw.elf", "rel/fw.elf"], ["dbg/fw", "rel/fw"]),
        (["a/x/fw.elf", "b/x/fw.elf", "c/fw.elf"], ["a/x/fw", "b/x/fw", "c/fw"]),
        (["fw", "fw.elf"], ["fw", "fw.elf"]),
        (["dbg/fw.elf", "dbg/fw.elf", "other.elf"], ["fw", "fw", "other"]),
    ],
)
def test_files_of_one_name_are_told_apart_by_their_paths(tmp_path: Path, files: list[str], names: list[str]) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"\x7fELF")
    jobs = plan([read_request(tmp_path / file) for file in files], [TARGET], RunOptions())
    assert [job.request.name for job in jobs] == names


def test_models_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    model = find_model("har")
    requests: list[ModelRequest] = []
    for name in ("old", "new"):
        path = shutil.copytree(model.path.parent, tmp_path / name / "har") / model.path.name
        requests.append(cast(ModelRequest, read_request(path.parent, model.inputs, limit=1)))
    assert [job.request.name for job in plan(requests, [TARGET], RunOptions())] == ["old/har/model", "new/har/model"]


@pytest.mark.parametrize(("options", "runs"), [(RunOptions(), 1), (RunOptions(trace_input=0), 2)])
def test_two_checkpoints_of_one_image_are_two_runs_only_if_they_are_compared_with_pytorch(
    monkeypatch: pytest.MonkeyPatch, options: RunOptions, runs: int
) -> None:
    requests = [read_request("har", limit=1) for _ in range(2)]
    model = cast(ModelRequest, requests[1]).model
    checkpoint = model.checkpoint
    assert model.image.exists(), "the image is made of the trained weights"
    assert checkpoint is not None
    other = {name: 2 * tensor for name, tensor in checkpoint.weights.items()}
    monkeypatch.setitem(vars(model), "checkpoint", replace(checkpoint, weights=other))
    assert len({Job(request, TARGET, options).content() for request in requests}) == runs


def test_what_was_run_before_an_interrupt_is_kept() -> None:
    class Interrupted(Audience):
        def show(self, run: Run, target: Target) -> None:
            super().show(run, target)
            if len(self.shown) == 2:
                raise KeyboardInterrupt

    audience = Interrupted()
    jobs = plan([read_request("har", limit=count) for count in (1, 2, 3)], [TARGET], RunOptions())
    with pytest.raises(KeyboardInterrupt):
        execute(jobs, audience.progress, audience.show, audience.keep)
    assert audience.started == ["har", "har"]
    assert audience.kept == audience.shown


@pytest.mark.parametrize(
    ("wrong", "lost"),
    [
        ("function", {"by_function", "instructions", "per_inference"}),
        ("line", {"profile"}),
        ("call path", {"profile"}),
    ],
)
def test_counts_that_contradict_each_other_cost_only_themselves(
    wrong: str, lost: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    audience = Audience()
    options = RunOptions(profile=True, coverage=True)
    jobs = plan([read_request("har", limit=count) for count in (1, 2)], [TARGET], options)
    made = []

    def check_sum(total: int, what: str, parts: Iterable[int]) -> None:
        made.append(what)
        is_first = made.count(what) == 1
        instructions.check_sum(total + 1 if what == wrong and is_first else total, what, parts)

    monkeypatch.setattr("emu.machines.counts.check_sum", check_sum)
    with pytest.raises(EmuError, match=f"counts: .* instructions ran, but those by {wrong}") as error:
        execute(jobs, audience.progress, audience.show, audience.keep)
    assert error.value.exit_code == 70
    first, second = audience.kept
    assert audience.kept == audience.shown
    assert {name for name, why in first.not_measured.items() if "add up to" in why} == lost
    assert first.instructions.total is None if "instructions" in lost else first.instructions.total
    assert first.instructions.per_inference is None if "per_inference" in lost else first.instructions.per_inference
    assert (first.profile is None) == ("profile" in lost)
    assert first.coverage is not None
    assert first.parity is not None
    assert [verdict.name for verdict in first.verdicts if not verdict.ok] == ["every part was made"]
    assert second.ok
    assert not second.failures


def test_nothing_is_started_if_a_later_run_cannot_be_made(tmp_path: Path) -> None:
    audience = Audience()
    (tmp_path / "later.elf").write_bytes(b"\x7fELF")
    requests = [read_request("har", limit=1), read_request(tmp_path / "later.elf")]
    with pytest.raises(InputError, match=r"later\.elf"):
        execute(plan(requests, [TARGET], RunOptions()), audience.progress, audience.show, audience.keep)
    assert not audience.started


def test_each_tool_is_asked_for_once_however_many_runs_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    module = sys.modules[plan.__module__]  # the package has the function under the module's name
    monkeypatch.setattr(module, "emulator_version", lambda target: asked.append(target.name))
    monkeypatch.setattr(module, "find_toolchain", asked.append)
    audience = Audience()
    jobs = plan([read_request("har", limit=1), read_request("har", limit=1)], [TARGET], RunOptions())
    execute(jobs, audience.progress, audience.show, audience.keep)
    assert asked == ["stm32h7-unicorn", "arm-none-eabi"]


def test_layers_are_compared_inside_the_run_and_judged_with_the_rest() -> None:
    (job,) = plan([read_request("har", limit=1)], [TARGET], RunOptions(trace_input=0))
    run = job.run(lambda _done, _total: None)
    assert run.layers
    assert [verdict.name for verdict in run.verdicts].count("layers agree with PyTorch") == 1


def test_firmware_that_cannot_start_tells_why_its_layers_are_not_compared() -> None:
    options = RunOptions(trace_input=0, limits=Limits(instructions=1000))
    (job,) = plan([read_request("har", limit=1)], [TARGET], options)
    run = job.run(lambda _done, _total: None)
    assert run.layers is None
    assert "before its first step: the run has not ended after 1000 instructions" in run.not_measured["layers"]


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (InputError("no such tensor"), InputError, "no such tensor"),
        (MissingToolError("no torch"), MissingToolError, "no torch"),
        (KeyError("logits"), EmuError, "an error in emu: KeyError: 'logits'"),
    ],
)
def test_layers_that_cannot_be_compared_cost_no_run(
    error: Exception, kind: type[EmuError], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("emu.run.layers.trace_layers", fail)
    audience = Audience()
    jobs = plan([read_request("har", limit=count) for count in (1, 2)], [TARGET], RunOptions(trace_input=0))
    with pytest.raises(kind) as raised:
        execute(jobs, audience.progress, audience.show, audience.keep)
    assert type(raised.value) is kind
    assert str(raised.value) == f"layers: {told}"
    assert [run.not_measured["layers"] for run in audience.kept] == [told, told]
    assert [run.instructions.inferences for run in audience.shown] == [1, 2]
    assert all(run.parity is not None for run in audience.kept)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("image.mamba", RunOptions(trace_input=0), "an image has no PyTorch side"),
        ("har", RunOptions(trace_input=1), "--trace-input 1: there are 1 inputs"),
        ("program.elf", RunOptions(trace_input=0), "give the model instead of an ELF"),
        ("har", RunOptions(replace_allocator=True), "--replace-allocator needs --memcheck"),
    ],
)
def test_what_the_options_cannot_ask_of_a_request_is_refused(
    tmp_path: Path, text: str, options: RunOptions, message: str
) -> None:
    har = find_model("har")
    (tmp_path / "image.mamba").write_bytes(har.image.read_bytes())
    request = read_request(tmp_path / text if "." in text else text, har.inputs, 1)
    with pytest.raises(InputError, match=message):
        plan([request], [TARGET], options)


def test_a_request_has_the_name_that_it_is_given_or_that_of_its_file(tmp_path: Path) -> None:
    assert read_request("har").name == "har"
    assert read_request("har", name="gestures").name == "gestures"
    assert read_request(tmp_path / "filter.elf").name == "filter"
    assert read_request(tmp_path / "filter.elf", name="first").name == "first"


def test_a_model_without_inputs_says_how_both_faces_take_them(tmp_path: Path) -> None:
    (tmp_path / "image.mamba").write_bytes(find_model("har").image.read_bytes())
    with pytest.raises(InputError, match=r"image\.mamba needs inputs.*--inputs x\.npz.*emu_run\("):
        read_request(tmp_path / "image.mamba")
