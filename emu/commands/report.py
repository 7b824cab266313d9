"""`emu report`: records become reports."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from emu.record import Run
    from emu.reports.sources import Sources


def report(
    records: Annotated[list[Path], typer.Argument(metavar="RUN.json", help="Records of `emu run --json`.")],
    html: Annotated[Path | None, typer.Option(help="Write one page that needs no network and no other file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a summary (for $GITHUB_STEP_SUMMARY).")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the verdicts as test cases (JUnit XML).")] = None,
    robot: Annotated[Path | None, typer.Option(help="With --junit: add the robot.xml of `emu robot` to it.")] = None,
    lcov: Annotated[Path | None, typer.Option(help="Write coverage as an lcov tracefile (for genhtml).")] = None,
    cobertura: Annotated[
        Path | None, typer.Option(help="Write coverage as Cobertura XML (for GitLab, Jenkins, Azure).")
    ] = None,
    speedscope: Annotated[Path | None, typer.Option(help="Write call paths for speedscope.app (JSON).")] = None,
    collapsed: Annotated[Path | None, typer.Option(help="Write call paths as collapsed stacks (flame graphs).")] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="Write failures as commands for a GitHub workflow. A step that prints them shows each failure at its "
            "line of --sources."
        ),
    ] = None,
    code_quality: Annotated[
        Path | None, typer.Option(help="Write failures as a Code Quality report (for GitLab's merge requests).")
    ] = None,
    sources: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            exists=True,
            help="Your sources: coverage, --annotations and --code-quality are about these.",
        ),
    ] = Path(),
    all_sources: Annotated[
        bool,
        typer.Option("--all-sources", help="Write coverage of files outside --sources too, such as the C library's."),
    ] = False,
) -> None:
    """Render run records for people and other tools. Reports come from the records alone: nothing runs again.

    Several runs of one model are compared with the first one.
    """
    from emu.commands.page import render_page
    from emu.errors import InputError
    from emu.record import read_run_file
    from emu.reports.annotations import render_annotations
    from emu.reports.cobertura import render_cobertura
    from emu.reports.code_quality import render_code_quality
    from emu.reports.collapsed import render_collapsed
    from emu.reports.junit import render_junit
    from emu.reports.lcov import render_lcov
    from emu.reports.markdown import render_markdown
    from emu.reports.robot import add_robot_results
    from emu.reports.sources import Sources
    from emu.reports.speedscope import render_speedscope
    from emu.writing import require_distinct, write_file

    outputs = [html, markdown, junit, lcov, cobertura, speedscope, collapsed, annotations, code_quality]
    if not any(outputs):
        raise InputError(
            "say what to write: --html, --markdown, --junit, --lcov, --cobertura, --speedscope, --collapsed, "
            "--annotations or --code-quality, each with a FILE"
        )
    if robot is not None and junit is None:
        raise InputError("--robot needs --junit")
    require_distinct([*records, robot], outputs)
    runs = [run for path in records for run in read_run_file(path).runs]
    given = ", ".join(map(str, records))
    own = Sources(sources)  # one for all reports: it reads the whole directory if it must
    for path, render in ((html, render_page), (markdown, render_markdown)):
        if path is not None:
            write_file(path, render(runs).encode())
    if junit is not None:
        cases = render_junit(runs)
        write_file(junit, (cases if robot is None else add_robot_results(cases, robot)).encode())
    if annotations is not None:
        write_file(annotations, render_annotations(runs, own).encode())
    if code_quality is not None:
        write_file(code_quality, render_code_quality(runs, own).encode())
    if lcov is not None or cobertura is not None:
        covered = _with_coverage(runs, given, None if all_sources else own)
        if lcov is not None:
            write_file(lcov, render_lcov(covered).encode())
        if cobertura is not None:
            write_file(cobertura, render_cobertura(covered, own.directory).encode())
    if speedscope is not None or collapsed is not None:
        if not any(run.profile for run in runs):
            raise InputError(f"{given}: no profile in it; record it with `emu run --profile --json RUN.json`")
        if speedscope is not None:
            write_file(speedscope, render_speedscope(runs).encode())
        if collapsed is not None:
            write_file(collapsed, render_collapsed(runs).encode())


def _with_coverage(runs: "list[Run]", given: str, sources: "Sources | None") -> "list[Run]":
    """Return the runs with the coverage of the files in ``sources``, or of all files if it is None.

    Raises InputError if no run has coverage, or none of a file in ``sources``.
    """
    from emu.errors import InputError
    from emu.reports.sources import with_own_sources
    from emu.wording import counted

    if not any(run.coverage for run in runs):
        raise InputError(f"{given}: no coverage in it; record it with `emu run --coverage --json RUN.json`")
    if sources is None:
        return runs
    own = with_own_sources(runs, sources)
    if not any(run.coverage.lines for run in own if run.coverage is not None):
        named = {file for run in runs if run.coverage is not None for file in run.coverage.lines}
        raise InputError(
            f"{given}: its coverage is of {counted(len(named), 'source file')}, none in {sources.directory}; name your "
            "sources with --sources DIR, or take all files with --all-sources"
        )
    return own
