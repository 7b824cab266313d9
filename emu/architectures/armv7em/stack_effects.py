"""Find the instructions that change the stack pointer in machine code. This takes time: see ``emu.firmware``."""

import re
from collections import deque
from collections.abc import Iterator

import capstone
from capstone.arm_const import ARM_REG_CPSR, ARM_REG_PC, ARM_REG_SP

from emu.architectures.armv7em.thumb import DYNAMIC, StackEffect

_LOOK_BACK = 8
"""Instructions that may lie between SP and a value computed from it, in code with over-aligned or variable frames."""

_STACK_ACCESSES, _LOADS = ("push", "vpush", "pop", "vpop", "stm", "vstm", "str"), ("ldr", "ldm", "msr")
_BRANCHES = (capstone.CS_GRP_JUMP, capstone.CS_GRP_CALL, capstone.CS_GRP_RET)

_FORMS = (
    # (mnemonics, operands, sign); the size is the register list or the number that the operands end in. In an IT block
    # the mnemonic ends in the condition (pusheq), so it matches none of these forms.
    (("push", "vpush"), re.compile(r"\{(?P<registers>.*)\}"), -1),
    (("pop", "vpop"), re.compile(r"\{(?P<registers>.*)\}"), +1),
    (("stmdb", "vstmdb"), re.compile(r"sp!, \{(?P<registers>.*)\}"), -1),
    (("ldm", "ldmia", "vldmia"), re.compile(r"sp!, \{(?P<registers>.*)\}"), +1),
    (("sub", "subw"), re.compile(r"sp, (?:sp, )?#(?P<number>\w+)"), -1),
    (("add", "addw"), re.compile(r"sp, (?:sp, )?#(?P<number>\w+)"), +1),
    (("str", "ldr", "strd", "ldrd"), re.compile(r"(?!sp).*\[sp, #(?P<number>-?\w+)\]!"), +1),
    (("str", "ldr", "strd", "ldrd"), re.compile(r"(?!sp).*\[sp\], #(?P<number>-?\w+)"), +1),
)


def stack_effects(code: bytes, address: int) -> Iterator[StackEffect]:
    """Yield the instructions in ``code`` (which is loaded at ``address``) that change SP, in order."""
    disassembler = _disassembler()  # the light pass over all instructions skips the details
    before: deque[int] = deque(maxlen=_LOOK_BACK)
    for at, size, mnemonic, operands in disassembler.disasm_lite(code, address):
        before.append(at)
        if _mentions_sp(mnemonic, operands):
            instruction = next(disassembler.disasm(code[at - address : at - address + size], at))
            if _writes_sp(instruction):
                delta = _delta(mnemonic.removesuffix(".w"), operands)
                anew = delta == DYNAMIC and sets_sp_anew(code[before[0] - address : at - address + size], before[0])
                yield StackEffect(at, size, operands, delta, anew)


def sets_sp_anew(code: bytes, address: int) -> bool:
    """Return whether the last instruction of ``code`` sets SP to a value not computed from SP in ``code``."""
    *others, last = _disassembler().disasm(code, address)
    if last.mnemonic.startswith(_STACK_ACCESSES):
        return False
    sources = {ARM_REG_SP}
    for instruction in [last, *reversed(others)]:
        if instruction.id == 0 or any(map(instruction.group, _BRANCHES)):  # data, or code that other code may jump to
            return True
        read, written = map(set, instruction.regs_access())
        if instruction is not last:
            if instruction.mnemonic.startswith("msr") or (
                instruction.mnemonic.startswith("mov") and ARM_REG_SP in written
            ):
                return True  # values computed from SP earlier belong to another stack
            if not sources & written:
                continue
        if instruction.mnemonic.startswith(_LOADS):
            return True
        if ARM_REG_SP in read:
            return False
        sources = sources - written | read - {ARM_REG_CPSR}
    return True


def has_branch(code: bytes, address: int) -> bool:
    """Return whether ``code`` has an instruction that may lead elsewhere."""
    found = (each for each in _disassembler().disasm(code, address) if each.id != 0)
    return any(any(map(each.group, _BRANCHES)) or ARM_REG_PC in each.regs_access()[1] for each in found)


def _disassembler() -> capstone.Cs:
    disassembler = capstone.Cs(
        capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB + capstone.CS_MODE_MCLASS + capstone.CS_MODE_V8
    )
    disassembler.detail = disassembler.skipdata = True
    return disassembler


def _mentions_sp(mnemonic: str, operands: str) -> bool:
    return "sp" in operands or "push" in mnemonic or "pop" in mnemonic or mnemonic.startswith("msr")


def _writes_sp(instruction: capstone.CsInsn) -> bool:
    # Capstone lists no SP among the registers that VPUSH, VPOP and MSR write.
    if instruction.mnemonic.startswith(("vpush", "vpop", "msr")) or "sp!" in instruction.op_str:
        return True
    return ARM_REG_SP in instruction.regs_access()[1]


def _delta(mnemonic: str, operands: str) -> int:
    for mnemonics, pattern, sign in _FORMS:
        match = pattern.fullmatch(operands) if mnemonic in mnemonics else None
        if match is None:
            continue
        parts = match.groupdict()
        if "number" in parts:
            return sign * int(parts["number"], 0)
        return sign * sum(8 if name.startswith("d") else 4 for name in parts["registers"].split(", "))
    return DYNAMIC
