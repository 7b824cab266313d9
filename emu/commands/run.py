"""`emu run`: models and firmware run on targets."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from emu.commands.page import render_page
from emu.commands.parameters import BoardFiles, Settings, board_files
from emu.commands.progress_bar import progress_bar
from emu.errors import OutputError
from emu.inputs import load_inputs
from emu.instruments import Limits, help_of, spelling
from emu.model.stated import parse_settings
from emu.record import Run, RunFile
from emu.reports.junit import render_junit
from emu.reports.markdown import render_markdown
from emu.reports.terminal import print_run
from emu.run import RunOptions, execute, plan, read_request
from emu.suppressions import load_suppressions
from emu.targets import find_target, load_targets
from emu.writing import make_directory, require_distinct, write_file

_REPORTS = {"report.html": render_page, "report.md": render_markdown, "junit.xml": render_junit}


def _switch(name: str) -> Any:
    """Return the switch of an option that is declared among those of a run."""
    return typer.Option(spelling(name), help=help_of(RunOptions, name))


def run(
    models: Annotated[
        list[str],
        typer.Argument(metavar="(MODEL|FIRMWARE.elf)...", help="Demos, checkpoints, .mamba images or firmware (.elf)."),
    ],
    target: Annotated[list[str], typer.Option("--target", "-t", help="A board on an emulator; repeatable.")],
    board: BoardFiles = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            help="An .npz: x float32 [N, T, F]; optionally y [N], logits, logits64 [N, C], or [N, T, C] at each step."
        ),
    ] = None,
    settings: Settings = None,
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
    json: Annotated[Path | None, typer.Option(help="Write the run records as JSON.")] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write report.html, report.md, junit.xml and run.json into this directory."),
    ] = None,
) -> None:
    """Run models or firmware in an emulator, and report parity with PyTorch, stack, heap and instructions.

    Always on: what made up the heap's peak and what leaks, wrong frees, a heap that meets the stack, and a timeline.

    The exit code is 0 if every verdict holds, and 1 if one fails. It is 2 for bad input, 3 if a tool is missing, 70 for
    an error in emu or a compiler, and 74 if an output cannot be written.
    """
    console = Console()
    if json is not None and (json.is_dir() or not json.absolute().parent.is_dir()):  # now, not after the run
        raise OutputError(f"{json}: cannot be written: no such directory, or a directory itself")
    options = RunOptions(
        traffic=traffic,
        profile=profile,
        coverage=coverage,
        memcheck=memcheck,
        replace_allocator=replace_allocator,
        stack_peak=stack_peak,
        suppressions=tuple(load_suppressions(suppressions)) if suppressions is not None else (),
        trace_input=trace_input if trace else None,
        limits=Limits(max_instructions, max_seconds),
        tolerance=tolerance,
    )
    known = load_targets(board or ())
    targets = [find_target(name, known) for name in target]
    given = None if inputs is None else load_inputs(inputs)
    stated = parse_settings(settings or ())
    requests = [read_request(text, given, limit, stated=stated) for text in models]
    record, reports = _files(report)
    sources = [path for request in requests for path in request.files]
    require_distinct([*sources, inputs, suppressions, *board_files(board, targets)], [json, record, *reports])
    jobs = plan(requests, targets, options)
    if report is not None:
        make_directory(report)

    kept: list[Run] = []

    def keep(runs: list[Run]) -> None:
        kept[:] = runs
        for path in (json, record):
            if path is not None:
                write_file(path, _records(runs))

    failures: list[Exception] = []
    try:
        execute(jobs, progress_bar, lambda run, target: print_run(console, run, target.board), keep)
    finally:  # the reports of what was made, whatever ended the runs: that is what the user is told
        if kept:
            failures += _write_reports(reports, kept)
    if failures:
        raise failures[0]
    if not all(run.ok for run in kept):
        raise typer.Exit(1)


def _files(directory: Path | None) -> tuple[Path | None, dict[Path, Callable[[list[Run]], str]]]:
    """Return the record in the directory of --report, and each report there with what renders it."""
    if directory is None:
        return None, {}
    return directory / "run.json", {directory / name: render for name, render in _REPORTS.items()}


def _write_reports(reports: dict[Path, Callable[[list[Run]], str]], runs: list[Run]) -> list[Exception]:
    """Write each report that can be written, and return why the others cannot."""
    failures: list[Exception] = []
    for path, render in reports.items():
        try:
            write_file(path, render(runs).encode())
        except Exception as error:  # a fault in one report does not lose the next one
            failures.append(error)
    return failures


def _records(runs: list[Run]) -> bytes:
    return RunFile(schema=1, runs=runs).model_dump_json(by_alias=True, indent=2).encode() + b"\n"
