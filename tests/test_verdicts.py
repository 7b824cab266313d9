"""A verdict names exactly what was checked."""

import pytest

from emu.record import Firmware, Memory, MemoryCheck, MemoryFinding, Run
from emu.reports.junit import render_junit
from emu.reports.markdown import render_markdown
from emu.verdicts import judge

FINDING = MemoryFinding(kind="null_pointer_read", detail="a read of 4 bytes at 0", address=0)
HEAP, VALUES = "its allocator is not followed", "the ELF has no symbols"


def checked(check: MemoryCheck | None, **not_measured: str) -> Run:
    run = Run(
        model="program",
        target="stm32h7-unicorn",
        firmware=Firmware(path="program.elf", sha256="0", toolchain=None),
        memory=Memory(flash_bytes=1),
        memory_check=check,
        not_measured={name.replace("_", " "): why for name, why in not_measured.items()},
    )
    run.verdicts = judge(run)
    return run


@pytest.mark.parametrize(
    ("check", "not_measured", "value"),
    [
        (MemoryCheck(allocator="faithful"), {}, "0 memory errors"),
        (MemoryCheck(allocator="faithful", suppressed=3), {}, "0 memory errors; 3 suppressed"),
        (
            MemoryCheck(allocator="faithful"),
            {"errors_of_the_heap": HEAP},
            "0 memory errors; not looked for: errors of the heap",
        ),
        (
            MemoryCheck(allocator="faithful", findings=[FINDING], suppressed=1),
            {"errors_of_the_heap": HEAP, "uninitialised_values": VALUES},
            "1 memory error; 1 suppressed; not looked for: uninitialised values, errors of the heap",
        ),
    ],
)
def test_no_memory_error_names_what_was_not_looked_for(
    check: MemoryCheck, not_measured: dict[str, str], value: str
) -> None:
    run = checked(check, **not_measured)
    (verdict,) = (verdict for verdict in run.verdicts if verdict.name == "no memory error")
    assert (verdict.value, verdict.ok) == (value, not check.findings)
    for report in (render_markdown([run]), render_junit([run])):
        assert value in report


def test_without_a_check_there_is_no_verdict() -> None:
    run = checked(None, errors_of_the_heap=HEAP)
    assert [verdict.name for verdict in run.verdicts] == ["no fault"]
