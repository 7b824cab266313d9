"""The faces of emu that read what a user gives: a valid file each, how it is damaged, and what reads it."""

import contextlib
import io
import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import mutations
import numpy as np
from elftools.elf.elffile import ELFFile

import emu.cli
from emu.budgets.baseline import Baseline
from emu.errors import EmuError
from emu.inputs import load_inputs
from emu.model.checkpoint import load_checkpoint
from emu.model.graph import build_graph
from emu.model.image import read_image_info, write_image
from emu.model.sources import find_model
from emu.record import read_run_file
from emu.suppressions import load_suppressions, suppress
from emu.targets import find_target

TESTS = Path(__file__).parents[1]
GOOD = (0, 1, 2)
"""A damaged file is bad input, or still good enough for a verdict."""


@dataclass(frozen=True)
class Outcome:
    """What a reader made of a file."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Face:
    """One kind of file."""

    name: str
    suffix: str
    seeds: Sequence[bytes]
    mutations: Sequence[mutations.Mutate]
    read: Callable[[Path], Outcome]
    share: int
    """The share of all cases, in proportion to the other faces'."""
    command: Callable[[Path], list[str]] | None = None
    """The arguments with which the command line reads it."""

    def case(self, chance: random.Random) -> bytes:
        """Return a damaged file."""
        return chance.choice(self.mutations)(chance.choice(self.seeds), chance)


def run_emu(arguments: Sequence[str | Path]) -> Outcome:
    """Run the command line in this process."""
    stdout, stderr = io.StringIO(), io.StringIO()
    code: object = None
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            with patch.object(sys, "argv", ["emu", *map(str, arguments)]):
                emu.cli.main()
        except SystemExit as end:
            code = end.code
    return Outcome(code if isinstance(code, int) else -1, stdout.getvalue(), stderr.getvalue())


def run_emu_in_a_process(arguments: Sequence[str | Path]) -> Outcome:
    """Run the command line as a user does."""
    command = [sys.executable, "-m", "emu", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, check=False, text=True, errors="surrogateescape", timeout=60)
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


def make_faces(directory: Path) -> list[Face]:
    """Return every face; ``directory`` keeps what their commands read besides the damaged file."""
    elf = _firmware(directory)
    record, base = directory / "record.json", directory / "base.json"
    watched = ("--profile", "--coverage", "--memcheck")
    made = run_emu(["run", elf, "--target", "stm32h7-unicorn", *watched, "--json", record])
    assert made.code == 1, made
    of_a_model = directory / "model.json"
    made = run_emu(["run", "har", "--target", "stm32h7-unicorn", "--limit", "1", "--json", of_a_model])
    assert made.code == 0, made
    records = [_lean(record), _lean(of_a_model)]
    base.write_text(Baseline.of(read_run_file(record).runs).to_json())
    checkpoint, weights = find_model("har").path, _small_weights()
    return [
        _elf_face("elf", elf, _headers(elf), 3),
        _elf_face("debug information", elf, _sections(elf, ".debug"), 3),
        _elf_face("symbols", elf, _sections(elf, ".symtab", ".strtab"), 1),
        _command_face("record", ".json", records, mutations.damage_json, _report, 6),
        _command_face("baseline", ".json", [base.read_bytes(), *records], mutations.damage_json, _diff(base), 6),
        _command_face("board", ".toml", [_board()], mutations.damage_text, _targets, 5),
        _command_face("board in a run", ".toml", [_board()], mutations.damage_text, _run_on(elf), 2),
        _command_face("robot", ".xml", [_XUNIT], mutations.damage_text, _robot(record), 2),
        Face("suppressions", ".toml", [_SUPPRESSIONS], [mutations.damage_text], _by_function(_suppress(record)), 6),
        Face("inputs", ".npz", [_inputs()], [mutations.damage_archive], _by_function(load_inputs), 8),
        Face("safetensors", ".safetensors", [_safetensors(weights)], [mutations.damage_safetensors], _MODEL, 8),
        Face("torch", ".pt", [_torch(weights, zipped) for zipped in (True, False)], _TORCH, _MODEL, 6),
        Face("image", ".mamba", [_image(checkpoint)], _IMAGE, _by_function(read_image_info), 4),
    ]


def _by_function(read: Callable[[Path], object]) -> Callable[[Path], Outcome]:
    """Return what calls a reader as the command line would, and prints an error as that does."""

    def call(path: Path) -> Outcome:
        try:
            read(path)
        except EmuError as error:
            return Outcome(error.exit_code, "", f"error: {error}\n")
        return Outcome(0, "", "")

    return call


def _command_face(
    name: str,
    suffix: str,
    seeds: Sequence[bytes],
    damage: mutations.Mutate,
    command: Callable[[Path], list[str]],
    share: int,
) -> Face:
    return Face(name, suffix, seeds, [damage], lambda path: run_emu(command(path)), share, command)


def _export(path: Path) -> None:
    write_image(build_graph(load_checkpoint(path)), "int8")


_MODEL = _by_function(_export)
_TORCH = (mutations.damage_archive, mutations.damage_bytes)
_IMAGE = (mutations.damage_bytes, mutations.damage_within(0, 64))


# ---- commands --------------------------------------------------------------------------------------------------------


def _report(path: Path) -> list[str]:
    kinds = ("html", "markdown", "junit", "lcov", "cobertura", "speedscope", "collapsed", "annotations", "code-quality")
    return ["report", str(path), *(f"--{kind}={path.parent / kind}" for kind in kinds)]


def _diff(base: Path) -> Callable[[Path], list[str]]:
    return lambda path: ["diff", str(base), str(path)]


def _targets(path: Path) -> list[str]:
    return ["targets", "--board", str(path)]


def _robot(record: Path) -> Callable[[Path], list[str]]:
    return lambda path: ["report", str(record), "--junit", str(path.parent / "junit"), "--robot", str(path)]


def _run(path: Path) -> list[str]:
    limits = ["--max-instructions", "20000", "--max-seconds", "5"]
    return ["run", str(path), "--target", "stm32h7-unicorn", "--profile", "--coverage", *limits]


def _run_on(elf: Path) -> Callable[[Path], list[str]]:
    return lambda path: [*_run(elf), "--board", str(path), "--target", "own-unicorn"]


def _suppress(record: Path) -> Callable[[Path], object]:
    (run,) = read_run_file(record).runs
    assert run.memory_check is not None
    check = run.memory_check
    return lambda path: suppress(check, load_suppressions(path))


# ---- seeds -----------------------------------------------------------------------------------------------------------


def _elf_face(name: str, elf: Path, spans: list[tuple[int, int]], share: int) -> Face:
    damage = [mutations.damage_bytes, *(mutations.damage_within(*span) for span in spans)]
    return Face(name, ".elf", [elf.read_bytes()], damage, lambda path: run_emu(_run(path)), share, _run)


def _firmware(directory: Path) -> Path:
    elf = directory / "firmware.elf"
    flags = [*find_target("stm32h7-unicorn").board.build.flags, "-g", "-O1", "-nostartfiles"]
    flags += ["-Wl,--no-warn-rwx-segments", f"-T{TESTS / 'firmware/test.ld'}"]
    sources = [str(TESTS / name) for name in ("firmware/startup.c", "reports/leaks_and_faults.c")]
    subprocess.run(["arm-none-eabi-gcc", *flags, *sources, "-o", str(elf)], check=True)
    return elf


def _headers(elf: Path) -> list[tuple[int, int]]:
    with elf.open("rb") as file:
        header = ELFFile(file).header
    tables = (("e_phoff", "e_phnum", "e_phentsize"), ("e_shoff", "e_shnum", "e_shentsize"))
    return [(0, 52), *((header[o], header[o] + header[n] * header[s]) for o, n, s in tables)]


def _sections(elf: Path, *prefixes: str) -> list[tuple[int, int]]:
    with elf.open("rb") as file:
        found = [s for s in ELFFile(file).iter_sections() if s.name.startswith(prefixes) and s["sh_size"]]
        return [(section["sh_offset"], section["sh_offset"] + section["sh_size"]) for section in found]


def _lean(record: Path) -> bytes:
    return json.dumps(json.loads(record.read_bytes())).encode()


def _board() -> bytes:
    target = find_target("stm32h7-unicorn")
    script = target.board.build.linker_script
    assert script is not None
    lines = (script.parents[1] / "targets" / "stm32h7.toml").read_text().splitlines()
    text = "\n".join(f'linker_script = "{script}"' if line.startswith("linker_script") else line for line in lines)
    return text.replace('name = "stm32h7"', 'name = "own"', 1).encode()


_XUNIT = b"""<?xml version="1.0"?>
<testsuite name="Suites" tests="2" failures="1" errors="0" time="1.5">
<testcase classname="Boots" name="kws" time="0.5"/><testcase name="har"><failure message="why">more</failure></testcase>
</testsuite>"""

_SUPPRESSIONS = b"""[[suppress]]
kind = "uninitialised_branch"
function = "vendor_*"
file = "*/vendor/*.c"
reason = "known"
[[suppress]]
reason = "all"
"""


def _inputs() -> bytes:
    chance, content = np.random.default_rng(1), io.BytesIO()
    x = chance.normal(size=(3, 4, 5)).astype(np.float32)
    logits = chance.normal(size=(3, 2))
    np.savez(content, x=x, y=np.array([0, 1, 1]), logits=logits.astype(np.float32), logits64=logits, classes=["a", "b"])
    return content.getvalue()


def _small_weights() -> dict[str, np.ndarray]:
    """A bare Mamba block of the smallest dimensions."""
    chance = np.random.default_rng(2)
    inner, state, model, rank = 4, 2, 2, 1
    shapes = {
        "A_log": (inner, state), "D": (inner,), "in_proj.weight": (2 * inner, model), "conv1d.weight": (inner, 1, 2),
        "conv1d.bias": (inner,), "x_proj.weight": (rank + 2 * state, inner), "dt_proj.weight": (inner, rank),
        "dt_proj.bias": (inner,), "out_proj.weight": (model, inner),
    }  # fmt: skip
    return {name: chance.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def _safetensors(weights: dict[str, np.ndarray]) -> bytes:
    from safetensors.numpy import save

    return save(weights, {"pooling": "last", "norm_epsilon": "1e-5"})


def _torch(weights: dict[str, np.ndarray], zipped: bool) -> bytes:
    import torch

    content = io.BytesIO()
    tensors = {name: torch.from_numpy(values) for name, values in weights.items()}
    torch.save(tensors, content, _use_new_zipfile_serialization=zipped)
    return content.getvalue()


def _image(checkpoint: Path) -> bytes:
    return write_image(build_graph(load_checkpoint(checkpoint)))


# ---- options ---------------------------------------------------------------------------------------------------------

_OPTIONS = (
    ["diff", "BASE", "BASE", "--fail-on-increase", "VALUE"],
    ["diff", "VALUE", "BASE"],
    ["report", "BASE", "--html", "VALUE/no/such"],
    ["report", "VALUE"],
    ["run", "VALUE", "--target", "stm32h7-unicorn"],
    ["run", "FIRMWARE", "--target", "VALUE"],
    ["run", "FIRMWARE", "--target", "stm32h7-unicorn", "--inputs", "VALUE"],
    ["run", "FIRMWARE", "--target", "stm32h7-unicorn", "--limit", "VALUE"],
    ["run", "FIRMWARE", "--target", "stm32h7-unicorn", "--max-instructions", "VALUE"],
    ["run", "FIRMWARE", "--target", "stm32h7-unicorn", "--tolerance", "VALUE"],
    ["run", "FIRMWARE", "--target", "stm32h7-unicorn", "--board", "VALUE"],
    ["export", "VALUE", "--output", "VALUE/no/such"],
    ["build", "VALUE", "--target", "VALUE", "--output", "VALUE/no/such"],
    ["toolchain", "install", "VALUE"],
    ["VALUE"],
    ["targets", "VALUE"],
)
_VALUES = (
    "", "-1", "0", "1", "9" * 400, "1e999", "nan", "-inf", "stack=0", "stack=1%", "stack=-1", "stack=" + "9" * 5000,
    "flash=9" + "9" * 400 + "%", "=", "stack", "x" * 5000, mutations.EVIL.replace("\0", ""), "\udcff", "/dev/null", "/",
    "..", "a" * 300 + ".elf", "a.elf", "b.pt", "c.mamba", "d.npz", "--", "-t", "--bogus", "٣", "%s", "{}", "[bold]",
)  # fmt: skip


def random_arguments(directory: Path, chance: random.Random) -> list[str]:
    """Return a command with values that nobody meant."""
    files = {"BASE": str(directory / "record.json"), "FIRMWARE": str(directory / "firmware.elf")}
    value = chance.choice(_VALUES) if chance.random() < 0.7 else chance.choice(_VALUES) + chance.choice(_VALUES)
    arguments = [files.get(each, each).replace("VALUE", value) for each in chance.choice(_OPTIONS)]
    return arguments if chance.random() < 0.8 else arguments[: chance.randrange(len(arguments)) + 1]
