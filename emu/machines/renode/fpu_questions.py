"""Operations of the Xtensa's FPU whose right bits are known, as a program that needs no compiler.

Renode is asked them before it runs firmware, because its cores have no FPU or a faulty one, depending on the version.
"""

import struct
from dataclasses import dataclass

from emu.architectures.xtensa import encoding
from emu.architectures.xtensa.encoding import fpu

START = 0x4000_0000
SIZE = 0x10000
"""The only memory of the machine that is asked."""
VECTORS = (START + 0x300, START + 0x340, START + 0x3C0)
"""The vectors of the kernel's, the user's and double exceptions."""
_CODE, _INPUTS, _ANSWERS = START + 0x1000, START + 0x8000, START + 0xC000
_LITERALS = START + 0xF00
_A2, _A3, _A4, _A5, _A6, _A7, _A8 = range(2, 9)
_FCR = 232
_WORDS = 3
"""Words that each question has; they go to f0, f1, f2 and to a4, a5, a6. The answer comes from f0 or from a7."""


def _sequence(text: str) -> bytes:
    """Return the code of operations, each with the numbers of its registers."""
    operations = (line.split() for line in text.split("; "))
    return b"".join(fpu(name, *map(int, registers)) for name, *registers in operations)


_DIVISION = _sequence(
    "div0 3 2; nexp01 4 2; const 5 1; maddn 5 4 3; mov 6 3; mov 7 2; nexp01 2 1; maddn 6 5 6; const 5 1; "
    "const 0 0; neg 8 2; maddn 5 4 6; maddn 0 8 3; mkdadj 7 1; maddn 6 5 6; maddn 8 4 0; const 3 1; "
    "maddn 3 4 6; maddn 0 8 6; neg 2 2; maddn 6 3 6; maddn 2 4 0; addexpm 0 7; addexp 6 7; divn 0 2 6"
)
"""f0 = f1 / f2, as GCC's library divides."""
_ROOT = _sequence(
    "sqrt0 2 1; const 3 0; maddn 3 2 2; nexp01 4 1; const 0 3; addexp 4 0; maddn 0 3 4; nexp01 3 1; "
    "neg 5 3; maddn 2 0 2; const 0 0; const 6 0; const 7 0; maddn 0 5 2; maddn 6 2 4; const 4 3; "
    "maddn 7 4 2; maddn 3 0 0; maddn 4 6 2; neg 2 7; maddn 0 3 2; maddn 7 4 7; mksadj 2 1; nexp01 1 1; "
    "maddn 1 0 0; neg 3 7; addexpm 0 2; addexp 3 2; divn 0 1 3"
)
"""f0 = the square root of f1: the sequence of the Instruction Set Architecture, 4.3.11."""


@dataclass(frozen=True)
class Question:
    """An operation on three words, and the word that is right."""

    name: str
    words: tuple[int, int, int]
    right: int


_ONE, _TWO, _PI, _THIRD, _BIG, _TINY = 0x3F800000, 0x40000000, 0x40490FDB, 0x3EAAAAAB, 0x4B000001, 0x33800001
_MINUS_HALF, _ODD, _NAN = 0xBF000000, 0xC2F6E979, 0x7FC00000

QUESTIONS: tuple[Question, ...] = (
    Question("add.s", (0, _PI, _THIRD), 0x405E6530),
    Question("sub.s", (0, _PI, _ODD), 0x42FD31F8),
    Question("mul.s", (0, _PI, _ODD), 0xC3C1EC9B),
    Question("madd.s", (_PI, _THIRD, _BIG), 0x4A2AAAB9),
    Question("madd.s", (_MINUS_HALF, _TINY, _PI), 0xBEFFFFFA),
    Question("msub.s", (0x3FA00000, _ONE, _ONE), 0x3E800000),
    Question("msub.s", (_PI, _THIRD, _BIG), 0xCA2AAAA0),
    Question("msub.s", (_ODD, _ODD, _THIRD), 0xC2A49BA6),
    Question("division", (0, _ONE, 0x40400000), _THIRD),
    Question("division", (0, _ODD, _PI), 0xC21D3066),
    Question("root", (0, _TWO, 0), 0x3FB504F3),
    Question("root", (0, _PI, 0), 0x3FE2DFC5),
    Question("abs.s", (0, _ODD, 0), 0x42F6E979),
    Question("neg.s", (0, _ODD, 0), 0x42F6E979),
    Question("mov.s", (0, _ODD, 0), _ODD),
    Question("const.s", (0, 0, 0), 0x3F000000),
    Question("olt.s", (0, _ONE, _PI), 1),
    Question("olt.s", (0, _NAN, _PI), 0),
    Question("ole.s", (0, _PI, _PI), 1),
    Question("oeq.s", (0, _PI, _ONE), 0),
    Question("un.s", (0, _NAN, _ONE), 1),
    Question("ult.s", (0, _NAN, _ONE), 1),
    Question("ule.s", (0, _PI, _ONE), 0),
    Question("ueq.s", (0, _NAN, _ONE), 1),
    Question("trunc.s", (0, _ODD, 0), 0xFFFFFF85),
    Question("round.s", (0, _ODD, 0), 0xFFFFFF85),
    Question("floor.s", (0, _ODD, 0), 0xFFFFFF84),
    Question("ceil.s", (0, _PI, 0), 4),
    Question("utrunc.s", (0, 0x4F800000 - 0x80, 0), 0xFFFF8000),
    Question("float.s", (0, 0xFEFFFFFF, 0), 0xCB800000),
    Question("ufloat.s", (0, 0xFEFFFFFF, 0), 0x4F7F0000),
    Question("moveqz.s", (_ONE, _PI, 0), _PI),
    Question("movnez.s", (_ONE, _PI, 0), _ONE),
    Question("movltz.s", (_ONE, _PI, _MINUS_HALF), _PI),
    Question("movgez.s", (_ONE, _PI, _MINUS_HALF), _ONE),
    Question("movt.s", (_ONE, _PI, _ODD), _ONE),
    Question("movf.s", (_ONE, _PI, _ODD), _PI),
    Question("excsave6 and excsave7", (0, _PI, _ODD), _ODD),
)


def _operation(name: str) -> tuple[bytes, bool]:
    """Return the code of a question, and whether its answer is in a7 and not in f0."""
    operation = name.removesuffix(".s")
    if operation == "division":
        return _DIVISION, False
    if operation == "root":
        return _ROOT, False
    if operation.startswith("excsave"):
        writes = encoding.write_special("excsave6", _A5) + encoding.write_special("excsave7", _A6)
        return writes + encoding.read_special("excsave6", _A8) + encoding.read_special("excsave7", _A7), True
    if operation in ("trunc", "round", "floor", "ceil", "utrunc"):
        return fpu(operation, _A7, 1), True
    if operation in ("float", "ufloat"):
        return fpu(operation, 0, _A5), False
    if operation in ("olt", "ole", "oeq", "un", "ult", "ule", "ueq"):
        bits = encoding.move(_A7, 0) + encoding.move(_A8, 1)
        return bits + fpu(operation, 0, 1, 2) + encoding.move_if_true(_A7, _A8, 0), True
    if operation in ("movt", "movf"):
        return fpu("olt", 0, 1, 2) + fpu(operation, 0, 1, 0), False
    if operation in ("moveqz", "movnez", "movltz", "movgez"):
        return fpu(operation, 0, 1, _A6), False
    if operation == "const":
        return fpu(operation, 0, 3), False
    if operation in ("abs", "neg", "mov"):
        return fpu(operation, 0, 1), False
    return fpu(operation, 0, 1, 2), False


@dataclass(frozen=True)
class Program:
    """The questions as code."""

    contents: tuple[tuple[int, bytes], ...]
    """Addresses and bytes."""
    start: int
    end: int
    """The address at which the program ends."""
    names: tuple[tuple[int, str], ...]
    """The address at which each question's code begins, with its name."""

    def name_at(self, pc: int) -> str:
        """Return the question whose code is at ``pc``."""
        return next((name for start, name in reversed(self.names) if start <= pc), "the start")


def program() -> Program:
    """Return the program; it leaves its answers, a word each, at ``ANSWERS``."""
    literals = (START, _INPUTS, _ANSWERS)
    code, names = bytearray(), []
    for index, register in enumerate((_A4, _A2, _A3)):
        code += encoding.load_literal(register, _CODE + len(code), _LITERALS + 4 * index)
    code += encoding.write_special("vecbase", _A4) + encoding.move(_A4, 0) + encoding.write_special("ps", _A4)
    code += encoding.move(_A5, 1) + encoding.write_special("cpenable", _A5) + encoding.RSYNC
    names.append((_CODE + len(code), "wur.fcr"))
    code += encoding.write_user(_FCR, _A4)
    for question in QUESTIONS:
        names.append((_CODE + len(code), question.name))
        for index, register in enumerate((_A4, _A5, _A6)):
            code += encoding.load(register, _A2, 4 * index) + fpu("wfr", index, register)
        operation, in_a7 = _operation(question.name)
        code += operation + (b"" if in_a7 else fpu("rfr", _A7, 0)) + encoding.store(_A7, _A3, 0)
        code += encoding.add(_A2, _A2, 4 * _WORDS) + encoding.add(_A3, _A3, 4)
    end = _CODE + len(code)
    halts = [(address, encoding.jump(address, address)) for address in (end, *VECTORS)]
    inputs = b"".join(struct.pack("<3I", *question.words) for question in QUESTIONS)
    contents = ((_LITERALS, struct.pack("<3I", *literals)), (_CODE, bytes(code)), (_INPUTS, inputs), *halts)
    return Program(contents, _CODE, end, tuple(names))


ANSWERS = (_ANSWERS, 4 * len(QUESTIONS))
"""The address and the bytes of the answers."""
