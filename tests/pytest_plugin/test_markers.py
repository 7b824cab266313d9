"""Markers: the runs that they let pass, and the message if they do not."""

import numpy as np
import pytest
from projects import Compile, Project

from emu.budgets.usage import usages
from emu.figures import BUDGETS
from emu.inputs import load_inputs
from emu.model.sources import find_model
from emu.run import RunOptions, run_firmware
from emu.targets import find_target

RUN = "emu_run('filters.elf')"
IMPORTS = "from emu.run import RunOptions\nfrom emu.suppressions import Suppression\n"


def written(name: str, *markers: str, body: str = RUN) -> str:
    """Return the source of a test."""
    return "".join(f"@pytest.mark.{marker}\n" for marker in markers) + f"def test_{name}(emu_run):\n    {body}\n\n"


def write(project: Project, *tests: str) -> None:
    project.write("test_filters.py", f"import pytest\n{IMPORTS}\n" + "".join(tests))


LIMITS = {
    "limit_flash": ("flash", " B", "1,000 B  weights"),
    "limit_heap": ("heap", " B", "320 B  allocate_history  filters.c:"),
    "limit_instructions": ("instructions", "", "  spin"),
    "limit_ram": ("ram", " B", "500 B  samples"),
    "limit_stack": ("stack", " B", " B  filter         filters.c:"),
    "limit_static_ram": ("static_ram", " B", "500 B  samples"),
}


def test_a_limit_holds_to_the_byte_and_names_who_used_it(project: Project, compile_program: Compile):
    target = find_target("stm32h7-unicorn")
    run = run_firmware(compile_program(), "filters", target, None, RunOptions(), lambda _done, _total: None)
    values = {marker: usages(run)[figure].value for marker, (figure, *_) in LIMITS.items()}
    used = {marker: value for marker, value in values.items() if isinstance(value, int) and value > 0}
    assert used.keys() == LIMITS.keys()
    write(
        project,
        *(written(f"{marker}_holds", f"{marker}({used[marker]})") for marker in LIMITS),
        *(written(f"{marker}_fails", f"{marker}({used[marker] - 1})") for marker in LIMITS),
    )
    tests = project.pytest().tests
    for marker, (figure, unit, who) in LIMITS.items():
        assert tests[f"test_{marker}_holds"].outcome == "passed", tests
        too = "1 too many" if figure == "instructions" else "1 B too much"
        headline = f": {used[marker]:,}{unit}, limit {used[marker] - 1:,}{unit}: {too}"
        tests[f"test_{marker}_fails"].assert_failed("filters on stm32h7-unicorn", headline, who, f"the marker {marker}")


def test_a_part_of_a_run_that_failed_fails_the_test(project: Project):
    project.write(
        "conftest.py",
        "import emu.run.layers\n"
        "def trace_layers(*_): raise KeyError('lost')\n"
        "emu.run.layers.trace_layers = trace_layers\n",
    )
    options = "limit=1, options=RunOptions(trace_input=0)"
    write(
        project,
        written("layers", body=f"assert emu_run('har', {options}).parity"),
        written("unchecked", body=f"assert emu_run('har', {options}, check=False).failures"),
    )
    tests = project.pytest().tests
    tests["test_layers"].assert_failed("har on stm32h7-unicorn", "layers: an error in emu: KeyError: 'lost'")
    assert tests["test_unchecked"].outcome == "passed"


def test_what_limits_are_told_and_when(project: Project, compile_program: Compile):
    compile_program(WINDOW=1500)
    compile_program("wide", WINDOW=3000)
    compile_program("stripped", "-s")
    write(
        project,
        "@pytest.fixture\ndef wide(emu_run): return emu_run('wide.elf')\n\n",
        written("units_hold", 'limit_stack("2 KB")'),
        written("units_fail", 'limit_stack("1 KB")'),
        written("all_at_once", 'limit_stack("16 B")', 'limit_heap("0 B")', 'limit_ram("1 MB")'),
        written("not_measured", 'limit_heap("1 MB")', body="emu_run('stripped.elf')"),
        written("every_run", 'limit_stack("2 KB")', body="emu_run('filters.elf'), emu_run('wide.elf')"),
        written("of_a_fixture", 'limit_stack("2 KB")', body="pass").replace("emu_run", "wide"),
        written("other_target", 'limit_stack("16 B", target="*-qemu")'),
        written("this_target", 'limit_stack("16 B", target="*-unicorn")'),
        written("fails_by_itself", 'limit_stack("16 B")', body="assert emu_run('filters.elf').output == 'expected'"),
        written("expected", 'limit_stack("16 B")', "xfail(strict=True)"),
        "@pytest.mark.limit_stack('1 KB')\ndef test_without_a_run(): pass\n",
    )
    tests = project.pytest().tests
    for name in ("units_hold", "other_target"):
        assert tests[f"test_{name}"].outcome == "passed", tests[f"test_{name}"]
    tests["test_units_fail"].assert_failed("limit 1,024 B")
    tests["test_all_at_once"].assert_failed("stack peak:", "heap peak:")
    assert "RAM peak:" not in tests["test_all_at_once"].text
    tests["test_not_measured"].assert_failed("heap peak: not measured", "no symbols")
    tests["test_every_run"].assert_failed("wide on stm32h7-unicorn")
    assert "filters on stm32h7-unicorn" not in tests["test_every_run"].text
    tests["test_of_a_fixture"].assert_failed("stack peak:")
    tests["test_this_target"].assert_failed("stack peak:")
    tests["test_fails_by_itself"].assert_failed("AssertionError", "'expected'")
    assert "stack peak:" in project.pytest("-k", "fails_by_itself").text
    assert tests["test_expected"].outcome == "skipped"
    tests["test_without_a_run"].assert_failed("limit_stack has no effect: this test never calls emu_run")


def test_the_nearest_limit_counts_and_settings_are_the_farthest(project: Project, compile_program: Compile):
    compile_program(WINDOW=1500)
    project.write("pyproject.toml", '[tool.pytest.ini_options]\nemu_limit_stack = "1 KB"\nemu_limit_ram = "64 KB"\n')
    source = (
        "import pytest\n\n" + written("default") + written("own", 'limit_stack("2 KB")') + "def test_none(): pass\n"
    )
    project.write("test_settings.py", source)
    project.write("test_module.py", source.replace("\n\n", "\npytestmark = pytest.mark.limit_stack('512 B')\n", 1))
    for file, limit, origin in (
        ("test_settings.py", 1024, "the setting emu_limit_stack"),
        ("test_module.py", 512, "the marker limit_stack"),
    ):
        tests = project.pytest(file).tests
        tests["test_default"].assert_failed("stack peak:", f"limit {limit:,} B", origin)
        assert tests["test_own"].outcome == tests["test_none"].outcome == "passed"


def test_a_fault_fails_a_test_whatever_its_limits(project: Project, compile_program: Compile):
    compile_program(MAIN="*(volatile int *)0x60000000 = 1;")
    unchecked = "assert emu_run('filters.elf', check=False).faults[0].kind == 'unmapped_write'"
    write(project, written("unlimited"), written("limited", 'limit_stack("4 KB")'), written("free", body=unchecked))
    tests = project.pytest().tests
    for name in ("unlimited", "limited"):
        tests[f"test_{name}"].assert_failed("unmapped write: ", "in main filters.c:")
    assert tests["test_free"].outcome == "passed"


def test_memory_errors(project: Project, compile_program: Compile):
    compile_program(MAIN="samples[1] = *(volatile char *)0;")
    project.write("accepted.toml", '[[suppress]]\nkind = "null_*"\nreason = "known"\n')
    write(
        project,
        written("unasked"),
        written("found", "no_memory_errors"),
        written("accepted", "no_memory_errors(suppressions='accepted.toml')"),
    )
    tests = project.pytest().tests
    tests["test_found"].assert_failed("null pointer read: ", "in main filters.c:")
    assert tests["test_unasked"].outcome == tests["test_accepted"].outcome == "passed"


def test_what_no_memory_errors_says_nothing_about_is_told(project: Project, compile_program: Compile):
    compile_program("stripped", "-s")
    compile_program()
    write(
        project,
        written("stripped", "no_memory_errors", body="emu_run('stripped.elf')"),
        written("whole", "no_memory_errors"),
    )
    for workers in ((), ("-n1",)):
        session = project.pytest(*workers)
        assert session.outcomes == {"test_stripped": "passed", "test_whole": "passed"}
        (line,) = (line for line in session.text.splitlines() if line.startswith("emu: "))
        assert line.startswith(
            "emu: stripped@stm32h7-unicorn: no_memory_errors has not looked for uninitialised values: the ELF"
        )
        assert "errors of the heap: " in line
        told = [name for name in session.tests["test_stripped"].properties if name.endswith("not_looked_for")]
        assert told == ["stripped@stm32h7-unicorn.memory_errors_not_looked_for"]


def test_parity(project: Project):
    path = find_model("har").inputs
    assert path is not None
    inputs = load_inputs(path).first(3)
    assert inputs.logits64 is not None
    wrong = inputs.logits64.copy()
    wrong[1] = np.roll(wrong[1], 1)
    np.savez(project.directory / "right.npz", x=inputs.x, logits64=inputs.logits64)
    np.savez(project.directory / "wrong.npz", x=inputs.x, logits64=wrong)
    np.savez(project.directory / "far.npz", x=inputs.x, logits64=inputs.logits64 + 0.25)
    np.savez(project.directory / "none.npz", x=inputs.x)
    (project.directory / "har.mamba").write_bytes(find_model("har").image.read_bytes())

    def asked(name: str, marker: str, file: str) -> str:
        return written(name, marker, body=f"emu_run('har.mamba', '{file}.npz')")

    write(
        project,
        asked("right", "parity", "right"),
        asked("close", "parity(atol=1e-5)", "right"),
        asked("near", "parity(atol=0.3)", "far"),
        asked("numbers_alone", "parity(atol=1e9, argmax=False)", "wrong"),
        asked("class", "parity(atol=1e9)", "wrong"),
        asked("atol", "parity(atol=0.2)", "far"),
        asked("mean", "parity", "far"),
        asked("unknown", "parity", "none"),
    )
    tests = project.pytest().tests
    for name in ("right", "close", "near", "numbers_alone"):
        assert tests[f"test_{name}"].outcome == "passed", tests[f"test_{name}"]
    tests["test_class"].assert_failed("1 of 3 inputs have another class", "worst input: #1", "--trace-layers")
    tests["test_atol"].assert_failed("largest logit error 2.50e-01, limit 2.00e-01")
    tests["test_mean"].assert_failed("mean logit error")
    tests["test_unknown"].assert_failed("not measured: the inputs come with no reference logits")


IMPOSSIBLE_MARKERS = {
    "size": ('limit_stack("2 KBB")', 'limit_stack: "2 KBB" is not a size'),
    "no_size": ("limit_stack()", "limit_stack: wrong arguments"),
    "number": ('limit_instructions("many")', 'limit_instructions: "many" is not a number'),
    "argument": ("parity(tolerance=1)", "parity: wrong arguments"),
    "words": ('parity(atol="tight")', "parity: atol='tight': needs a number of 0 or more"),
    "nan": ('parity(atol=float("nan"))', "parity: atol=nan: needs a number of 0 or more"),
    "file": ("no_memory_errors(suppressions='missing.toml')", "missing.toml: No such file"),
}
IMPOSSIBLE_RUNS = {
    "name": ("emu_run('kwss')", '"kwss" is no model'),
    "elf": ("emu_run('missing.elf')", "missing.elf: No such file"),
    "no_elf": ("emu_run('filters.c')", "is no model"),
    "inputs": ("emu_run('filters.elf', 'missing.npz')", "missing.npz"),
    "none": ("emu_run('har', limit=0)", "limit 0: at least one input has to be run"),
    "allocator": (
        "emu_run('filters.elf', options=RunOptions(replace_allocator=True))",
        "--replace-allocator needs --memcheck",
    ),
    "suppressions": (
        "emu_run('filters.elf', options=RunOptions(suppressions=(Suppression(reason='known'),)))",
        "--suppressions needs --memcheck",
    ),
    "fewer": ("emu_run('har', limit=-1)", "limit -1: at least one input has to be run"),
}


def test_what_cannot_be_is_told_in_one_line(project: Project, compile_program: Compile):
    compile_program()
    write(
        project,
        *(written(name, marker) for name, (marker, _) in IMPOSSIBLE_MARKERS.items()),
        *(written(name, body=call) for name, (call, _) in IMPOSSIBLE_RUNS.items()),
    )
    session = project.pytest()
    for name, (_, says) in IMPOSSIBLE_MARKERS.items():
        assert session.tests[f"test_{name}"].outcome == "error"
        assert says in session.tests[f"test_{name}"].text
    for name, (call, says) in IMPOSSIBLE_RUNS.items():
        session.tests[f"test_{name}"].assert_failed(f">       {call}\nE ", says)
    assert "Traceback" not in session.text


def test_two_files_of_one_stem_have_figures_of_their_own_in_junit(project: Project, compile_program: Compile):
    for directory, window in (("debug", 512), ("release", 256)):
        (project.directory / directory).mkdir()
        compile_program("filters", WINDOW=window).rename(project.directory / directory / "filters.elf")
    project.write(
        "test_both.py", "def test_both(emu_run):\n    emu_run('debug/filters.elf'), emu_run('release/filters.elf')\n"
    )
    properties = project.pytest().tests["test_both"].properties
    stacks = {name: int(value) for name, value in properties.items() if name.endswith(".stack")}
    assert set(stacks) == {f"{name}/filters@stm32h7-unicorn.stack" for name in ("debug", "release")}
    assert len(set(stacks.values())) == 2


def test_figures_go_to_junit(project: Project, compile_program: Compile):
    compile_program("filters", "-s")
    write(project, written("figures"))
    properties = project.pytest().tests["test_figures"].properties
    assert int(properties["filters@stm32h7-unicorn.stack"]) > 256
    assert properties["filters@stm32h7-unicorn.heap"].startswith("not measured: ")
    assert {name.partition(".")[2] for name in properties} == BUDGETS.keys()


def test_markers_are_known_to_pytest(project: Project):
    text = project.pytest("--markers").text
    assert all(f"@pytest.mark.{marker}" in text for marker in (*LIMITS, "parity", "no_memory_errors"))


@pytest.mark.parametrize("setting", ["emu_limit_stack", "emu_limit_instructions"])
def test_a_setting_that_cannot_be(project: Project, setting: str):
    project.write("pytest.ini", f"[pytest]\n{setting} = 2 KBB\n")
    write(project, written("filters"))
    session = project.pytest()
    assert session.code == pytest.ExitCode.USAGE_ERROR
    assert f'{setting}: "2 KBB"' in session.text
    assert "Traceback" not in session.text
