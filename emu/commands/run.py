"""`emu run`: models and firmware run on targets."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emu.commands.parameters import (
    BoardFiles,
    Settings,
    TargetNames,
    Weights,
    board_files,
    chosen_targets,
    known_targets,
)
from emu.instruments import Limits, help_of, spelling
from emu.options import RunOptions

if TYPE_CHECKING:
    from emu.inputs import EvaluationInputs
    from emu.model.stated import Stated
    from emu.record import Run
    from emu.suppressions import Suppression
    from emu.targets import Target

    Reports = dict[Path, Callable[[list[Run]], str]]


def _switch(name: str) -> Any:
    """Return the switch of an option that is declared among those of a run."""
    return typer.Option(spelling(name), help=help_of(RunOptions, name))


def run(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL|FIRMWARE.elf",
            help="Demos, checkpoints, .mamba images, modules (my_model.py:build) or firmware (.elf).",
        ),
    ],
    target: TargetNames = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name", "-n", help="The run's name in reports, for each MODEL in its order. Default: the file's name."
        ),
    ] = None,
    board: BoardFiles = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            help="An .npz: x float32 [N, T, F]; optionally y [N], logits, logits64 [N, C], or [N, T, C] at each step."
        ),
    ] = None,
    settings: Settings = None,
    weights: Weights = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Run only the first inputs.")] = None,
    traffic: Annotated[bool, _switch("traffic")] = False,
    profile: Annotated[bool, _switch("profile")] = False,
    coverage: Annotated[bool, _switch("coverage")] = False,
    memcheck: Annotated[bool, _switch("memcheck")] = False,
    replace_allocator: Annotated[bool, _switch("replace_allocator")] = False,
    stack_peak: Annotated[bool, _switch("stack_peak")] = False,
    suppressions: Annotated[Path | None, typer.Option(help=help_of(RunOptions, "suppressions"))] = None,
    trace: Annotated[bool, typer.Option("--trace-layers", help=help_of(RunOptions, "trace_input"))] = False,
    trace_input: Annotated[int, typer.Option(min=0, help="Which input --trace-layers takes.")] = 0,
    tolerance: Annotated[float, typer.Option(min=0.0, help=help_of(RunOptions, "tolerance"))] = RunOptions.tolerance,
    max_instructions: Annotated[
        int, typer.Option(min=1, help="End any one input (and the boot) after so many instructions.")
    ] = Limits.instructions,
    max_seconds: Annotated[
        float, typer.Option(min=0.001, help="End any one input (and the boot) after so many seconds of work.")
    ] = Limits.seconds,
    json: Annotated[
        Path | None, typer.Option(help="Write the run records as JSON; - prints them, and the reports go to stderr.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write report.html, report.md, junit.xml and run.json into this directory."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print a line for each run, and no report.")] = False,
) -> None:
    """Run models or firmware, and report parity, stack and heap.

    Parity is with PyTorch. Instructions, flash and static RAM are measured, too.

    Always on: what made up the heap's peak and what leaks, wrong frees, a heap that meets the stack, and a timeline.

    The exit code is 0 if every verdict holds, and 1 if one fails. It is 2 for bad input, 3 if a tool is missing, 70 for
    an error in emu or a compiler, and 74 if an output cannot be written.
    """
    from rich.console import Console

    from emu.commands.progress_bar import progress_bar
    from emu.errors import OutputError
    from emu.project import find_project
    from emu.reports.terminal import print_run, print_summary
    from emu.run import execute, plan, read_request
    from emu.writing import STDOUT, make_directory, require_distinct, write_file, write_output

    console = Console(stderr=json == STDOUT)
    project = find_project(Path())
    if suppressions is None and memcheck:
        suppressions = project.suppressions
    if json not in (None, STDOUT) and (json.is_dir() or not json.absolute().parent.is_dir()):  # now, not after the run
        raise OutputError(f"{json}: cannot be written: no such directory, or a directory itself")
    options = RunOptions(
        traffic=traffic,
        profile=profile,
        coverage=coverage,
        memcheck=memcheck,
        replace_allocator=replace_allocator,
        stack_peak=stack_peak,
        suppressions=_suppressions(suppressions),
        trace_input=trace_input if trace else None,
        limits=Limits(max_instructions, max_seconds),
        tolerance=tolerance,
        budgets=tuple(project.limits.items()),
    )
    targets = chosen_targets(target, known_targets(board))
    given, stated = _inputs(inputs), _stated(settings)
    requests = [
        read_request(text, given, limit, called, stated, weights)
        for text, called in zip(models, _names(name, models), strict=True)
    ]
    record, reports = _files(report)
    sources = [path for request in requests for path in request.files]
    require_distinct([*sources, inputs, suppressions, *board_files(board, targets)], [json, record, *reports])
    jobs = plan(requests, targets, options)
    if report is not None:
        make_directory(report)

    kept: list[Run] = []

    def keep(runs: "list[Run]") -> None:
        kept[:] = runs
        for path in (json, record):
            if path not in (None, STDOUT):
                write_file(path, _records(runs))

    def show(run: "Run", target: "Target") -> None:
        if quiet:
            print_summary(console, run)
        else:
            print_run(console, run, target.board)

    failures: list[Exception] = []
    try:
        execute(jobs, progress_bar, show, keep)
    finally:  # the reports of what was made, whatever ended the runs: that is what the user is told
        if kept and json == STDOUT:
            write_output(STDOUT, _records(kept))
        if kept:
            failures += _write_reports(reports, kept)
    if failures:
        raise failures[0]
    if not all(run.ok for run in kept):
        raise typer.Exit(1)


def _names(names: list[str] | None, models: list[str]) -> Sequence[str | None]:
    if not names:
        return [None] * len(models)
    from emu.errors import InputError

    if len(names) != len(models):
        raise InputError(f"--name was given {len(names)} times for {len(models)} models: give one for each, in order")
    if len(set(names)) < len(names) or not all(name.strip() for name in names):
        raise InputError(f"--name {', '.join(names)}: needs a different name for each model")
    return names


def _inputs(path: Path | None) -> "EvaluationInputs | None":
    if path is None:
        return None
    from emu.inputs import load_inputs

    return load_inputs(path)


def _stated(settings: list[str] | None) -> "Stated | None":
    if not settings:
        return None
    from emu.model.stated import parse_settings

    return parse_settings(settings)


def _suppressions(path: Path | None) -> "tuple[Suppression, ...]":
    if path is None:
        return ()
    from emu.suppressions import load_suppressions

    return tuple(load_suppressions(path))


def _files(directory: Path | None) -> "tuple[Path | None, Reports]":
    """Return the record in the directory of --report, and each report there with what renders it."""
    if directory is None:
        return None, {}
    from emu.commands.page import render_page
    from emu.reports.junit import render_junit
    from emu.reports.markdown import render_markdown

    renderers = {"report.html": render_page, "report.md": render_markdown, "junit.xml": render_junit}
    return directory / "run.json", {directory / name: render for name, render in renderers.items()}


def _write_reports(reports: "Reports", runs: "list[Run]") -> list[Exception]:
    """Write each report that can be written, and return why the others cannot."""
    from emu.writing import write_file

    failures: list[Exception] = []
    for path, render in reports.items():
        try:
            write_file(path, render(runs).encode())
        except Exception as error:  # a fault in one report does not lose the next one
            failures.append(error)
    return failures


def _records(runs: "list[Run]") -> bytes:
    from emu.record import RunFile

    return RunFile(schema=1, runs=runs).model_dump_json(by_alias=True, indent=2).encode() + b"\n"
