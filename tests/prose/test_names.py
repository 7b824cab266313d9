"""Each file and symbol that prose names exists."""

from pathlib import Path

import pytest
from naming import Tree, named_and_missing
from reading import REPOSITORY, Passage, read, written_files

NOT_OURS = {
    "MSUB.S": "an instruction of the ESP32-S3",
    "NEG.S": "an instruction of the ESP32-S3",
    "esp32": "a core of Renode",
    "core-isa.h": "a header of Espressif's overlay",
    "docs/devel/tcg-plugins.rst": "a page of QEMU",
    "include/tcg/tcg.h": "a header of QEMU",
    "expected.h": "tests/toolchains/test_xtensa_gcc.py writes it",
    "include/elf/xtensa.h": "a header of binutils",
    "mamba_simple.py": "a file of mamba_ssm",
    "mamba.py": "a public implementation of Mamba",
    "model.h": "emu export writes it",
    "mamba_ssm.modules.mamba_simple.Mamba": "a class of mamba_ssm",
    "qemu-plugin.h": "a header of QEMU",
    "reg_base.h": "a header of ESP-IDF",
    "stm32f746xx.h": "a header of CMSIS",
    "stm32h743xx.h": "a header of CMSIS",
    "xtensa-config.h": "a header of binutils and GCC",
    "xtensa-dynconfig.h": "a header of binutils and GCC",
    "use_fast_path": "a parameter of mamba_ssm",
    "MambaClassifier.state_dict": "a method of PyTorch's modules",
    "report.html": "emu writes it",
    "report.md": "emu writes it",
    "out/report.html": "emu writes it",
    "model.emu.toml": "the user saves it",
    "emu.toml": "the user's project has it",
    "boards/myboard.toml": "the user's project has it",
    "suppressions.toml": "the user's project has it",
    "jq": "a program that reads JSON",
    "MODEL.emu.toml": "MODEL stands for the name of a checkpoint",
    "my_model.py": "the user saves it",
    "test_gestures.py": "the tutorial's reader saves it",
    "train.py": "the tutorial's reader saves it; each demo's folder has another",
    "robosoft2": "a voice of espeak-ng",
    "robosoft7": "a voice of espeak-ng",
    "CALLn": "n stands for a number",
    "_NAME_r": "NAME stands for a function",
    "emu_NAME": "NAME stands for an option",
    "heap_out_of_bounds": "one part of a kind of finding: _read or _write follows",
    "null_pointer": "one part of a kind of finding: _read or _write follows",
    "below_stack": "one part of a kind of finding: read_ or write_ precedes",
    "outside_objects": "one part of a kind of finding: read_ or write_ precedes",
}
"""Names that this repository does not define, each with the reason."""

PLANTED = {
    "emu/new.py": '"""See `emu/gone.py` and ``emu.gone.KINDS``."""\n',
    "emu/other.py": "x = 1  # ``frame_registers_gone`` of ``emu.machines.gone_function``\n",
    "emu/third.py": 'x = print(help="Calls ``emu.firmware.Firmware.gone``")\n',
    "emu/fourth.py": '"""Keeps what take_gone_callers returns."""\n',
    "runtime/src/new.c": "int x; /* mamba_gone_step() in runtime/src/gone.c */\n",
    "targets/new.toml": 'x = 1  # the startup is in runtime/port/gone.S\ny = "no # comment"\n',
    "ci/new": "#!/bin/sh\n# it calls ci/gone.py\n",
    "docs/new.md": "See [the page](gone.md) and `Firmware.gone`.\n\n```sh\ncat files/shown.py\n```\n",
}
"""Files with wrong names, and no other fault; each wrong name has ``gone`` in it."""


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree()


def test_every_file_and_symbol_that_prose_names_exists(tree: Tree):
    wrong = [
        f"{passage} names {name}, which does not exist"
        for path in written_files()
        for passage in read(path).prose
        for name in named_and_missing(passage, tree)
        if name not in NOT_OURS
    ]
    assert not wrong, "\n".join(wrong)


def test_every_exception_is_needed(tree: Tree):
    passages = [passage for path in written_files() for passage in read(path).prose]
    missing = {name for passage in passages for name in named_and_missing(passage, tree)}
    assert NOT_OURS.keys() <= missing


@pytest.mark.parametrize("name", PLANTED)
def test_a_wrong_name_is_found(tree: Tree, tmp_path: Path, name: str):
    file = tmp_path / Path(name).name
    file.write_text(PLANTED[name])
    passages = [Passage(REPOSITORY / name, each.line, each.text) for each in read(file).prose]
    found = [name for passage in passages for name in named_and_missing(passage, tree)]
    assert len(found) == PLANTED[name].count("gone")
    assert all("gone" in name for name in found)


@pytest.mark.parametrize(
    "text",
    [
        "``emu.firmware.Firmware.load`` in emu/firmware.py",
        "``Firmware.symbol()`` and ``mamba_step``",
        "``emu.machines`` has a folder: emu/machines/unicorn",
        "the numbers ``STOP_``, and step.c",
    ],
)
def test_a_right_name_is_not_reported(tree: Tree, text: str):
    assert named_and_missing(Passage(REPOSITORY / "emu/new.py", 1, text), tree) == []


def test_a_bare_name_of_several_files_is_not_found_from_elsewhere(tree: Tree):
    beside, elsewhere = REPOSITORY / "emu/native/unicorn/x.py", REPOSITORY / "emu/x.py"
    assert tree.has_file("stack.c", beside)
    assert not tree.has_file("stack.c", elsewhere)
