"""What an allocator refuses is in the record and in every report, with what the allocator had then."""

import html
import io
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from builds import TARGET, build, line_of
from rich.console import Console

from emu.record import FailedAllocations, Run
from emu.reports.html import render_html
from emu.reports.junit import render_junit
from emu.reports.markdown import render_markdown
from emu.reports.terminal import print_run
from emu.run import RunOptions, run_firmware
from emu.targets import find_target

SOURCE = "refused.c"
needs_qemu = pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed")
on_both = pytest.mark.parametrize("target", ["stm32h7-unicorn", pytest.param("stm32h7-qemu", marks=needs_qemu)])
NANO = "--specs=nano.specs"


def run(directory: Path, target: str, *flags: str) -> Run:
    def nothing(_done: int, _of: int) -> None:
        """A progress that nobody watches."""

    return run_firmware(build(directory, SOURCE, NANO, *flags), "", find_target(target), None, RunOptions(), nothing)


def refused(record: Run) -> FailedAllocations:
    (failed,) = record.heap.failed
    assert (failed.largest_bytes, failed.failures, failed.function) == (4096, 1, "load_image")
    assert failed.line == line_of(SOURCE, "refused")
    return failed


@on_both
def test_a_heap_in_pieces_tells_its_largest(tmp_path: Path, target: str) -> None:
    failed = refused(run(tmp_path, target))
    assert failed.live_bytes == 8 * 1000
    assert failed.free_bytes == 16 * 1008 - 8 * 1000
    assert failed.largest_free_bytes == 1008 + 8, "one block, and the header of the next one"
    assert failed.sbrk_refused


@on_both
def test_an_array_that_is_full_tells_what_is_left(tmp_path: Path, target: str) -> None:
    failed = refused(run(tmp_path, target, "-DIN_ARRAY"))
    assert failed.live_bytes == 16 * 1000
    assert failed.free_bytes == 16 * 8
    assert failed.largest_free_bytes == 8
    assert not failed.sbrk_refused


@on_both
def test_what_was_free_is_known_for_each_of_many_call_paths(tmp_path: Path, target: str) -> None:
    failed = run(tmp_path, target, "-DDEPTHS=100").heap.failed
    assert sum(each.failures for each in failed) == 100
    assert len(failed) > 64
    assert {(each.free_bytes, each.largest_free_bytes) for each in failed} == {(16 * 1008 - 8 * 1000, 1008 + 8)}


def test_what_is_free_is_said_to_be_of_the_memory_that_was_taken(tmp_path: Path) -> None:
    record = run(tmp_path, "stm32h7-unicorn", "-DNOTHING_FREED", "-DBLOCKS=18", "-DFILLED=16")
    failed = refused(record)
    assert (failed.taken_bytes, failed.free_bytes) == (16 * 1008, 16 * 8)
    for name, text in every_report(record).items():
        assert "128 B free of the 16,128 B that it has taken, at most 8 B in one piece" in text, name
    record.heap.failed = [failed.model_copy(update={"taken_bytes": None})]
    for name, text in every_report(record).items():
        assert "128 B free, at most 8 B in one piece" in text, name


@on_both
@pytest.mark.parametrize(
    "flags", [("-DNOTHING_GRANTED", "-DIN_TASK"), ("-DNOTHING_GRANTED", "-DIN_ARRAY", "-DBLOCKS=2")]
)
def test_where_nothing_was_granted_a_refusal_is_in_every_report(
    tmp_path: Path, target: str, flags: tuple[str, ...]
) -> None:
    record = run(tmp_path, target, *flags)
    failed = refused(record)
    assert (failed.live_bytes, failed.free_bytes) == (0, None), "nothing tells which memory it has"
    assert failed.sbrk_refused == ("-DIN_TASK" in flags)
    reports = every_report(record)
    for name, text in reports.items():
        assert "4,096 B" in text, name
        assert "load_image" in text, name
        assert ("_sbrk refused more" in text) == failed.sbrk_refused, name


@on_both
def test_an_allocator_that_then_asks_for_the_break_was_refused_more(tmp_path: Path, target: str) -> None:
    failed = refused(run(tmp_path, target, "-DASKS_FOR_THE_BREAK", "-DNOTHING_GRANTED", "-DBLOCKS=2"))
    assert failed.sbrk_refused


def every_report(record: Run) -> dict[str, str]:
    """Return the text of each report that has one, without its markup and its lines' breaks."""
    screen = io.StringIO()
    print_run(Console(file=screen, width=200), record, TARGET.board)
    properties = ElementTree.fromstring(render_junit([record])).iter("property")
    texts = {
        "terminal": screen.getvalue(),
        "markdown": html.unescape(render_markdown([record])),
        "html": html.unescape(re.sub(r"<[^>]*>", " ", render_html([record]))),
        "junit": "".join(each.get("value", "") for each in properties if each.get("name") == "heap.refused"),
    }
    return {name: text.replace("\\", "") for name, text in texts.items()}


def test_calls_of_which_only_the_number_is_known_are_in_every_report(tmp_path: Path) -> None:
    record = run(tmp_path, "stm32h7-unicorn")
    record.heap.failed, record.heap.failed_allocations = [], 3
    reports = every_report(record)
    assert "3 refused" in reports["terminal"]
    assert "3 calls" in reports["markdown"]
    assert re.search(r"refused\s+3\b", reports["html"])
    assert reports["junit"] == "3 calls"
