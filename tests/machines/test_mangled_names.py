"""C++ and Rust names, against c++filt: in the record, in every report, and in suppressions."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from builds import TARGET, build

from emu.elf import FUNCTION, OBJECT
from emu.firmware import Firmware
from emu.names import readable
from emu.record import Run
from emu.reports.annotations import render_annotations
from emu.reports.collapsed import render_collapsed
from emu.reports.lcov import render_lcov
from emu.reports.sources import Sources
from emu.reports.speedscope import render_speedscope
from emu.run import RunOptions, run_firmware
from emu.suppressions import Suppression, suppress

NEVER_SET = "int shop::(anonymous namespace)::never_set<shop::Item, char>(shop::Item, char)"

# From the tests of rustc-demangle, the demangler of the Rust project.
RUST = {
    "_RNvC6_123foo3bar": "123foo::bar",
    "_RMCs4fqI2P2rA04_13const_genericINtB0_8UnsignedKhb_E": "<const_generic::Unsigned<11>>",
    "_RNCNCNgCs6DXkGYLi8lr_2cc5spawn00B5_": "cc::spawn::{closure#0}::{closure#0}",
    "_RNCINkXs25_NgCsbmNqQUJIY6D_4core5sliceINyB9_4IterhENuNgNoBb_4iter8iterator8Iterator9rpositionNCNgNpB9_6memchr7"
    "memrchrs_0E0Bb_": "<core::slice::Iter<u8> as core::iter::iterator::Iterator>::rposition::"
    "<core::slice::memchr::memrchr::{closure#1}>::{closure#0}",
    "_RINbNbCskIICzLVDPPb_5alloc5alloc8box_freeDINbNiB4_5boxed5FnBoxuEp6OutputuEL_ECs1iopQbuBiw2_3std": (
        "alloc::alloc::box_free::<dyn alloc::boxed::FnBox<(), Output = ()>>"
    ),
    "_RMC0INtC8arrayvec8ArrayVechKj7b_E": "<arrayvec::ArrayVec<u8, 123>>",
    "_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y": "utf8_idents::საჭმელად_გემრიელი_სადილი",
    "_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar17h930b740aa94f1d3aE": (
        "<Test + 'static as foo::Bar<Test>>::bar"
    ),
    "_ZN3foo17h05af221e174051e9E": "foo",
}


def filtered(name: str) -> str:
    """Return what binutils makes of a name."""
    return subprocess.run(["c++filt", name], capture_output=True, text=True, check=True).stdout.removesuffix("\n")


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("names"), "names.cpp", "-O1", "-fno-exceptions", "-fno-rtti")


@pytest.fixture(scope="module")
def run(elf: Path) -> Run:
    options = RunOptions(memcheck=True, profile=True, coverage=True)
    return run_firmware(elf, "names", TARGET, None, options, lambda _done, _total: None)


def test_names_of_gcc_are_those_of_its_own_demangler(elf: Path):
    names = [s.name for s in Firmware.load(elf, TARGET).symbols if s.kind in (FUNCTION, OBJECT)]
    names = [name for name in names if name.startswith("_Z") and "17h0123" not in name]  # old Rust
    assert len(names) >= 6
    assert {name: readable(name) for name in names} == {name: filtered(name) for name in names}


@pytest.mark.parametrize("name", RUST)
def test_rust_names_are_those_of_rusts_own_demangler(name: str):
    assert readable(name) == RUST[name]


@pytest.mark.parametrize(
    "name", ["main", "_Zebra", "_R", "_Reset", "_ZN", "_Z", "_ZN3foo", "", "$t", "_Z1f" + "P" * 10**6]
)
def test_a_name_without_a_meaning_is_left_as_it_is(name: str):
    assert readable(name) == name


def test_the_record_has_the_name_of_the_source_and_of_the_linker(run: Run):
    assert run.memory_check is not None
    (finding,) = run.memory_check.findings
    assert (finding.kind, finding.function) == ("uninitialised_branch", NEVER_SET)
    assert finding.symbol is not None
    assert filtered(finding.symbol) == NEVER_SET
    assert finding.backtrace[-1].symbol is None  # main and the startup code are C's
    assert NEVER_SET in run.instructions.by_function
    assert "<[u8; 4]>::sum" in run.instructions.by_function
    assert "core::slice::index::in_range" in run.instructions.by_function
    assert "shop::window" in {use.name for use in run.memory.static_ram_symbols}
    assert not re.search(r"\b_[ZR]\w", re.sub(r'"symbol":"[^"]*"', "", run.model_dump_json()))


def test_a_suppression_matches_either_name(run: Run):
    assert run.memory_check is not None
    finding = run.memory_check.findings[0]
    for pattern in (NEVER_SET, "*::never_set<*>*", str(finding.symbol), "_ZN4shop*never_set*"):
        left = suppress(run.memory_check, [Suppression(function=pattern, reason="known")])
        assert (len(left.findings), left.suppressed) == (0, 1), pattern
    left = suppress(run.memory_check, [Suppression(function="_ZN4shop*always_set*", reason="another")])
    assert len(left.findings) == 1


def test_names_with_commas_spaces_and_semicolons_do_not_break_a_format(run: Run):
    counts = run.instructions.by_function
    stacks = [re.fullmatch(r"(.+) (\d+)", line) for line in render_collapsed([run]).splitlines()]
    innermost: dict[str, int] = {}
    for stack in stacks:
        assert stack is not None
        name = stack[1].split(";")[-1]
        innermost[name] = innermost.get(name, 0) + int(stack[2])
    assert innermost == {name.replace(";", ":"): count for name, count in counts.items()}

    lcov = render_lcov([run])
    functions = {name: count for count, name in re.findall(r"^FNDA:(\d+),(.+)$", lcov, re.M)}
    assert functions[NEVER_SET] == "1"
    assert set(functions) == {name for _, name in re.findall(r"^FN:(\d+),(.+)$", lcov, re.M)}

    frames = json.loads(render_speedscope([run]))["shared"]["frames"]
    assert NEVER_SET in {frame["name"] for frame in frames}

    (annotation,) = render_annotations([run], Sources(Path(__file__).parents[2])).splitlines()
    assert re.match(r"::error file=tests/firmware/names\.cpp,line=\d+,title=[^:,]*::", annotation)
    assert NEVER_SET in annotation
