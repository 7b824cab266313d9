"""Build firmware: the C engine, one model image, a port and a linker script make one ELF.

A build depends on its inputs only, and on no path or time. So its bytes are the same everywhere, and the hash of its
inputs finds it in the cache.
"""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from emu.cache import cached, content_key
from emu.errors import EmuError, InputError
from emu.model.image import ImageInfo, read_image_info
from emu.model.tracing import trace_widths
from emu.resources import resource
from emu.targets import Board
from emu.toolchains import WORKING_DIRECTORY, CompilerError, Toolchain, find_toolchain

COMPILER_FLAGS = (
    "-std=c99",
    "-O2",
    "-g",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wconversion",
    "-ffreestanding",
    "-ffunction-sections",
    "-fdata-sections",
    "-ffp-contract=fast",  # a * b + c is one fused instruction; ISO C mode would turn that off
    "-fno-math-errno",
    "-fno-tree-loop-distribute-patterns",  # no loop may become a call of memset or memcpy: there is no libc
)
_LINK_FLAGS = ("-Wl,--gc-sections", "-Wl,--build-id=none")
_STANDALONE = ("-nostdlib", "-Wl,--no-warn-rwx-segments")
_LIBRARIES = ("-lgcc",)

_OVERFLOW = re.compile(r"region `(\w+)' overflowed by (\d+) bytes")
_INCLUDE = re.compile(rb'\bINCLUDE\s+"?([^\s"]+)')
_UNDEFINED = re.compile(r"undefined reference to `(__\w+)'")

_LARGEST_INPUT_BUFFER = 64 * 1024
"""Bytes: a longer sequence goes through the mailbox in parts."""


@dataclass(frozen=True)
class BuildOptions:
    """What a build can vary."""

    input_rows: int = 128
    """Rows of input that the mailbox has room for; fewer if they would be more than 64 KB.

    One row, if the model has outputs at each step.
    """
    trace: bool = False
    """Whether the firmware also hands out its intermediate tensors."""


def build_firmware(image: Path, board: Board, options: BuildOptions | None = None, cache: Path | None = None) -> Path:
    """Return the path of the ELF that runs ``image`` on ``board``.

    ``cache`` is the directory of the cache, by default the user's.

    Raises:
        MissingToolError: the board's compiler is missing.
        InputError: the image is not valid, or does not fit into a memory of the linker script.
        EmuError: compiling or linking fails for another reason.

    """
    options = options or BuildOptions()
    toolchain = find_toolchain(board.build.toolchain)
    info = read_image_info(image)
    runtime, linker_script = resource("runtime"), board.build.linker_script
    sources = [
        *sorted((runtime / "src").glob("*.c")),
        runtime / "port" / "main.c",
        runtime / "port" / "model.S",
        *sorted((runtime / "port" / board.architecture).glob("*.[cS]")),
    ]
    headers = sorted(runtime.rglob("*.h"))
    flags = [*board.build.flags, *COMPILER_FLAGS, *_defines(info, options)]
    key = content_key(
        [
            toolchain.version,
            platform.machine(),  # the system that the host's own compiler builds for
            *flags,
            *_LINK_FLAGS,
            *_STANDALONE,
            *_LIBRARIES,
            image.read_bytes(),
            *(_linker_files(linker_script) if linker_script is not None else ()),
            *(part for path in [*sources, *headers] for part in (str(path.relative_to(runtime)), path.read_bytes())),
        ]
    )

    def make(directory: Path) -> None:
        _compile(toolchain, board, flags, sources, runtime, image, directory)

    return cached("firmware", key, make, cache) / "firmware.elf"


def _linker_files(script: Path) -> list[bytes]:
    """Return the contents of a linker script and of all files that it includes: another memory map is another build."""
    found: dict[Path, bytes] = {}
    wanted = [script]
    while wanted:
        path = wanted.pop()
        if path not in found and path.is_file():  # the linker names a missing file
            found[path] = path.read_bytes()
            wanted += [script.parent / os.fsdecode(name) for name in _INCLUDE.findall(found[path])]
    return list(found.values())


def _defines(info: ImageInfo, options: BuildOptions) -> list[str]:
    rows = 1 if info.each_step else max(1, min(options.input_rows, _LARGEST_INPUT_BUFFER // (4 * info.n_features)))
    defines = [
        f"-DMAMBA_PARTS={info.parts:#x}ull",  # the engine without what this model does not need
        f"-DMODEL_ARENA_BYTES={info.arena_bytes}u",
        f"-DMODEL_OUTPUTS={info.n_outputs}u",
        f"-DMAILBOX_INPUT_FLOATS={rows * info.n_features}u",
    ]
    if options.trace:
        widths = trace_widths(info)
        floats = widths[0] + info.n_blocks * sum(widths[1:])
        defines += [
            "-DMAMBA_TRACE",
            f"-DMAMBA_TRACE_WIDTHS={{{','.join(str(width) for width in widths)}}}",
            f"-DMAILBOX_TRACE_FLOATS={floats}u",
        ]
    return defines


def _compile(
    toolchain: Toolchain,
    board: Board,
    flags: list[str],
    sources: list[Path],
    runtime: Path,
    image: Path,
    directory: Path,
) -> None:
    linker_script = board.build.linker_script
    # Debug information and sanitizers name sources as runtime/src/step.c, wherever the engine is installed. Not every
    # GCC passes the directory's new name on to the assembler.
    engine = directory / "runtime"
    engine.symlink_to(runtime.absolute())
    prefixes = [f"{flag}{WORKING_DIRECTORY}=." for flag in ("-ffile-prefix-map=", "-Wa,--debug-prefix-map=")]
    includes = [f"-I{engine.name}/{part}" for part in ("include", "src", "port")]
    model = directory / "model.mamba"
    model.write_bytes(image.read_bytes())
    objects = []
    for source in sources:
        target = f"{source.stem}.o"
        name = f"{engine.name}/{source.relative_to(runtime)}"
        try:
            toolchain.run(
                [*flags, *includes, *prefixes, f'-DMODEL_IMAGE="{model.name}"', "-c", name, "-o", target], directory
            )
        except CompilerError:
            _require_known_flags(toolchain, board, directory)
            raise
        objects.append(target)
    # Without a linker script it is a program for an operating system, whose C library starts it.
    placed = [] if linker_script is None else [*_STANDALONE, f"-T{linker_script}", f"-L{linker_script.parent}"]
    libraries = [] if linker_script is None else _LIBRARIES
    try:
        toolchain.run([*flags, *_LINK_FLAGS, *placed, *objects, *libraries, "-o", "firmware.elf"], directory)
    except CompilerError as error:
        raise error if linker_script is None else _explain(error, linker_script) from error
    for intermediate in [*objects, model.name, engine.name]:
        (directory / intermediate).unlink()


def _require_known_flags(toolchain: Toolchain, board: Board, directory: Path) -> None:
    """Raise InputError if the compiler compiles an empty source, but not with the board's flags."""
    nothing = ["-x", "c", "-c", os.devnull, "-o", "nothing.o"]
    try:
        toolchain.run(nothing, directory)
    except CompilerError:  # the compiler is broken, which tells nothing about the flags
        return
    try:
        toolchain.run([*board.build.flags, *nothing], directory)
    except CompilerError as error:
        raise InputError(f"build.flags of the board {board.name}: {error}") from error


def _explain(failure: CompilerError, linker_script: Path) -> EmuError:
    """Return a linker's complaint, in words for users if it is about the linker script."""
    if overflow := _OVERFLOW.search(failure.output):
        name, missing = overflow.groups()
        return InputError(f"the firmware does not fit: {name} in {linker_script} is {int(missing):,} bytes too small")
    if undefined := _UNDEFINED.search(failure.output):
        return InputError(f"{linker_script}: defines no {undefined[1]}, but emu's startup code needs it")
    return failure
