"""The report in the terminal."""

import os
from collections.abc import Iterable
from itertools import pairwise

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from emu.figures import NotMeasured, Value, readings, reasons, written
from emu.record import (
    Allocations,
    Coverage,
    FailedAllocations,
    Fault,
    Frame,
    Heap,
    LayerError,
    MemoryCheck,
    Reading,
    Run,
    Timeline,
)
from emu.reports.evidence import finding_notes, refusal_note, where
from emu.targets import Board
from emu.verdicts import layers_of
from emu.wording import (
    allocator,
    call_path,
    counted,
    frame_note,
    function_of,
    interrupts_note,
    kind,
    last_lines,
    layer_error,
    left_out,
    memory_size,
    place,
    printable,
    reading_lines,
    without_numbers,
    worst_input,
)

_BAR_WIDTH = 20
_LARGEST_FUNCTIONS = 8
_LARGEST_ALLOCATIONS = 5
_SPARKS = "▁▂▃▄▅▆▇█"
_SPARKLINE_WIDTH = 44
_LAST_LINES = 20
_BORDER = 6
"""The columns that the panel's border and padding take."""
_LONGEST_LINE = 10_000
_IN_A_SENTENCE = ("per_inference", "total")


def print_run(console: Console, run: Run, board: Board) -> None:
    """Print one run: the verdicts first, then the evidence."""
    parts: list[RenderableType] = [_verdicts(run)]
    if run.on_board:
        parts += [Text(), _memory(run, board)]
    if run.stack.backtrace:
        heading = "Stack at its peak" + (" (in a second run)" if run.stack.second_run else "")
        parts += [Text(), _heading(heading), _backtrace(run.stack.backtrace)]
    for stack in run.other_stacks:
        if stack.backtrace:
            place_of_task = f" ({stack.place})" if stack.place is not None else ""
            heading = printable(f"Stack {stack.name}{place_of_task} at its peak")
            parts += [Text(), _heading(heading), _backtrace(stack.backtrace)]
    if run.heap.allocations or run.heap.failed:
        parts += [Text(), _heading("Heap"), _heap(run.heap)]
    if run.timeline is not None:
        parts += [Text(), _timeline(run.timeline)]
    if run.instructions.total is not None:
        parts += [Text(), _heading("Instructions"), _instructions(run)]
    if run.coverage is not None:
        parts += [Text(), _heading("Coverage"), _coverage(run.coverage)]
    if run.reading is not None:
        parts += [Text(), _heading("The model, as emu reads it"), _reading(run.reading)]
    if run.parity is not None:
        parts += [Text(), _heading("Parity"), _parity(run)]
    if run.layers is not None:
        parts += [
            Text(),
            _heading(_LAYERS[layers_of(run)]),
            _layers(run.layers),
        ]
    if run.output:
        parts += [Text(), _output(run)]
    for fault in run.faults:
        parts += [Text(), _fault(fault)]
    if run.memory_check is not None:
        parts += [Text(), *_memory_check(run.memory_check)]
    if run.not_checked:
        parts += [Text(), *(Text(f"not checked: {line}", "dim") for line in run.not_checked)]
    if run.changed:
        parts += [Text(), *(Text(printable(line), "dim") for line in run.changed)]
    if run.not_measured:
        lines = (f"not measured: {', '.join(names)}: {why}" for why, names in reasons(run).items())
        parts += [Text(), *(Text(printable(line), "dim") for line in lines)]
    colour = "green" if run.ok else "red"
    _widen(console, parts)
    console.print(
        Panel(
            Group(*parts),
            title=f"[bold]{escape(printable(run.model))}[/] on {run.target}",
            border_style=colour,
            padding=(1, 2),
        )
    )


def _widen(console: Console, parts: Iterable[RenderableType]) -> None:
    """Let a pipe have lines as long as they need: a program that reads them finds no path in two pieces.

    Long sentences are wrapped there too. A terminal, and a user who sets COLUMNS, get the width that they have.
    """
    if console.is_terminal or "COLUMNS" in os.environ:
        return
    unbounded = console.options.update(max_width=_LONGEST_LINE)
    widths = [Measurement.get(console, unbounded, part).maximum for part in parts if not isinstance(part, Text)]
    console.width = max([console.width, *(width + _BORDER for width in widths)])


def print_summary(console: Console, run: Run) -> None:
    """Print one line about a run: whether its verdicts hold, and the ones that failed."""
    failed = "; ".join(
        f"{verdict.name}: {verdict.value}, limit: {verdict.limit}" for verdict in run.verdicts if not verdict.ok
    )
    mark = "✓" if run.ok else "✗"
    line = f"{mark} {run.model} on {run.target}{': ' if failed else ''}{failed}"
    console.print(Text(printable(line), "green" if run.ok else "red"), soft_wrap=True)


def _heading(text: str) -> Text:
    return Text(text, "bold")


def _grid(*justify: str) -> Table:
    table = Table.grid(padding=(0, 2))
    for side in justify:
        table.add_column(justify="right" if side == "right" else "left", no_wrap=side == "bar", overflow="fold")
    return table


def _verdicts(run: Run) -> Table:
    table = _grid("left", "left", "left", "left")
    for verdict in run.verdicts:
        mark = Text("✓", "bold green") if verdict.ok else Text("✗", "bold red")
        name = Text(printable(verdict.name))
        table.add_row(mark, name, Text(verdict.value, "bold"), Text(f"limit: {verdict.limit}", "dim"))
    return table


def _bar(share: float, width: int = _BAR_WIDTH) -> Text:
    filled = min(width, max(1 if share > 0 else 0, round(share * width)))
    style = "red" if share > 1 else "cyan"
    return Text.assemble(("█" * filled, style), ("·" * (width - filled), "dim"))


def _memory(run: Run, board: Board) -> Group:
    memory = run.memory
    flash = sum(region.size for region in board.memory if region.kind == "memory" and not region.writable)
    table = _grid("left", "right", "bar", "left")

    def row(name: str, value: Value, size: int | None, note: str = "") -> None:
        text, bar = "not measured", ""
        if not isinstance(value, NotMeasured):
            text = written(value, "B")
            if size:
                share = f"{value / size:.1%} of {memory_size(size)}"
                bar, note = _bar(value / size), f"{share}; {note}" if note else share
        table.add_row(Text(printable(name)), Text(text, "bold"), bar, note)

    sizes = {
        "flash_bytes": flash,
        "stack_peak_bytes": memory.stack_limit_bytes,
        "stack_touched_bytes": memory.stack_limit_bytes,
    }
    notes = {
        "stack_peak_bytes": interrupts_note(run.stack.stacks[0]) if memory.stack_peak_bytes is not None else "",
        "heap_peak_bytes": _heap_note(run),
        "ram_peak_bytes": _ram_note(run.heap),
        "mailbox_bytes": "only under test",
    }
    left = {reading.figure.name: reading for reading in readings(run) if reading.figure.unit == "B"}

    def rows(*names: str) -> None:
        for reading in map(left.pop, names):
            name, figure = reading.figure.name, reading.figure
            row(figure.label or figure.title, reading.value, sizes.get(name), notes.get(name, ""))

    rows("flash_bytes", "static_ram_bytes", "stack_peak_bytes", "stack_touched_bytes")
    for stack in run.other_stacks:
        row(f"stack {stack.name}", stack.peak_bytes, stack.limit_bytes, interrupts_note(stack))
    rows("heap_peak_bytes", "ram_peak_bytes")
    names = {region.name for region in board.ram}
    for use in memory.by_region:
        if use.name in names and (used := use.static_bytes + (use.stack_bytes or 0) + (use.heap_bytes or 0)):
            row(f"- {use.name}" + (f" ({left_out(use)})" if left_out(use) else ""), used, use.size_bytes)
    rows(*left)
    return Group(_heading("Memory"), table)


def _heap_note(run: Run) -> str:
    heap = run.heap
    if not heap.attached or heap.allocations is None:
        return ""
    refused = f"{heap.failed_allocations} refused" if heap.failed_allocations else ""
    if not heap.allocations:
        return f"nothing was allocated, {refused}" if refused else "nothing was allocated"
    return f"{heap.allocations} allocations, {heap.frees} frees" + (f", {refused}" if refused else "")


def _ram_note(heap: Heap) -> str:
    if not heap.heap_region_bytes or heap.heap_region_bytes == heap.peak_live_bytes:
        return ""
    return f"with all {heap.heap_region_bytes:,} B from _sbrk"


def _backtrace(frames: Iterable[Frame]) -> Table:
    table = _grid("right", "left", "left")
    for frame in frames:
        size = "?" if frame.frame_bytes is None else f"{frame.frame_bytes:,} B"
        note = f"  {frame_note(frame)}".rstrip()
        function = printable(function_of(frame))
        table.add_row(Text(size, "bold"), Text(function), Text(printable(place(frame) + note), "dim"))
    return table


def _heap(heap: Heap) -> Table:
    table = _grid("left", "right", "left", "left")
    for title, groups in (("at its peak", heap.peak), ("never freed", heap.leaks)):
        for index, group in enumerate(groups[:_LARGEST_ALLOCATIONS]):
            size, blocks = Text(written(group.bytes, "B"), "bold"), f"in {counted(group.allocations, 'block')}"
            table.add_row(title if index == 0 else "", size, blocks, _callers(group))
        if len(groups) > _LARGEST_ALLOCATIONS:
            rest = groups[_LARGEST_ALLOCATIONS:]
            size = Text(written(sum(group.bytes for group in rest), "B"), "bold")
            table.add_row("", size, "", Text(f"on {counted(len(rest), 'other path')}", "dim"))
    for failed in heap.failed[:_LARGEST_ALLOCATIONS]:
        size = Text(written(failed.largest_bytes, "B"), "bold")
        table.add_row("refused", size, counted(failed.failures, "time"), _callers(failed))
        if note := refusal_note(failed):
            table.add_row("", "", "", Text(f"then {note}", "dim"))
    if len(heap.failed) > _LARGEST_ALLOCATIONS:
        table.add_row(
            "", "", "", Text(f"refused on {counted(len(heap.failed) - _LARGEST_ALLOCATIONS, 'other path')}", "dim")
        )
    if heap.heap_region_bytes:
        region = Text(written(heap.heap_region_bytes, "B"), "bold")
        table.add_row("from _sbrk", region, "", Text(f"{heap.overhead_bytes:,} B more than the peak", "dim"))
    return table


def _callers(made: Allocations | FailedAllocations) -> Text:
    task = f" in the task {made.task}" if made.task is not None else ""
    where_from = printable(f"{place(made)}{task}")
    return Text.assemble(printable(" < ".join(call_path(made.backtrace))), (f"  {where_from}", "dim"))


def _timeline(timeline: Timeline) -> Group:
    table = _grid("left", "bar", "left")
    for name, levels in (("stack", timeline.stack_bytes), ("heap", timeline.heap_bytes or [])):
        if any(levels):
            table.add_row(name, Text(_sparkline(levels), "cyan"), Text(f"most: {max(levels):,} B", "dim"))
    return Group(_heading("From reset to the end"), table)


def _sparkline(levels: list[int]) -> str:
    """Return a bar for the maximum of each part of ``levels``; a blank if the maximum is 0."""
    width = min(len(levels), _SPARKLINE_WIDTH)
    bounds = [index * len(levels) // width for index in range(width + 1)]
    parts = [max(levels[start:end]) for start, end in pairwise(bounds)]
    most = max(parts)
    return "".join(_SPARKS[-(-level * (len(_SPARKS) - 1) // most)] if level else " " for level in parts)


def _instructions(run: Run) -> Group:
    counts = run.instructions
    assert counts.total is not None
    lines: list[RenderableType] = []
    if counts.per_inference is not None:
        spread = ""
        if counts.per_inference_smallest != counts.per_inference:
            spread = f" at most, {counts.per_inference_smallest:,} at least"
        lines.append(
            Text.assemble((f"{counts.per_inference:,}", "bold"), f" an inference{spread}; {counts.total:,} in all")
        )
    else:
        lines.append(Text(f"{counts.total:,} in all"))
    for reading in readings(run):
        figure = reading.figure
        if figure.section == "instructions" and figure.name not in _IN_A_SENTENCE and not reading.reason:
            lines.append(Text(f"{figure.label or figure.title}: {reading.text}"))
    table = _grid("right", "bar", "left")
    largest = list(counts.by_function.items())[:_LARGEST_FUNCTIONS]
    for name, count in largest:
        share = count / counts.total if counts.total else 0.0
        table.add_row(f"{share:.1%}", _bar(share), Text(printable(name)))
    lines.append(table)
    for title, regions in (("loads", counts.loads_by_region), ("stores", counts.stores_by_region)):
        if regions is not None:
            lines.append(Text(f"{title}: " + ", ".join(f"{name} {count:,}" for name, count in regions.items())))
    return Group(*lines)


def _coverage(coverage: Coverage) -> Text:
    lines = [count for counts in coverage.lines.values() for count in counts.values()]
    functions = [function.executions for function in coverage.functions]
    parts = (
        (f"{sum(map(bool, counts)):,} of {len(counts):,} ", name)
        for counts, name in ((functions, "functions"), (lines, "lines"))
    )
    return Text(", ".join(count + name for count, name in parts) + " ran; `emu report --lcov` says which")


def _parity(run: Run) -> Table:
    parity = run.parity
    assert parity is not None
    table = _grid("left", "left")
    wrong = without_numbers(parity)
    for line in wrong:
        table.add_row(Text("no error", "bold red"), line)
    if not wrong:
        table.add_row(
            f"against {parity.reference}",
            f"mean {parity.mean_abs_error:.2e}, largest {parity.max_abs_error:.2e}, "
            f"mean relative {parity.relative_mean_error:.1e}",
        )
    if parity.float32 is not None and not wrong:
        table.add_row(
            "against PyTorch float32",
            f"mean {parity.float32.mean_abs_error:.2e}, largest {parity.float32.max_abs_error:.2e}",
        )
    table.add_row("worst input", worst_input(parity))
    if parity.label_accuracy is not None:
        table.add_row("right about the true label", f"{parity.label_accuracy:.1%} of {parity.compared} {parity.unit}s")
    return table


def _reading(reading: Reading) -> Table:
    table = _grid("left", "left")
    for title, text in reading_lines(reading):
        table.add_row(title, printable(text))
    return table


_LAYERS = {
    "the module's own": "Layer by layer, against the module's own tensors",
    "PyTorch": "Layer by layer",
    "the model as emu reads it": "Layer by layer, as emu reads the file",
}
"""The heading, by whose tensors the engine's were compared with."""


def _layers(layers: list[LayerError]) -> Table:
    table = _grid("left", "left", "right", "left")
    first = next((layer.tensor for layer in layers if layer.diverged), None)
    for layer in layers:
        mark = Text("✗", "bold red") if layer.diverged else Text("✓", "green")
        note = "  <- the first to diverge" if layer.tensor == first else ""
        table.add_row(mark, Text(printable(layer.tensor)), layer_error(layer), Text(note, "bold red"))
    return table


def _output(run: Run) -> Group:
    shown, number = last_lines(run.output, _LAST_LINES)
    note = f"  the last {len(shown)} of {number:,} lines" if len(shown) < number else ""
    if run.output_cut_bytes:
        note += f"; cut: {run.output_cut_bytes:,} bytes before them were not kept"
    heading = Text.assemble(("What the firmware printed", "bold"), (note, "dim"))
    return Group(heading, *(Text.assemble(("| ", "dim"), line) for line in shown))


def _memory_check(check: MemoryCheck) -> list[RenderableType]:
    notes = [f"with {allocator(check)}"]
    if check.suppressed:
        notes.append(f"{check.suppressed} suppressed")
    if check.cut:
        notes.append("there are more than were kept")
    heading = Text.assemble(
        ("Memory check: ", "bold"), counted(len(check.findings), "error"), (f"  {', '.join(notes)}", "dim")
    )
    parts: list[RenderableType] = [heading]
    for finding in check.findings:
        parts += [Text(), _fault(finding, finding_notes(finding))]
    return parts


def _fault(fault: Fault, notes: Iterable[str] = ()) -> Group:
    lines: list[RenderableType] = [
        Text.assemble((f"{kind(fault.kind)}: ", "bold red"), printable(fault.detail)),
    ]
    lines += [Text(f"  {printable(line)}") for line in (where(fault), *notes) if line]
    if fault.backtrace:
        lines.append(_backtrace(fault.backtrace))
    return Group(*lines)
