"""The command line: parse, call, render."""

import sys
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import emu
from emu.budgets.baseline import read_baseline
from emu.budgets.comparison import NO_INCREASE, compare, parse_gates
from emu.build import build_firmware
from emu.elf import is_elf
from emu.ending import one_line_for_failures
from emu.errors import InputError, OutputError
from emu.inputs import EvaluationInputs, load_inputs
from emu.machines import Limits
from emu.model.checkpoint import load_checkpoint
from emu.model.config import Pooling
from emu.model.graph import build_graph
from emu.model.image import MatrixType, c_header, read_image_info, write_image
from emu.model.sources import find_model
from emu.printable import printable
from emu.record import Run, RunFile, read_run_file
from emu.reports.annotations import render_annotations
from emu.reports.collapsed import render_collapsed
from emu.reports.difference import difference_as_markdown, difference_as_text
from emu.reports.junit import render_junit
from emu.reports.lcov import render_lcov
from emu.reports.markdown import render_markdown
from emu.reports.robot import add_robot_results
from emu.reports.speedscope import render_speedscope
from emu.reports.terminal import print_run
from emu.run import RunOptions, emulator_version, run_firmware, run_model, trace_layers
from emu.suppressions import load_suppressions
from emu.targets import Target, find_target, load_targets
from emu.toolchains import find_toolchain
from emu.toolchains.display import BuildDisplay
from emu.toolchains.installation import install
from emu.toolchains.recipe import find_recipe
from emu.verdicts import DEFAULT_TOLERANCE, judge

app = typer.Typer(
    name="emu",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Prove firmware without hardware: does the C program give PyTorch's answers, and does its memory fit?",
    epilog="Try: emu run kws --target stm32h7-unicorn",
)

toolchain = typer.Typer(no_args_is_help=True, help="Compilers that no package has.")
app.add_typer(toolchain, name="toolchain")

BoardFiles = Annotated[
    list[Path] | None,
    typer.Option("--board", metavar="FILE.toml", help="A board of your own, whose targets join emu's; repeatable."),
]
TargetName = Annotated[str, typer.Option("--target", "-t", help="A board on an emulator; `emu targets` lists them.")]


def main() -> None:
    """Run the command line; a failure ends in one line on stderr, and in a traceback only with ``--debug``."""
    with one_line_for_failures(debug="--debug" in sys.argv[1:2]):
        app()


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"emu {emu.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Also print a traceback if something goes wrong.")] = False,
) -> None:
    pass


@app.command()
def doctor(board: BoardFiles = None) -> None:
    """Say what is installed, which targets can run, and how to get the rest."""
    from emu import doctor as diagnosis  # it imports every emulator

    console = Console()
    findings = diagnosis.examine(load_targets(board or ()).values())
    for finding in findings:
        mark = "[green]✓[/]" if finding.ok else "[red]✗[/]" if finding.required else "[yellow]-[/]"
        remedy = "" if finding.ok else f"  [bold]{escape(finding.remedy)}[/]"
        console.print(f"{mark} {finding.name}: {escape(finding.detail)}{remedy}", soft_wrap=True, highlight=False)
    if any(finding.required and not finding.ok for finding in findings):
        raise typer.Exit(3)


@app.command()
def targets(board: BoardFiles = None) -> None:
    """List the targets: what each emulates, and what it does not."""
    console = Console()
    for of_board, its_targets in groupby(load_targets(board or ()).values(), key=lambda target: target.board):
        console.print(f"[bold]{escape(of_board.title)}[/]")
        for target in its_targets:
            console.print(Padding(f"[bold]{target.name}[/]  {escape(target.emulator.title)}", (0, 0, 0, 2)))
            gaps = Table.grid(padding=(0, 1))
            for gap in target.emulator.not_emulated:
                gaps.add_row("[dim]not emulated:[/]", f"[dim]{escape(gap)}[/]")
            console.print(Padding(gaps, (0, 0, 0, 4)))
        console.print()


@toolchain.command("install")
def install_toolchain(name: Annotated[str, typer.Argument(help="xtensa: GCC for the ESP32-S3's core.")]) -> None:
    """Build a compiler from Debian's source packages, once, into the cache; goes on where it was interrupted.

    Needs no root, a network, 900 MB of disk while it builds (30 MB after), and about ten minutes on two cores.
    """
    recipe = find_recipe(name)
    if recipe is None:
        raise InputError(f"{name}: there is no recipe for a toolchain of this name, only for: xtensa")
    with BuildDisplay(Console(stderr=True)) as display:
        install(recipe, display)
    built = find_toolchain(name)
    print(f"{built.version}: {built.compiler}")


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A trained model: .safetensors, or .pt (weights only).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the model image goes (.mamba).")],
    dtype: Annotated[
        MatrixType, typer.Option(help="How matrices are stored; int8 has a scale for each row. Arithmetic is float32.")
    ] = "f32",
    fold: Annotated[
        bool,
        typer.Option("--fold/--no-fold", help="Fold neighbouring linear layers: smaller, faster, the same answers."),
    ] = True,
    pooling: Annotated[Pooling | None, typer.Option(help="Over time, where the checkpoint does not say it.")] = None,
    header: Annotated[Path | None, typer.Option(help="Also write the image as a C header.")] = None,
) -> None:
    """Export a trained Mamba model to an image that the C engine runs from flash."""
    image = write_image(build_graph(load_checkpoint(checkpoint, pooling), fold=fold), dtype)
    _write(output, image)
    info = read_image_info(output)
    if header is not None:
        _write(header, c_header(info, image, _identifier(output.stem)).encode())
    print(
        f"{printable(str(output))}: {len(image):,} bytes of flash, {info.arena_bytes:,} bytes of RAM for each sequence"
    )


@app.command()
def build(
    model: Annotated[str, typer.Argument(help="A demo's name, a checkpoint or a .mamba image.")],
    target: TargetName,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the firmware goes (.elf).")],
    board: BoardFiles = None,
) -> None:
    """Build the firmware that runs a model on a target's board."""
    chosen = find_target(target, load_targets(board or ()))
    elf = build_firmware(find_model(model).image, chosen.board)
    _write(output, elf.read_bytes())
    print(f"{printable(str(output))}: {output.stat().st_size:,} bytes, for {target}")


@app.command()
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
    traffic: Annotated[bool, typer.Option("--traffic", help="Also count loads and stores by region (slower).")] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Also count instructions by line and call path (see `emu report`).")
    ] = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Also tell which lines and functions ran (see `emu report`).")
    ] = False,
    memcheck: Annotated[
        bool,
        typer.Option(
            "--memcheck",
            help="Also find memory errors: accesses out of blocks and objects, after free, below SP, through null, and "
            "values that were never set where they decide a branch, an address or an output (about 4 times slower).",
        ),
    ] = False,
    replace_allocator: Annotated[
        bool,
        typer.Option(
            "--replace-allocator",
            help="With --memcheck: serve malloc and free from memory that the board does not have, with gaps between "
            "blocks and freed ones left unused: finds overruns that go further.",
        ),
    ] = False,
    stack_peak: Annotated[
        bool,
        typer.Option(
            "--stack-peak",
            help="In Renode: also measure the stack's reserved peak, in a second run that is very much slower (try it "
            "with --limit 1). The other emulators always measure it.",
        ),
    ] = False,
    suppressions: Annotated[
        Path | None,
        typer.Option(
            help="With --memcheck: a .toml of accepted findings, `suppress` tables with a reason and patterns for "
            "kind, function, file."
        ),
    ] = None,
    trace: Annotated[
        bool, typer.Option("--trace-layers", help="Also compare every intermediate tensor of one input with PyTorch's.")
    ] = False,
    trace_input: Annotated[int, typer.Option(min=0, help="Which input --trace-layers takes.")] = 0,
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Mean logit error allowed, relative to the largest logit.")
    ] = DEFAULT_TOLERANCE,
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

    The exit code is 0 where every verdict holds, 1 where one fails, 2 for bad input, 3 where a tool is missing,
    70 for an error in emu or a compiler, 74 where an output cannot be written.
    """
    console = Console()
    if json is not None and (json.is_dir() or not json.absolute().parent.is_dir()):  # now, not after the run
        raise OutputError(f"{json}: cannot be written: no such directory, or a directory itself")
    if report is not None:
        _make_directory(report)
    for option, given in (("--suppressions", suppressions is not None), ("--replace-allocator", replace_allocator)):
        if given and not memcheck:
            raise InputError(f"{option} is about what --memcheck finds: give that too")
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
            _write(json, _records(runs))
        if runs and report is not None:
            _write(report / "run.json", _records(runs))
            for name, render in _REPORTS.items():
                _write(report / name, render(runs).encode())
    if not all(record.ok for record in runs):
        raise typer.Exit(1)


def _render_html(runs: Sequence[Run]) -> str:
    from emu.reports.html import render_html  # it imports jinja2

    return render_html(runs)


_REPORTS = {"report.html": _render_html, "report.md": render_markdown, "junit.xml": render_junit}


@app.command()
def report(
    records: Annotated[list[Path], typer.Argument(metavar="RUN.json...", help="What `emu run --json` wrote.")],
    html: Annotated[Path | None, typer.Option(help="Write one page that needs no network and no other file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a summary (for $GITHUB_STEP_SUMMARY).")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the verdicts as test cases (JUnit XML).")] = None,
    robot: Annotated[Path | None, typer.Option(help="With --junit: add the robot.xml of `emu robot` to it.")] = None,
    lcov: Annotated[Path | None, typer.Option(help="Write coverage as an lcov tracefile (for genhtml).")] = None,
    speedscope: Annotated[Path | None, typer.Option(help="Write call paths for speedscope.app (JSON).")] = None,
    collapsed: Annotated[Path | None, typer.Option(help="Write call paths as collapsed stacks (flame graphs).")] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="Write what failed as commands that a step of a GitHub workflow prints, to show it at its line of the "
            "sources in this directory."
        ),
    ] = None,
) -> None:
    """Render run records for people and for other tools, from the records alone: nothing runs again.

    Several runs of one model are compared, with the first as the base.
    """
    if not any((html, markdown, junit, lcov, speedscope, collapsed, annotations)):
        raise InputError(
            "say what to write: --html, --markdown, --junit, --lcov, --speedscope, --collapsed or --annotations, "
            "and a FILE behind it"
        )
    if robot is not None and junit is None:
        raise InputError("--robot adds to what --junit writes: give that too")
    runs = [run for path in records for run in read_run_file(path).runs]
    given = ", ".join(map(str, records))
    for path, render in ((html, _render_html), (markdown, render_markdown)):
        if path is not None:
            _write(path, render(runs).encode())
    if junit is not None:
        cases = render_junit(runs)
        _write(junit, (cases if robot is None else add_robot_results(cases, robot)).encode())
    if annotations is not None:
        _write(annotations, render_annotations(runs, Path.cwd()).encode())
    if lcov is not None:
        if not any(run.coverage for run in runs):
            raise InputError(f"{given}: no coverage in it; record it with `emu run --coverage --json RUN.json`")
        _write(lcov, render_lcov(runs).encode())
    if speedscope is not None or collapsed is not None:
        if not any(run.profile for run in runs):
            raise InputError(f"{given}: no profile in it; record it with `emu run --profile --json RUN.json`")
        if speedscope is not None:
            _write(speedscope, render_speedscope(runs).encode())
        if collapsed is not None:
            _write(collapsed, render_collapsed(runs).encode())


@app.command()
def robot(
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", help="A board on Renode; repeatable. Without: all of them.")
    ] = None,
    board: BoardFiles = None,
    limit: Annotated[int, typer.Option(min=1, help="Inputs of each demo.")] = 10,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where logs, reports and robot.xml (JUnit) go.")
    ] = Path("robot-results"),
) -> None:
    """Run the Robot Framework suites on Renode: boards boot, answer as PyTorch does, and print.

    `emu report RUN.json --junit FILE --robot DIR/robot.xml` puts the results beside those of runs.
    """
    from emu.robot import run_suites  # it imports Renode's side

    known = load_targets(board or ())
    names = target or [name for name, each in known.items() if each.emulator_name == "renode"]
    results = run_suites([find_target(name, known) for name in names], limit, output.absolute())
    print(f"{printable(str(results.xunit))}: {'all suites pass' if results.passed else 'a suite fails'}")
    if not results.passed:
        raise typer.Exit(1)


@app.command()
def diff(
    base: Annotated[Path, typer.Argument(metavar="BASE.json", help="Run records of `emu run --json`, or a baseline.")],
    new: Annotated[Path, typer.Argument(metavar="NEW.json", help="The same, newer.")],
    fail_on_increase: Annotated[
        str | None,
        typer.Option(
            metavar="FIGURE=INCREASE,...",
            help="What may grow by how much, for example stack=0,flash=1%,heap=512 B; the rest may grow freely. "
            "Without it nothing may grow.",
        ),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
) -> None:
    """Compare the figures of runs; the exit code is 1 where one grew more than it may.

    The figures are flash, heap, instructions, ram, stack and static_ram.
    """
    gates = NO_INCREASE if fail_on_increase is None else parse_gates(fail_on_increase)
    comparison = compare(read_baseline(base), read_baseline(new), gates)
    if not comparison.changes:
        raise InputError(f"{base} and {new} have no run of the same model and target")
    print(difference_as_markdown(comparison) if markdown else difference_as_text(comparison), end="")
    if not comparison.ok:
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
        with _progress(text) as progress:
            return run_firmware(Path(text), Path(text).stem, target, given, options, progress)
    model = find_model(text)
    inputs = given
    if inputs is None:
        if model.inputs is None:
            raise InputError(f"{text}: give its inputs with --inputs x.npz (an array x float32 [N, T, F])")
        inputs = load_inputs(model.inputs).first(limit)
    if traced_input is not None and traced_input >= len(inputs):
        raise InputError(f"--trace-input {traced_input}: there are {len(inputs)} inputs")
    with _progress(model.name) as progress:
        record = run_model(model, target, inputs, options, progress)
    if traced_input is not None:
        record.layers = trace_layers(model, target, inputs.x[traced_input], options.limits)
        record.verdicts = judge(record, options.tolerance)
    return record


def _is_firmware(text: str) -> bool:
    """Return whether an argument is an ELF: a file that is called so is meant to be one."""
    return text.endswith(".elf") or is_elf(Path(text))


class _progress:  # noqa: N801 - reads as a statement
    """A progress bar over the inputs, on stderr and gone when it is done."""

    def __init__(self, name: str):
        console = Console(stderr=True)
        columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def __enter__(self) -> Callable[[int, int], None]:
        self._bar.start()
        task = self._bar.add_task("", total=None)
        return lambda done, total: self._bar.update(task, completed=done, total=total)

    def __exit__(self, *error: object) -> None:
        self._bar.stop()


def _identifier(text: str) -> str:
    name = "".join(character if character.isalnum() and character.isascii() else "_" for character in text)
    return name if not name[:1].isdigit() else f"model_{name}"


def _records(runs: list[Run]) -> bytes:
    return RunFile(schema=1, runs=runs).model_dump_json(by_alias=True, indent=2).encode() + b"\n"


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: no directory for the report can be made there: {error.strerror}") from error


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
