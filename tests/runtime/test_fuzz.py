"""Mutated images under AddressSanitizer and UndefinedBehaviorSanitizer, and proof that the fuzzer finds faults."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from host_engine import RUNTIME, SANITIZERS, SOURCES, Status, compile_program

MUTANTS = 500_000
ADDRESS, NULL = "AddressSanitizer: heap-buffer-overflow", "AddressSanitizer:DEADLYSIGNAL"
UNDEFINED, CONTRACT = "runtime error: ", "broken contract: "


@dataclass(frozen=True)
class Fault:
    """A check of image.c, the code without the check, and who notices first that it is missing."""

    check: str
    forgotten: str
    report: str


PLANTED = {
    "a tensor's end": Fault("&& offset + bytes <= h->image_bytes", "", ADDRESS),
    "the missing rows of a matrix": Fault("product(mamba_padded(rows), ", "product(rows, ", ADDRESS),
    "an operation's end": Fault("if (left < sizeof *op) return MAMBA_ERROR_TRUNCATED;", "", ADDRESS),
    "the end of an operation's offsets": Fault("left - sizeof *op < count * sizeof(uint32_t)", "0", ADDRESS),
    "an operation's kind": Fault("op->kind >= MAMBA_KINDS || ", "", UNDEFINED),
    "the width of an operation's input": Fault("op->in != flow->width || ", "", ADDRESS),
    "the room for a vector": Fault("&& out > h->d_model", "&& 0", ADDRESS),
    "a pooling": Fault("return pooled && flow.width == h->n_outputs", "return flow.width == h->n_outputs", UNDEFINED),
    "what the head can be": Fault("return op->kind == MAMBA_NORM || ", "return 1 || ", ADDRESS),
    "the width of the outputs": Fault("pooled && flow.width == h->n_outputs", "pooled", ADDRESS),
    "the size of the arena": Fault("mamba_layout(header, NULL, NULL) != header->arena_bytes", "0", ADDRESS),
    "the alignment of tensors": Fault("offset % MAMBA_ALIGNMENT == 0 &&", "", UNDEFINED),
    "a tensor that is needed": Fault("if (offset == 0) return optional;", "if (offset == 0) return 1;", NULL),
    "a tensor that a parameter needs": Fault("(t->presence == IF_ONE && op->parameter != 1u)", "1", NULL),
    "states by four": Fault("h->d_state % 4u == 0 &&", "", ADDRESS),
    "a dimension of zero": Fault("value >= 1u &&", "", CONTRACT),
}


def fuzz(program: Path, first: int, count: int, images: list[Path]) -> subprocess.CompletedProcess[str]:
    command = [str(program), "1", str(first), str(count), *map(str, images)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def test_no_mutated_image_makes_the_engine_leave_its_memory(image_files: list[Path], tmp_path: Path) -> None:
    program = compile_program(tmp_path / "fuzz_image", ["fuzz_image.c", "exercise.c"], *SANITIZERS)
    outcome = fuzz(program, 0, MUTANTS, image_files)
    assert outcome.returncode == 0, outcome.stderr
    *by_status, ran = map(int, outcome.stdout.split())
    assert sum(by_status) == MUTANTS
    shares = {status: by_status[status] / MUTANTS for status in Status}
    assert shares.pop(Status.EMPTY) == 0.0  # mamba_finish's alone
    assert shares.pop(Status.ARENA) > 0.001
    assert min(shares.values()) > 0.01, shares
    assert ran > 0.15 * MUTANTS


@pytest.mark.parametrize("fault", PLANTED.values(), ids=PLANTED.keys())
def test_the_fuzzer_finds_a_check_that_is_missing(fault: Fault, image_files: list[Path], tmp_path: Path) -> None:
    source = (RUNTIME / "src" / "image.c").read_text()
    assert source.count(fault.check) == 1
    (tmp_path / "image.c").write_text(source.replace(fault.check, fault.forgotten))
    engine = [tmp_path / "image.c" if path.name == "image.c" else path for path in SOURCES]
    program = compile_program(
        tmp_path / "fuzz_image", ["fuzz_image.c", "exercise.c"], *SANITIZERS, "-Wno-error", engine=engine
    )
    outcome = fuzz(program, 0, MUTANTS, image_files)
    assert outcome.returncode != 0, outcome.stdout
    assert fault.report in outcome.stderr

    reproduction = next(line for line in outcome.stderr.splitlines() if line.startswith("reproduce: "))
    iteration = int(reproduction.split()[3])
    assert fuzz(program, 0, iteration, image_files).returncode == 0
    assert fuzz(program, iteration, 1, image_files).returncode != 0
