"""Files that attack their reader: each soon ends in one line that names the file, and takes little memory."""

import io
import json
import resource
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emu.errors import InputError
from emu.inputs import load_inputs
from emu.model.checkpoint import load_checkpoint
from emu.model.sources import find_model
from emu.reading import read_bytes
from emu.record import CallPath, Firmware, Instructions, Memory, Profile, Run, RunFile, Verdict

MOST_MEMORY = 2 << 30
LIBRARIES = (
    "pydantic",
    "pickle",
    "elftools",
    "tomllib",
    "numpy",
    "zlib",
    "Input should",
    "sys.set",
    "validation error",
)
CALLS = {"function": "f", "self_instructions": 1, "inclusive_instructions": 1}


def record(**fields: Any) -> dict[str, Any]:
    run = Run(
        model="m",
        target="stm32h7-unicorn",
        firmware=Firmware(path="m.elf", sha256="0", toolchain=None),
        memory=Memory(flash_bytes=1),
        instructions=Instructions(total=3),
        profile=Profile(call_paths=[CallPath(caller=None, **CALLS), CallPath(caller=0, **CALLS)]),
    )
    whole = json.loads(RunFile(schema=1, runs=[run]).model_dump_json(by_alias=True))
    whole["runs"][0] |= fields
    return whole


def with_callers(first: Any, second: Any) -> dict[str, Any]:
    return record(profile={"call_paths": [{"caller": first, **CALLS}, {"caller": second, **CALLS}]})


RECORDS = {
    "a count of 400 digits": json.dumps(record(instructions={"by_function": {"f": 10**400}})),
    "a text of 400 digits": json.dumps(record(instructions={"total": "9" * 400})),
    "a count of 5,000 digits": json.dumps(record()).replace('"total": 3', '"total": ' + "9" * 5000),
    "a line of 400 digits": json.dumps(record(profile={"by_line": {"f.c": {"9" * 400: 1}}})),
    "a level of 400 digits": json.dumps(record(timeline={"interval_instructions": 1, "stack_bytes": ["9" * 400]})),
    "callers in a circle": json.dumps(with_callers(1, 0)),
    "a caller that is not there": json.dumps(with_callers(None, 77)),
    "a caller from behind": json.dumps(with_callers(None, -1)),
    "not a number": json.dumps(record(timeline=float("nan"))),
    "nested deeply": '{"schema": 1, "runs": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "no text": b"\xff\xfe\x00",
    "nothing": "",
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_that_no_run_can_have(emu, tmp_path: Path, name: str):
    path, text = tmp_path / "run.json", RECORDS[name]
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    outputs = [f"--{kind}={tmp_path / kind}" for kind in ("html", "collapsed", "speedscope", "markdown", "junit")]
    for arguments in (("report", path, *outputs), ("diff", path, path)):
        outcome = emu(*arguments, timeout=20)
        outcome.assert_one_clear_line("run.json: not a")
        assert not [word for word in LIBRARIES if word in outcome.stderr]


def test_a_verdict_beyond_all_numbers_is_shown(emu, tmp_path: Path):
    verdict = Verdict(name="stack fits", ok=False, value="1e999 B", limit="2 B").model_dump()
    (tmp_path / "run.json").write_text(json.dumps(record(verdicts=[verdict])))
    outcome = emu("report", tmp_path / "run.json", "--html", tmp_path / "r.html", "--annotations", tmp_path / "a")
    assert outcome.code == 0, outcome
    assert "1e999 B" in (tmp_path / "a").read_text()


TOML = {
    "a number of 5,000 digits": "a = " + "9" * 5000,
    "a number of 100 digits": "suppress = 1" + "0" * 100,
    "a hexadecimal number of 9,000 digits": "suppress = 0x" + "f" * 9000,
    "nested deeply": "a = " + "[" * 3000 + "]" * 3000,
    "two megabytes": "#" * (2 << 20),
    "no text": b"\xff",
}


@pytest.mark.parametrize("name", TOML)
def test_a_table_that_cannot_be_read(emu, tmp_path: Path, name: str):
    path, text = tmp_path / "a.toml", TOML[name]
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    run = ("run", "har", "-t", "stm32h7-unicorn", "--memcheck", "--suppressions", path)
    for arguments in (("targets", "--board", path), run):
        outcome = emu(*arguments)
        outcome.assert_one_clear_line("a.toml: ")
        assert not [word for word in LIBRARIES if word in outcome.stderr]


# ---- archives and checkpoints ----------------------------------------------------------------------------------------


def npy(shape: tuple[int, ...], data: bytes = b"", dtype: str = "<f4") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def archive(path: Path, content: bytes, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("x.npy", content)
    return path


def refusal(read: Any, path: Path) -> str:
    """Return the line with which a file is refused, by a process with a limit on its memory."""
    code = f"from pathlib import Path; from {read.__module__} import {read.__name__} as read; read(Path({str(path)!r}))"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))

    outcome = subprocess.run(
        [sys.executable, "-c", code], preexec_fn=limit, check=False, capture_output=True, text=True, timeout=60
    )
    line = outcome.stderr.splitlines()[-1]
    assert line.startswith(f"emu.errors.InputError: {path}: "), outcome.stderr
    return line.removeprefix(f"emu.errors.InputError: {path}: ")


@pytest.mark.parametrize(
    ("content", "compression"),
    [
        (npy((1 << 20, 1 << 20, 4)), zipfile.ZIP_DEFLATED),
        (npy((1, 2, 3), bytes(23)), zipfile.ZIP_DEFLATED),
        (npy((1, 2, 3), bytes(24)), zipfile.ZIP_LZMA),
        (npy((1,), bytes(8), "|O"), zipfile.ZIP_DEFLATED),
        (b"\x93NUMPY\x09\x00", zipfile.ZIP_DEFLATED),
        (b"", zipfile.ZIP_DEFLATED),
    ],
)
def test_an_array_that_is_not_what_it_says(tmp_path: Path, content: bytes, compression: int):
    path = archive(tmp_path / "x.npz", content, compression)
    assert refusal(load_inputs, path) == "not a readable .npz file"


@pytest.mark.parametrize("character", [0xFFFF_FFFF, 0xD800])
def test_names_of_classes_that_are_no_text(tmp_path: Path, character: int):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("x.npy", npy((1, 2, 3), bytes(24)))
        file.writestr("classes.npy", npy((1,), struct.pack("<I", character), "<U1"))
    assert refusal(load_inputs, tmp_path / "x.npz") == "not a readable .npz file"


def test_an_archive_that_unpacks_to_gigabytes(tmp_path: Path):
    packed = bytearray(archive(tmp_path / "x.npz", npy((1, 2, 3), bytes(24))).read_bytes())
    place = packed.index(b"PK\x01\x02") + 24  # the size, in the directory
    packed[place : place + 4] = struct.pack("<I", 0xFFFF_FFF0)
    (tmp_path / "x.npz").write_bytes(packed)
    assert refusal(load_inputs, tmp_path / "x.npz") == "not a readable .npz file"


def test_arrays_in_any_order_and_format_are_read(tmp_path: Path):
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    content = io.BytesIO()
    np.lib.format.write_array(content, np.asfortranarray(x), version=(2, 0))
    assert (load_inputs(archive(tmp_path / "x.npz", content.getvalue())).x == x).all()


def test_tensors_without_values_of_their_own(tmp_path: Path):
    torch = pytest.importorskip("torch")
    tensors = {"expanded": torch.zeros(1).expand(1 << 20, 1 << 20), "meta": torch.empty(4, device="meta")}
    for name, tensor in tensors.items():
        torch.save({name: tensor}, tmp_path / f"{name}.pt")
        assert refusal(load_checkpoint, tmp_path / f"{name}.pt").startswith(f"entry '{name}' is not a named dense")


def test_one_tensor_under_many_names(tmp_path: Path):
    torch = pytest.importorskip("torch")
    tensor = torch.zeros(1 << 22)
    torch.save({f"t{number}": tensor for number in range(100)}, tmp_path / "m.pt")
    assert refusal(load_checkpoint, tmp_path / "m.pt").startswith("has more than 1,073,741,824 bytes of weights")


def test_an_elf_whose_headers_are_all_of_the_same_bytes(emu, tmp_path: Path):
    emu("build", "har", "--target", "stm32h7-unicorn", "--output", tmp_path / "f.elf")
    elf = bytearray((tmp_path / "f.elf").read_bytes())
    count = 2000
    struct.pack_into("<I", elf, 0x1C, len(elf))  # e_phoff
    struct.pack_into("<H", elf, 0x2C, count)  # e_phnum
    elf += struct.pack("<8I", 1, 0, 0x08000000, 0x08000000, len(elf), len(elf), 7, 4) * count
    (tmp_path / "f.elf").write_bytes(elf)
    emu("run", tmp_path / "f.elf", "-t", "stm32h7-unicorn").assert_one_clear_line("f.elf", "same bytes")


# ---- one line, whatever is in it -------------------------------------------------------------------------------------


def test_a_name_with_commands_to_a_terminal_is_one_line(emu, tmp_path: Path):
    path = tmp_path / "a\n::error::\x1b[2Jb.json"
    outcome = emu("report", path, "--html", tmp_path / "r.html")
    outcome.assert_one_clear_line(r"a\n::error::\x1b[2Jb.json: No such file")


def test_names_with_line_ends_stay_in_their_line_of_a_report(emu, tmp_path: Path):
    evil = "f;\n::error::\x1b\r"
    calls = {**CALLS, "function": evil}
    coverage = {"lines": {f"{evil}.c": {1: 1}}, "functions": [{"function": evil, "file": f"{evil}.c", "executions": 1}]}
    fields = record(profile={"call_paths": [{"caller": None, **calls}]}, coverage=coverage)
    (tmp_path / "run.json").write_text(json.dumps(fields))
    written = [tmp_path / name for name in ("lcov", "collapsed")]
    options = (*(f"--{path.name}={path}" for path in written), "--all-sources")
    assert emu("report", tmp_path / "run.json", *options).code == 0
    for path in written:
        text = path.read_text()
        assert not [character for character in text if ord(character) < 32 and character != "\n"]
        assert "\n::error" not in text
    assert (tmp_path / "collapsed").read_text() == "f:\\n::error::\\x1b\\r 1\n"


def test_a_device_without_end_is_refused():
    with pytest.raises(InputError, match="/dev/zero: has more than"):
        read_bytes(Path("/dev/zero"), most=10_000_000)


def test_a_demo_is_read_as_before():
    assert load_checkpoint(find_model("har").path).config.n_outputs == 7
