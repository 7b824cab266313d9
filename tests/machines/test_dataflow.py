"""What the memory checker knows of instructions, against the emulated core, which runs them on random registers."""

import ctypes
import random
import subprocess
from collections.abc import Iterator
from ctypes import POINTER, Structure, c_uint32, c_uint64
from dataclasses import dataclass

import pytest
from unicorn import UC_ARCH_ARM, UC_MODE_THUMB
from unicorn.arm_const import (
    UC_ARM_REG_CPSR,
    UC_ARM_REG_FPEXC,
    UC_ARM_REG_R0,
    UC_ARM_REG_S0,
    UC_CPU_ARM_CORTEX_M7,
)
from unicorn.unicorn import Uc

from emu.architectures.armv7em.dataflow import FLAGS, FP_FLAGS, GE, LESS, S0, Instruction, decode
from emu.architectures.armv7em.thumb import instruction_size
from emu.native.unicorn import unicorn_probe
from emu.native.unicorn.instruction_table import describe
from emu.native.unicorn.instructions import NativeInstruction

CORE, SINGLE = tuple(range(13)), tuple(range(S0, S0 + 32))
ALL = 0xFFFF_FFFF
MASKS = {FLAGS: 0xF000_0000, FP_FLAGS: 0xF000_0000, GE: 0xF}
SET_FP_FLAGS, GET_FP_FLAGS = 0x1100, 0x1200
BITWISE = """
    mov r0, r1; movs r0, r1; mvn r0, r1; and r0, r1, r2; ands r0, r1, r2, lsr #3; and r0, r1, #0xf0; bic r0, r1, r2
    bics r0, r1; orr r0, r1, r2, ror #5; orr r0, r1, #0x80; orn r0, r1, r2; eor r0, r1, r2; eors r0, r1; lsls r0, r1, #3
    lsrs r0, r1, #7; asrs r0, r1, #5; ror r0, r1, #9; ubfx r0, r1, #3, #7; sbfx r0, r1, #30, #2; bfi r0, r1, #4, #9
    bfc r0, #8, #5; uxtb r0, r1; sxtb r0, r1; uxth r0, r1; sxth r0, r1; uxtb r0, r1, ror #16; rev r0, r1; rev16 r0, r1
    rbit r0, r1; movt r0, #4660; vmov s0, r1; vmov r0, s1; vmov s0, s1; vmov.f64 d0, d1; vmov r0, r1, d3
    vmov d3, r0, r1; vmov s0, s1, r2, r3; pkhbt r0, r1, r2, lsl #3; pkhbt r0, r1, r2, lsl #20; pkhtb r0, r1, r2, asr #5
    pkhbt r0, r1, r2; uxtb16 r0, r1; uxtb16 r0, r1, ror #8
"""
"""A bit of the result is undefined exactly where it differs."""
OTHERS = """
    movw r0, #4660; adds r0, #7; adds r0, r1, r2; add r0, r1; addw r0, r1, #100; subs r0, r1, #3; sub r0, r1, r2, lsl #2
    rsbs r0, r1, #0; rsb r0, r1, #100; adc r0, r1, r2; adcs r0, r1; sbcs r0, r1; mul r0, r1, r2; muls r0, r1, r0
    mla r0, r1, r2, r3; mls r0, r1, r2, r3; umull r0, r1, r2, r3; smull r0, r1, r2, r3; umlal r0, r1, r2, r3
    smlal r0, r1, r2, r3; umaal r0, r1, r2, r3; sdiv r0, r1, r2; udiv r0, r1, r2; clz r0, r1; lsls r0, r1
    lsl r0, r1, r2; lsr r0, r1, r2; lsrs r0, r1; asr r0, r1, r2; ror r0, r1, r2; rors r0, r1; rrx r0, r1; cmp r0, #100
    cmp r0, r1; cmp r0, r1, lsl #4; cmn r0, r1; tst r0, r1; tst r0, #12; teq r0, r1; uadd8 r0, r1, r2; usub8 r0, r1, r2
    sadd8 r0, r1, r2; uadd16 r0, r1, r2; usad8 r0, r1, r2; sel r0, r1, r2; ssat r0, #8, r1; usat r0, #8, r1, lsl #2
    sxtah r0, r1, r2; uxtab r0, r1, r2; uxtab r0, r1, r2, ror #16; sxtab r0, r1, r2; uxtah r0, r1, r2; smulbb r0, r1, r2
    smultb r0, r1, r2; smlabt r0, r1, r2, r3; smlatt r0, r1, r2, r3; sxtb16 r0, r1; uxtab16 r0, r1, r2
    smlad r0, r1, r2, r3
    smmul r0, r1, r2; qadd r0, r1, r2; uhadd8 r0, r1, r2; vadd.f32 s0, s1, s2; vsub.f64 d0, d1, d2; vmul.f32 s0, s1, s2
    vdiv.f32 s0, s1, s2; vfma.f32 s0, s1, s2; vfms.f64 d0, d1, d2; vmla.f32 s0, s1, s2; vnmul.f32 s0, s1, s2
    vneg.f32 s0, s1; vabs.f64 d0, d1; vsqrt.f32 s0, s1; vcvt.f64.f32 d0, s1; vcvt.f32.f64 s0, d1; vcvt.s32.f32 s0, s1
    vcvt.u32.f64 s0, d1; vcvt.f32.s32 s0, s1; vcvtb.f32.f16 s0, s1; vcvtb.f16.f32 s0, s1; vcmp.f32 s0, s1
    vcmpe.f32 s0, #0.0; vcmp.f64 d0, d1; vmrs apsr_nzcv, fpscr; vmrs r0, fpscr; vmov.f32 s0, #1.0; vmov.32 d0[1], r0
    vmov.32 r0, d0[1]; vselge.f32 s0, s1, s2; vseleq.f64 d0, d1, d2; vmaxnm.f32 s0, s1, s2; vrintz.f32 s0, s1; nop
"""


@dataclass(frozen=True)
class Case:
    text: str
    code: bytes
    instruction: Instruction

    def __str__(self) -> str:
        return self.text


def listed(text: str) -> list[str]:
    return [" ".join(part.split()) for line in text.splitlines() for part in line.split(";") if part.strip()]


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    directory = tmp_path_factory.mktemp("dataflow")
    texts = listed(BITWISE) + listed(OTHERS)
    body = "\n".join(f".balign 4\n{text}" for text in texts)
    (directory / "all.s").write_text(f".syntax unified\n.thumb\n{body}\n.balign 4\n")
    flags = ["-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16"]
    subprocess.run(["arm-none-eabi-as", *flags, "all.s", "-o", "all.o"], cwd=directory, check=True)
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", "all.o", "all.bin"], cwd=directory, check=True)
    code = (directory / "all.bin").read_bytes()
    cases = {}
    for number, text in enumerate(texts):
        piece = code[4 * number :]
        piece = piece[: instruction_size(int.from_bytes(piece[:2], "little"))]
        (instruction,) = decode(piece, 0x1000)
        cases[text] = Case(text, piece, instruction)
    return cases


class Core:
    """Runs one instruction on given registers."""

    def __init__(self) -> None:
        self.engine = Uc(UC_ARCH_ARM, UC_MODE_THUMB)
        self.engine.ctl_set_cpu_model(UC_CPU_ARM_CORTEX_M7)
        self.engine.mem_map(0x1000, 0x1000)
        self.engine.reg_write(UC_ARM_REG_FPEXC, 1 << 30)
        self.engine.mem_write(SET_FP_FLAGS, bytes.fromhex("e1ee100a"))  # vmsr fpscr, r0
        self.engine.mem_write(GET_FP_FLAGS, bytes.fromhex("f1ee100a"))  # vmrs r0, fpscr

    def run(self, code: bytes, registers: dict[int, int]) -> dict[int, int]:
        engine = self.engine
        engine.mem_write(0x1000, code)
        engine.reg_write(UC_ARM_REG_R0, registers[FP_FLAGS] & 0xF000_0000)
        engine.emu_start(SET_FP_FLAGS | 1, SET_FP_FLAGS + 4)
        for number in CORE:
            engine.reg_write(UC_ARM_REG_R0 + number, registers[number])
        for number in SINGLE:
            engine.reg_write(UC_ARM_REG_S0 + number - S0, registers[number])
        kept = engine.reg_read(UC_ARM_REG_CPSR) & ~0xF00F_0000
        engine.reg_write(UC_ARM_REG_CPSR, kept | (registers[FLAGS] & 0xF000_0000) | registers[GE] << 16)
        engine.emu_start(0x1001, 0x1000 + len(code), count=1)
        status = engine.reg_read(UC_ARM_REG_CPSR)
        after = {
            **{number: engine.reg_read(UC_ARM_REG_R0 + number) for number in CORE},
            **{number: engine.reg_read(UC_ARM_REG_S0 + number - S0) for number in SINGLE},
            FLAGS: with_less(status & 0xF000_0000),
            GE: status >> 16 & 0xF,
        }
        engine.emu_start(GET_FP_FLAGS | 1, GET_FP_FLAGS + 4)
        return {**after, FP_FLAGS: with_less(engine.reg_read(UC_ARM_REG_R0) & 0xF000_0000)}


def with_less(flags: int) -> int:
    """Return the flags N, Z, C, V with the one that the checker makes of two of them: N is not V."""
    return flags | (LESS if (flags >> 31 & 1) != (flags >> 28 & 1) else 0)


class Registers(Structure):
    """``struct registers`` in shadow_parts.h."""

    _fields_ = (
        ("value", c_uint32 * 16),
        ("selection", c_uint32),
        ("undefined", c_uint32 * 51),
        ("unknown", c_uint64),
    )


def bits(source: random.Random) -> int:
    """Return a word: random, small, a float near 1, or with few bits."""
    return source.choice(
        (source.getrandbits(32), source.getrandbits(4), 0x3F80_0000 + source.getrandbits(8), 1 << source.randrange(32))
    )


def states(source: random.Random) -> dict[int, int]:
    values = {number: bits(source) & MASKS.get(number, ALL) for number in (*CORE, *SINGLE, GE)}
    return {**values, FLAGS: with_less(bits(source) & 0xF000_0000), FP_FLAGS: with_less(bits(source) & 0xF000_0000)}


def undefined_after(case: Case, values: dict[int, int], undefined: dict[int, int]) -> dict[int, int]:
    """Return the checker's answer."""
    library = unicorn_probe()
    library.compute.argtypes = (POINTER(NativeInstruction), POINTER(Registers))
    library.compute.restype = None
    native, registers = NativeInstruction(), Registers()
    describe(native, case.instruction)
    for number in CORE:
        registers.value[number] = values[number]
    registers.selection = values[GE]
    for number, mask in undefined.items():
        registers.undefined[number] = mask
    library.compute(ctypes.byref(native), ctypes.byref(registers))
    return {number: registers.undefined[number] for number in values}


def samples(source: random.Random, values: dict[int, int], undefined: dict[int, int]) -> Iterator[dict[int, int]]:
    """Yield registers that agree with ``values`` but for the undefined bits, among them all 0 and all 1."""
    for fill in (0, ALL, *(source.getrandbits(32) for _ in range(30))):
        yield {
            number: (value & ~undefined.get(number, 0)) | (fill & undefined.get(number, 0))
            if fill in (0, ALL)
            else (value & ~undefined.get(number, 0)) | (source.getrandbits(32) & undefined.get(number, 0))
            for number, value in values.items()
        }


def differing(
    core: Core, source: random.Random, case: Case, values: dict[int, int], undefined: dict[int, int]
) -> dict[int, int]:
    """Return the bits that depend on the undefined ones, as far as samples tell."""
    runs = [core.run(case.code, sample) for sample in samples(source, values, undefined)]
    return {number: _or(run[number] ^ runs[0][number] for run in runs) for number in values}


def _or(values: Iterator[int]) -> int:
    result = 0
    for value in values:
        result |= value
    return result


@pytest.mark.parametrize("text", listed(BITWISE) + listed(OTHERS))
def test_nothing_is_written_or_read_but_what_is_said(text: str, assembled: dict[str, Case]) -> None:
    case, source, core = assembled[text], random.Random(text), Core()
    for _ in range(20):
        values = states(source)
        after = core.run(case.code, values)
        changed = {number for number in values if after[number] != values[number]}
        assert changed <= case.instruction.writes
        other = states(source)
        mixed = {n: values[n] if n in case.instruction.reads else other[n] for n in values}
        again = core.run(case.code, mixed)
        for number in case.instruction.writes - {FLAGS, GE, FP_FLAGS}:
            assert again[number] == after[number]


@pytest.mark.parametrize("text", listed(BITWISE) + listed(OTHERS))
def test_no_bit_that_depends_on_an_undefined_one_is_called_defined(text: str, assembled: dict[str, Case]) -> None:
    case, source, core = assembled[text], random.Random(text), Core()
    for _ in range(12):
        values = states(source)
        reads = [number for number in case.instruction.reads if number != 15]
        undefined = {
            n: source.choice((0, ALL, source.getrandbits(32), bits(source))) & MASKS.get(n, ALL) for n in reads
        }
        for flags in {FLAGS, FP_FLAGS} & set(reads):
            undefined[flags] |= LESS if undefined[flags] & 0x9000_0000 else 0
        answer = undefined_after(case, values, undefined)
        differs = differing(core, source, case, values, undefined)
        for number in case.instruction.writes:
            assert differs[number] & ~answer[number] == 0, (number, hex(differs[number]), hex(answer[number]))


@pytest.mark.parametrize("text", listed(BITWISE))
def test_a_bit_of_a_bitwise_result_that_depends_on_none_is_defined(text: str, assembled: dict[str, Case]) -> None:
    case, source, core = assembled[text], random.Random(text), Core()
    results = case.instruction.writes - {FLAGS}
    for _ in range(12):
        values = states(source)
        undefined = {n: source.choice((0, ALL, source.getrandbits(32))) for n in case.instruction.reads - {FLAGS}}
        answer = undefined_after(case, values, undefined)
        differs = differing(core, source, case, values, undefined)
        assert {number: answer[number] for number in results} == {number: differs[number] for number in results}
