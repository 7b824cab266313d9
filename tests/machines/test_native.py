"""The compiled hooks: built on first use, kept by content, and missing only with a clear word."""

import os
import subprocess
import sys
from pathlib import Path

LOAD = "from emu.native.unicorn import unicorn_probe; unicorn_probe(); print('loaded')"
REPOSITORY = Path(__file__).parents[2]


def load(cache: Path, **environment: str) -> "subprocess.Popen[str]":
    variables = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(REPOSITORY), **environment}
    return subprocess.Popen([sys.executable, "-c", LOAD], env=variables, stdout=-1, stderr=-1, text=True)


def test_processes_that_compile_at_once_all_get_a_whole_library(tmp_path: Path) -> None:
    processes = [load(tmp_path) for _ in range(4)]
    for process in processes:
        out, errors = process.communicate()
        assert out == "loaded\n", errors
    libraries = [path for path in (tmp_path / "emu" / "native").rglob("*") if path.is_file()]
    assert sorted(path.name for path in libraries) == ["manifest", "unicorn_probe.so"]


def test_a_cached_library_needs_no_compiler(tmp_path: Path) -> None:
    assert load(tmp_path).communicate()[0] == "loaded\n"
    assert load(tmp_path, PATH="/nonexistent").communicate()[0] == "loaded\n"


def test_without_a_compiler_the_error_names_the_fix(tmp_path: Path) -> None:
    out, errors = load(tmp_path, PATH="/nonexistent").communicate()
    assert out == ""
    assert "emu.errors.MissingToolError" in errors
    assert "apt-get install gcc" in errors.splitlines()[-1]


def test_the_sources_are_warning_free_under_more_than_the_build_asks_for(tmp_path: Path) -> None:
    from importlib.resources import files

    headers = str(files("unicorn") / "include")
    native = REPOSITORY / "emu" / "native"
    sources = [str(path) for path in (*native.glob("*.c"), *native.glob("common/*.c"))]
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-pedantic"]
    subprocess.run(["cc", *flags, "-isystem", headers, "-fsyntax-only", *sources], cwd=tmp_path, check=True)
