"""The engine and the programs around it, compiled once for all tests."""

from pathlib import Path

import pytest
from host_engine import SANITIZERS, Engine, compile_program
from image_surgery import small_images


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="session")
def images() -> dict[str, bytes]:
    return small_images()


@pytest.fixture(scope="session")
def image_files(images: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    directory = tmp_path_factory.mktemp("images")
    for name, image in images.items():
        (directory / f"{name}.mamba").write_bytes(image)
    return sorted(directory.iterdir())


@pytest.fixture(scope="session")
def open_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of open_images.c under sanitizers."""
    directory = tmp_path_factory.mktemp("open_images")
    return compile_program(directory / "open_images", ["open_images.c", "exercise.c"], *SANITIZERS)
