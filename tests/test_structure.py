"""Data flows one way through the package: no module imports from a layer above, and no imports form a circle."""

import ast
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "emu"

LAYERS = (
    ("emu.errors", "emu.record", "emu.elf", "emu.debug_info", "emu.targets"),
    ("emu.architectures", "emu.firmware"),
    ("emu.native", "emu.probes"),
    ("emu.machines", "emu.native.qemu", "emu.native.unicorn"),
    ("emu.mailbox", "emu.run"),
    ("emu.cli", "emu.commands", "emu.pytest_plugin"),
)
"""The lowest layer first. A module's layer is the longest name here with which its own name begins, if any does."""

RECORD_READERS = ("emu.reports", "emu.budgets")
"""These make everything from records, and import no module that runs firmware."""

EMULATORS = ("host", "qemu", "renode", "unicorn")
"""Their folders are in ``emu.machines`` and ``emu.native``; none of them knows another."""

Imports = Mapping[str, set[str]]
"""The imports of each module, by the module's name."""


def modules() -> dict[str, Path]:
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imported(tree: ast.AST, known: Collection[str], *, when_loaded: bool) -> Iterator[str]:
    """Yield the modules that ``tree`` imports; ``when_loaded`` leaves out the imports inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else str(node.module)
        elif not (when_loaded and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield from imported(node, known, when_loaded=when_loaded)


def imports(*, when_loaded: bool = False) -> Imports:
    known = modules()
    return {
        name: set(imported(ast.parse(path.read_text()), known, when_loaded=when_loaded)) - {name}
        for name, path in known.items()
    }


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def layer_of(module: str) -> int | None:
    named = [(name, index) for index, names in enumerate(LAYERS) for name in names if is_in(module, name)]
    return max(named, key=lambda pair: len(pair[0]))[1] if named else None


def emulator_of(module: str) -> str | None:
    folders = {f"emu.{room}.{name}": name for room in ("machines", "native") for name in EMULATORS}
    return next((name for folder, name in folders.items() if is_in(module, folder)), None)


def arrows_up(graph: Imports) -> list[str]:
    """Return each import of a module in a layer above the importer's."""
    found = []
    for module, others in graph.items():
        layer = layer_of(module)
        for other in sorted(others):
            above = layer_of(other)
            if layer is not None and above is not None and above > layer:
                found.append(f"{module} imports {other}")
    return found


def arrows_aside(graph: Imports) -> list[str]:
    """Return each import by which an emulator knows another one, or a report knows a module that runs firmware."""
    found = []
    running = layer_of("emu.machines")
    assert running is not None
    for module, others in graph.items():
        reads = any(is_in(module, name) for name in RECORD_READERS)
        for other in sorted(others):
            one, another = emulator_of(module), emulator_of(other)
            if one is not None and another not in (None, one):
                found.append(f"{module} imports {other}")
            if reads and (layer_of(other) or 0) >= running:
                found.append(f"{module} imports {other}")
    return found


def circle(graph: Imports) -> list[str]:
    """Return a circle of imports: each module imports the next, and the last is the first; nothing if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_module_imports_from_a_layer_above_its_own() -> None:
    assert arrows_up(imports()) == []


def test_no_emulator_knows_another_and_no_report_knows_a_machine() -> None:
    assert arrows_aside(imports()) == []


def test_no_modules_import_each_other_when_they_are_loaded() -> None:
    assert circle(imports(when_loaded=True)) == []


def test_every_name_of_a_layer_is_a_module_or_one_that_is_to_come() -> None:
    known = modules()
    assert {name for names in LAYERS for name in names} - set(known) <= {"emu.commands"}
    assert all(layer_of(name) is not None for name in known if name.startswith(("emu.probes.", "emu.machines.")))


@pytest.mark.parametrize(
    ("module", "other"),
    [
        ("emu.architectures.armv7em.core", "emu.machines.gdb_remote"),
        ("emu.architectures.core", "emu.probes.stack"),
        ("emu.probes.heap", "emu.native.unicorn.hooks"),
        ("emu.probes.stack", "emu.machines.qemu.run"),
        ("emu.machines.counts", "emu.run.plan"),
        ("emu.run.running", "emu.cli"),
    ],
)
def test_an_arrow_up_is_found(module: str, other: str) -> None:
    assert arrows_up({module: {other}}) == [f"{module} imports {other}"]
    assert arrows_up({other: {module}}) == []


@pytest.mark.parametrize(
    ("module", "other"),
    [
        ("emu.machines.qemu.machine", "emu.machines.unicorn.stacks"),
        ("emu.native.qemu", "emu.native.unicorn"),
        ("emu.reports.html", "emu.machines"),
        ("emu.budgets.limits", "emu.run.running"),
    ],
)
def test_an_arrow_aside_is_found(module: str, other: str) -> None:
    assert arrows_aside({module: {other}}) == [f"{module} imports {other}"]


def test_imports_of_functions_and_of_packages_are_found() -> None:
    source = "import emu.elf\ndef late():\n    from emu import record\n    from emu.targets import Board\n"
    known: set[str] = {"emu", "emu.elf", "emu.record", "emu.targets"}
    assert set(imported(ast.parse(source), known, when_loaded=False)) == {"emu.elf", "emu.record", "emu.targets"}
    assert set(imported(ast.parse(source), known, when_loaded=True)) == {"emu.elf"}


def test_a_circle_is_found() -> None:
    assert set(circle({"emu.a": {"emu.b"}, "emu.b": {"emu.c"}, "emu.c": {"emu.a"}})) == {"emu.a", "emu.b", "emu.c"}
    assert circle({"emu.a": {"emu.b"}, "emu.b": {"emu.c"}, "emu.c": set()}) == []
