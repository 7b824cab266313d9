"""Firmware with MSUB.S on a Renode that negates its result, and on one that has no FPU or another fault.

The stand-in is QEMU's core, made wrong as Renode's was seen to be. The bits that are right are QEMU's own.
"""

from pathlib import Path

import numpy as np
import pytest
import stand_in
from xtensa_builds import TARGET, build

from emu.architectures.xtensa import encoding
from emu.errors import MissingToolError
from emu.firmware import Firmware
from emu.instruments import Instruments
from emu.machines import Limits, Machine, Measurements
from emu.machines.qemu import QemuMachine
from emu.machines.renode import RenodeMachine, fpu, lx7
from emu.machines.renode.fpu_questions import QUESTIONS
from emu.machines.renode.renodes import Renodes
from emu.targets import find_target
from emu.toolchains import find_toolchain

RENODE = find_target("esp32s3-renode")
LIMITS = Limits(instructions=3_000_000, seconds=60)
SHAPES = (
    "leaves()",
    "accumulates()",
    "at_a_loops_end()",
    "is_a_whole_loop()",
    "in_a_loop_of_no_turns()",
    "in_the_middle_of_a_loop()",
    "after_a_loop_that_is_left()",
    "loops_within_a_loop()",
    "a_branch_leads_there()",
    "between_other_products()",
    "special_numbers()",
    "results[0] = bits_of(first_and_last(inputs[0], inputs[1], inputs[2]))",
    "results[0] = bits_of(narrow(inputs[0], inputs[1], inputs[2]))",
    "results[0] = looks_like()",
    "results[0] = bits_of(recursive(20, 0.5f))",
)
pytestmark = pytest.mark.skipif(stand_in.missing_for_xtensa() != "", reason=stand_in.missing_for_xtensa())


@pytest.fixture(scope="module")
def renodes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a Renode that negates, and one whose signs are right; each is asked once for the whole module."""
    directory = tmp_path_factory.mktemp("renodes")
    return stand_in.command_in(directory / "negates"), stand_in.command_in(directory / "right")


@pytest.fixture(autouse=True)
def negates(renodes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.use(renodes[0], monkeypatch)


def results(machine: Machine, firmware: Firmware) -> tuple[bytes, int | None, Measurements]:
    """Return the program's words, the instructions between its two yields, and what was measured."""
    symbol = firmware.symbol("results")
    assert symbol is not None
    with machine:
        assert machine.boot().reason == "yield"
        stop = machine.resume()
        assert stop.reason == "yield", stop
        return machine.read(symbol.address, symbol.size), stop.instructions, machine.measure()


def in_renode(elf: Path) -> tuple[bytes, int | None, Measurements]:
    firmware = Firmware.load(elf, RENODE)
    return results(RenodeMachine(firmware, RENODE, Instruments(limits=LIMITS)), firmware)


def in_qemu(elf: Path) -> bytes:
    firmware = Firmware.load(elf, TARGET)
    return results(QemuMachine(firmware, TARGET, Instruments(limits=LIMITS)), firmware)[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_place_of_a_negated_product_gives_qemus_bits(
    tmp_path: Path, renodes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    elf = build(tmp_path, "negated_products.c", "-O2", f"-DSHAPE={shape}")
    words, instructions, measured = in_renode(elf)
    expected = in_qemu(elf)
    assert words == expected
    assert any(expected)
    assert measured.faults == ()
    stand_in.use(renodes[1], monkeypatch, "right signs")
    right_words, right_instructions, right = in_renode(elf)
    assert right_words == expected
    assert right.changed == ()
    assert instructions == right_instructions
    assert measured.instructions.total == right.instructions.total


def test_the_record_says_what_was_put_right(tmp_path: Path) -> None:
    _, _, measured = in_renode(build(tmp_path, "negated_products.c", "-O2", "-DSHAPE=leaves()"))
    (why,) = measured.changed
    assert "MSUB.S" in why
    assert "gives 0xbe800000, and 0x3e800000 is right" in why


def test_code_that_no_added_memory_reaches_takes_its_detour_in_free_flash(tmp_path: Path) -> None:
    shape = "results[0] = bits_of(far_away(inputs[0], inputs[1], inputs[2]))"
    elf = build(tmp_path, "negated_products.c", "-O2", f"-DSHAPE={shape}", "-DFAR")
    assert in_renode(elf)[0] == in_qemu(elf)


def test_a_machine_reads_its_code_as_it_is_linked(tmp_path: Path) -> None:
    elf = build(tmp_path, "negated_products.c", "-O2", "-DSHAPE=leaves()")
    firmware = Firmware.load(elf, RENODE)
    (function,) = (each for each in firmware.functions if each.name == "leaf")
    with RenodeMachine(firmware, RENODE, Instruments(limits=LIMITS)) as machine:
        machine.boot()
        size = function.end - function.start
        assert machine.read(function.start, size) == firmware.bytes_at(function.start, size)


def test_a_core_without_fpu_is_refused_before_the_firmware_runs(tmp_path: Path) -> None:
    core = lx7._CORE.replace("de233_fpu", "esp32s3")  # pyright: ignore[reportPrivateUsage]
    firmware = Firmware.load(build(tmp_path, "prints.c"), RENODE)
    with (
        Renodes() as renodes,
        pytest.raises(MissingToolError, match=r"cannot execute wur\.fcr: exception 0 \(EXCCAUSE\)"),
    ):
        fpu.image_for(core, firmware, renodes)


def test_another_wrong_operation_is_refused_with_both_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.use(stand_in.command_in(tmp_path / "bin"), monkeypatch, "wrong sums")
    elf = build(tmp_path, "negated_products.c", "-DSHAPE=leaves()")
    with pytest.raises(MissingToolError, match=r"add\.s of .* gives 0x[0-9a-f]{8}, and 0x405e6530 is right"):
        in_renode(elf)


def test_the_core_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.install(tmp_path, monkeypatch)
    started: list[object] = []
    begin = fpu._run

    def run(*arguments: object) -> object:
        started.append(arguments)
        return begin(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(fpu, "_run", run)
    elf = build(tmp_path, "negated_products.c", "-DSHAPE=leaves()")
    for _ in range(2):
        in_renode(elf)
    assert len(started) == 1


def test_instructions_are_encoded_as_the_assembler_does(tmp_path: Path) -> None:
    ours = {
        "msub.s f1, f2, f3": encoding.fpu("msub", 1, 2, 3),
        "neg.s f1, f2": encoding.fpu("neg", 1, 2),
        "const.s f4, 3": encoding.fpu("const", 4, 3),
        "addexpm.s f0, f7": encoding.fpu("addexpm", 0, 7),
        "utrunc.s a7, f1, 0": encoding.fpu("utrunc", 7, 1, 0),
        "ueq.s b1, f2, f3": encoding.fpu("ueq", 1, 2, 3),
        "movf.s f0, f1, b2": encoding.fpu("movf", 0, 1, 2),
        "movltz.s f0, f1, a6": encoding.fpu("movltz", 0, 1, 6),
        "wsr.excsave6 a2": encoding.write_special("excsave6", 2),
        "rsr.excsave7 a3": encoding.read_special("excsave7", 3),
        "rsr.lcount a3": encoding.read_special("lcount", 3),
        "wsr.vecbase a4": encoding.write_special("vecbase", 4),
        "wsr.ps a4": encoding.write_special("ps", 4),
        "wsr.cpenable a4": encoding.write_special("cpenable", 4),
        "wur.fcr a4": encoding.write_user(232, 4),
        "movt a7, a8, b3": encoding.move_if_true(7, 8, 3),
        "movi a7, -100": encoding.move(7, -100),
        "addi a3, a4, -7": encoding.add(3, 4, -7),
        "l32i a3, a4, 8": encoding.load(3, 4, 8),
        "s32i a3, a4, 12": encoding.store(3, 4, 12),
        "beqz a3, . + 3 + 18": encoding.branch_if_zero(3, 18),
        "j . + 1000": encoding.jump(0, 1000),
        "j . - 77": encoding.jump(1000, 923),
        "nop": encoding.NOP,
        "rsync": encoding.RSYNC,
    }
    source = tmp_path / "code.S"
    source.write_text(".begin no-transform\n" + "".join(f"{line}\n" for line in ours))
    compiler = find_toolchain("xtensa")
    script = tmp_path / "flat.ld"
    script.write_text("SECTIONS { .text 0 : { *(.text) } /DISCARD/ : { *(.xt.*) *(.xtensa.info) } }")
    compiler.run(
        ["-nostdlib", f"-T{script}", "-Wl,--oformat=binary,--no-relax", str(source), "-o", "code.bin"], tmp_path
    )
    assert (tmp_path / "code.bin").read_bytes() == b"".join(ours.values())


def _number(word: int) -> np.float32:
    return np.uint32(word).view(np.float32)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: each.name)
def test_the_right_bits_are_right(question) -> None:
    """By numpy, in float64 for the fused products: of the operands here none is near the middle of two floats."""
    r, a, b = map(_number, question.words)
    words = question.words
    signed = words[1] - (words[1] >> 31 << 32)
    with np.errstate(all="ignore"):
        right = {
            "add.s": lambda: a + b,
            "sub.s": lambda: a - b,
            "mul.s": lambda: a * b,
            "madd.s": lambda: np.float32(np.float64(r) + np.float64(a) * np.float64(b)),
            "msub.s": lambda: np.float32(np.float64(r) - np.float64(a) * np.float64(b)),
            "division": lambda: a / b,
            "root": lambda: np.sqrt(a),
            "abs.s": lambda: np.abs(a),
            "neg.s": lambda: -a,
            "mov.s": lambda: a,
            "const.s": lambda: np.float32(0.5),
            "olt.s": lambda: int(a < b),
            "ole.s": lambda: int(a <= b),
            "oeq.s": lambda: int(a == b),
            "un.s": lambda: int(np.isnan(a) or np.isnan(b)),
            "ult.s": lambda: int(not a >= b),
            "ule.s": lambda: int(not a > b),
            "ueq.s": lambda: int(not (a < b or a > b)),
            "trunc.s": lambda: int(np.trunc(a)),
            "round.s": lambda: int(np.rint(a)),
            "floor.s": lambda: int(np.floor(a)),
            "ceil.s": lambda: int(np.ceil(a)),
            "utrunc.s": lambda: int(a),
            "float.s": lambda: np.float32(signed),
            "ufloat.s": lambda: np.float32(words[1]),
            "moveqz.s": lambda: a if words[2] == 0 else r,
            "movnez.s": lambda: a if words[2] else r,
            "movltz.s": lambda: a if words[2] >> 31 else r,
            "movgez.s": lambda: r if words[2] >> 31 else a,
            "movt.s": lambda: a if a < b else r,
            "movf.s": lambda: r if a < b else a,
            "excsave6 and excsave7": lambda: b,
        }[question.name]()
    bits = right & 0xFFFFFFFF if isinstance(right, int) else int(np.float32(right).view(np.uint32))
    assert bits == question.right
