"""`emu run`: models and firmware run on targets."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from emu.commands.output_files import make_directory, write_file
from emu.commands.page import render_page
from emu.commands.parameters import BoardFiles
from emu.commands.progress_bar import progress_bar
from emu.elf import is_elf
from emu.errors import InputError
from emu.inputs import EvaluationInputs, load_inputs
from emu.instruments import Limits, help_of, require, spelling
from emu.model.sources import find_model
from emu.record import Run, RunFile
from emu.reports.junit import render_junit
from emu.reports.markdown import render_markdown
from emu.reports.terminal import print_run
from emu.run import RunOptions, emulator_version, run_firmware, run_model, trace_layers
from emu.suppressions import load_suppressions
from emu.targets import Target, find_target, load_targets
from emu.toolchains import find_toolchain
from emu.verdicts import judge

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
        typer.Option(help="An .npz: x float32 [N, T, F]; optionally y [N], logits and logits64 [N, C]."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Run only the first inputs.")] = None,
    traffic: Annotated[bool, _switch("traffic")] = False,
    profile: Annotated[bool, _switch("profile")] = False,
    coverage: Annotated[bool, _switch("coverage")] = False,
    memcheck: Annotated[bool, _switch("memcheck")] = False,
    replace_allocator: Annotated[bool, _switch("replace_allocator")] = False,
    stack_peak: Annotated[bool, _switch("stack_peak")] = False,
    suppressions: Annotated[Path | None, typer.Option(help=help_of(RunOptions, "suppressions"))] = None,
    trace: Annotated[
        bool, typer.Option("--trace-layers", help="Also compare every intermediate tensor of one input with PyTorch's.")
    ] = False,
    trace_input: Annotated[int, typer.Option(min=0, help="Which input --trace-layers takes.")] = 0,
    tolerance: Annotated[float, typer.Option(min=0.0, help=help_of(RunOptions, "tolerance"))] = RunOptions.tolerance,
    max_instructions: Annotated[
        int, typer.Option(min=1, help="End any one input (and the boot) after so many instructions.")
    ] = Limits.instructions,
    max_seconds: Annotated[
        float, typer.Option(min=0.001, help="End any one input (and the boot) after so many seconds of the host.")
    ] = Limits.seconds,
    json: Annotated[Path | None, typer.Option(help="Write the run records as JSON.")] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write report.html, report.md, junit.xml and run.json into this directory."),
    ] = None,
) -> None:
    """Run models or firmware in an emulator, and report parity with PyTorch, stack, heap and instructions.

    Always on: what made up the heap's peak and what leaks, wrong frees, a heap that meets the stack, and a timeline.

    The exit code is 0 where every verdict holds, 1 where one fails, 2 for bad input, 3 where a tool is missing.
    """
    console = Console()
    if json is not None and (json.is_dir() or not json.absolute().parent.is_dir()):  # now, not after the run
        raise InputError(f"{json}: cannot be written: no such directory, or a directory itself")
    if report is not None:
        make_directory(report)
    options = RunOptions(
        traffic=traffic,
        profile=profile,
        coverage=coverage,
        memcheck=memcheck,
        replace_allocator=replace_allocator,
        stack_peak=stack_peak,
        suppressions=tuple(load_suppressions(suppressions)) if suppressions is not None else (),
        limits=Limits(max_instructions, max_seconds),
        tolerance=tolerance,
    )
    known = load_targets(board or ())
    chosen = [find_target(name, known) for name in target]
    given = None if inputs is None else load_inputs(inputs).first(limit)
    for each in chosen:  # now, not after the runs of those before it
        require(options, each)
        emulator_version(each)
        if not all(map(_is_firmware, models)):
            find_toolchain(each.board.build.toolchain)
    runs: list[Run] = []
    try:
        for text in models:
            for each in chosen:
                record = _run_one(text, each, given, limit, options, trace_input if trace else None)
                print_run(console, record, each.board)
                runs.append(record)
    finally:  # what was run before a mistake or an interrupt is not lost
        if runs and json is not None:
            write_file(json, _records(runs))
        if runs and report is not None:
            write_file(report / "run.json", _records(runs))
            for name, render in _REPORTS.items():
                write_file(report / name, render(runs).encode())
    if not all(record.ok for record in runs):
        raise typer.Exit(1)


def _run_one(
    text: str,
    target: Target,
    given: EvaluationInputs | None,
    limit: int | None,
    options: RunOptions,
    traced_input: int | None,
) -> Run:
    if _is_firmware(text):
        if traced_input is not None:
            raise InputError("--trace-layers builds its own firmware: give the model instead of an ELF")
        with progress_bar(text) as progress:
            return run_firmware(Path(text), Path(text).stem, target, given, options, progress)
    model = find_model(text)
    inputs = given
    if inputs is None:
        if model.inputs is None:
            raise InputError(f"{text}: give its inputs with --inputs x.npz (an array x float32 [N, T, F])")
        inputs = load_inputs(model.inputs).first(limit)
    if traced_input is not None and traced_input >= len(inputs):
        raise InputError(f"--trace-input {traced_input}: there are {len(inputs)} inputs")
    with progress_bar(model.name) as progress:
        record = run_model(model, target, inputs, options, progress)
    if traced_input is not None:
        record.layers = trace_layers(model, target, inputs.x[traced_input], options.limits)
        record.verdicts = judge(record, options.tolerance)
    return record


def _is_firmware(text: str) -> bool:
    """Return whether an argument is an ELF: a file that is called so is meant to be one."""
    return text.endswith(".elf") or is_elf(Path(text))


def _records(runs: list[Run]) -> bytes:
    return RunFile(schema=1, runs=runs).model_dump_json(by_alias=True, indent=2).encode() + b"\n"
