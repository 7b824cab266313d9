"""Every report says why a figure was not measured, under whichever name the record has the reason."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from emu.budgets.limits import over_budget
from emu.budgets.usage import usages
from emu.figures import BUDGETS, FIGURES, NO_REASON, SECTIONS, Budget, NotMeasured, read, readings, why_not
from emu.record import Instructions, Memory, Parity, RegionUse, Run, Stack, StackUse, Timeline
from emu.reports.html import render_html
from emu.reports.terminal import print_run
from emu.targets import find_target

FIELDS = {"memory": Memory, "instructions": Instructions, "parity": Parity}


def without_heap(run: Run, key: str) -> Run:
    """Return a run like ``run`` that has a timeline, but no heap."""
    memory = Memory(flash_bytes=100, static_ram_bytes=50, stack_peak_bytes=30)
    timeline = Timeline(interval_instructions=10, stack_bytes=[8, 30])
    given = {key: "nobody follows malloc"}
    return run.model_copy(update={"memory": memory, "timeline": timeline, "not_measured": given})


@pytest.mark.parametrize("key", ["heap", "heap_peak_bytes"])
def test_the_heap_has_its_reason_wherever_the_heap_is_missing(unmeasured: Run, key: str):
    run = without_heap(unmeasured, key)
    page = render_html([run])
    assert "The heap was not measured: nobody follows malloc." in page
    assert page.count("<small>nobody follows malloc</small>") == 2  # of the heap, and of RAM
    for name in ("heap", "ram"):
        assert "nobody follows malloc" in str(over_budget(name, usages(run)[name], 1_000_000))


def test_a_firmware_without_symbols_has_the_reason_on_the_page(command_line, stripped: Path, tmp_path: Path):
    page = tmp_path / "report.html"
    outcome = command_line("run", stripped, "-t", "stm32h7-unicorn", "--report", tmp_path)
    assert outcome.returncode == 0, outcome
    assert "The heap was not measured: the ELF has no symbols" in page.read_text()


@pytest.mark.parametrize("missing", ["heap", "heap_peak_bytes", "stacks", "stack_peak_bytes"])
def test_a_sum_is_not_measured_if_one_of_its_parts_was_not(unmeasured: Run, missing: str):
    run = unmeasured.model_copy(
        update={
            "memory": Memory(flash_bytes=100, static_ram_bytes=50, stack_peak_bytes=30, ram_peak_bytes=80),
            "not_measured": {missing: "there was too much"},
        }
    )
    assert read(run, "ram_peak_bytes") == usages(run)["ram"].value == NotMeasured("there was too much")


def test_stacks_that_were_not_followed_leave_no_sum_of_stacks(unmeasured: Run):
    use = StackUse(name="main", pointer="MSP", top=0x2000_1000, limit_bytes=None, peak_bytes=40)
    stacks = [use, use.model_copy(update={"name": "task"})]
    run = unmeasured.model_copy(
        update={"memory": Memory(stack_peak_bytes=40), "stack": Stack(stacks=stacks), "not_measured": {}}
    )
    assert usages(run)["stack"].value == 80
    run.not_measured["stacks"] = "there were too many"
    assert usages(run)["stack"].value == NotMeasured("there were too many")
    assert read(run, "stack_peak_bytes") == 40


def test_a_run_without_inputs_has_the_reason_of_its_total(unmeasured: Run):
    given = {"per_inference": "no input was answered", "total": "the emulator was lost"}
    run = unmeasured.model_copy(update={"not_measured": given})
    assert usages(run)["instructions"].value == NotMeasured("the emulator was lost")
    run = run.model_copy(update={"instructions": Instructions(inferences=1)})
    assert usages(run)["instructions"].value == NotMeasured("no input was answered")


def test_labels_that_were_not_given_are_no_lost_parity(demos: list[Run], unmeasured: Run):
    parity = demos[0].parity
    assert parity is not None
    unlabelled = demos[0].model_copy(update={"parity": parity.model_copy(update={"label_accuracy": None})})
    assert read(unlabelled, "label_accuracy") == NotMeasured("the inputs come without labels")
    assert read(unmeasured, "label_accuracy") == NotMeasured("the machine ran bare")


def test_each_row_is_a_field_of_the_record_and_refers_to_other_rows():
    names = {figure.name for figure in FIGURES}
    for figure in FIGURES:
        assert figure.name in FIELDS[figure.section].model_fields
        assert {figure.reason_of, *figure.sum_of} <= names | SECTIONS.keys() | {""}
    for section, figure in SECTIONS.items():
        assert section in Run.model_fields or section in Stack.model_fields
        assert figure in names | {""}
    assert len(names) == len(FIGURES)
    assert len(BUDGETS) == sum(isinstance(figure, Budget) for figure in FIGURES)


def test_every_figure_without_a_value_has_a_reason(runs: list[Run]):
    for run in runs:
        for reading in readings(run):
            assert (reading.reason == "") == (not isinstance(reading.value, NotMeasured))
            assert reading.text


def test_a_record_that_gives_no_reason_says_so(unmeasured: Run):
    run = unmeasured.model_copy(update={"not_measured": {}})
    assert read(run, "stack_peak_bytes") == read(run, "label_accuracy") == NotMeasured(NO_REASON)


@pytest.mark.parametrize("ask", [why_not, read])
def test_a_name_that_is_no_figure_is_an_error(unmeasured: Run, ask):
    with pytest.raises(KeyError):
        ask(unmeasured, "heap_peak")


@pytest.mark.parametrize(
    ("heap", "stacks", "note"),
    [
        (0, 30, ""),
        (None, 30, "but for the heap"),
        (0, None, "but for the stacks"),
        (None, None, "but for the heap and the stacks"),
    ],
)
def test_the_sum_of_a_memory_says_what_it_is_without(unmeasured: Run, heap: int | None, stacks: int | None, note: str):
    use = RegionUse(name="dtcm", size_bytes=1024, static_bytes=100, heap_bytes=heap, stack_bytes=stacks)
    run = unmeasured.model_copy(update={"memory": Memory(flash_bytes=100, by_region=[use])})
    used = f"{100 + (stacks or 0)} B"
    page = re.sub(r"<[^>]+>", "", render_html([run]))
    assert f"dtcm {used} {(100 + (stacks or 0)) / 1024:.1%} of 1 KB{f', {note}' if note else ''}\n" in page
    terminal = io.StringIO()
    print_run(Console(file=terminal, width=120), run, find_target(run.target).board)
    assert re.search(rf"- dtcm{re.escape(f' ({note})' if note else '')} +{used} ", terminal.getvalue())
