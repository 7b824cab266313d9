"""The engine with only the parts that an image needs: the image runs as ever, and other images do not open."""

import subprocess
from pathlib import Path

import pytest
from host_engine import SANITIZERS, Status, compile_program
from test_image import open_with

from emu.model.image import read_image_info


def results(program: Path, images: dict[str, bytes], directory: Path) -> dict[str, list[str]]:
    outcome: subprocess.CompletedProcess[str] = open_with(program, list(images.values()), directory)
    assert outcome.returncode == 0, outcome.stderr
    return dict(zip(images, (line.split() for line in outcome.stdout.splitlines()), strict=True))


def parts_of(image: bytes, directory: Path) -> int:
    (directory / "image.mamba").write_bytes(image)
    return read_image_info(directory / "image.mamba").parts


@pytest.mark.parametrize("name", ["plain", "layers in the head", "inner norms", "tokens in int8", "layer norm"])
def test_an_engine_of_some_parts_runs_what_they_are_enough_for(
    name: str, images: dict[str, bytes], open_images: Path, tmp_path: Path
) -> None:
    parts = parts_of(images[name], tmp_path)
    programs, flags = ["open_images.c", "exercise.c"], (*SANITIZERS, f"-DMAMBA_PARTS={parts:#x}ull")
    small = results(compile_program(tmp_path / "small", programs, *flags), images, tmp_path)
    whole = results(open_images, images, tmp_path)
    for other, image in images.items():
        if parts_of(image, tmp_path) & ~parts:
            assert small[other][0] in (str(int(Status.OPERATION)), str(int(Status.DIMENSION))), other
        else:
            assert small[other][:2] == whole[other][:2] == ["0", "1"], other
            assert float(small[other][2]) == pytest.approx(float(whole[other][2]), rel=1e-5), other
    assert any(parts_of(image, tmp_path) & ~parts for image in images.values())
