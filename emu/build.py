"""Build firmware: the C engine, one model image, a port and a linker script make one ELF.

A build depends on nothing but its inputs (no paths, no time), so it is the same bytes everywhere, and it is cached by
the hash of those inputs.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from emu.cache import cached, content_key
from emu.errors import EmuError, InputError
from emu.model.image import ImageInfo, read_image_info
from emu.model.tracing import trace_widths
from emu.resources import resource
from emu.targets import Board
from emu.toolchains import Toolchain, find_toolchain

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
    "-fno-tree-loop-distribute-patterns",  # no loop becomes a call of memset or memcpy: there is no libc
)
_LINK_FLAGS = ("-nostdlib", "-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,--no-warn-rwx-segments")
_LIBRARIES = ("-lgcc",)

_OVERFLOW = re.compile(r"region `(\w+)' overflowed by (\d+) bytes")
_UNDEFINED = re.compile(r"undefined reference to `(__\w+)'")

_LARGEST_INPUT_BUFFER = 64 * 1024
"""Bytes: a longer sequence goes through the mailbox in parts."""


@dataclass(frozen=True)
class BuildOptions:
    """What a build can vary."""

    input_rows: int = 128
    """Rows of input that the mailbox has room for; fewer if they would be more than 64 KB."""
    trace: bool = False
    """Whether the firmware also hands out its intermediate tensors."""


def build_firmware(image: Path, board: Board, options: BuildOptions | None = None) -> Path:
    """Return the path of the ELF that runs ``image`` on ``board``.

    Raises MissingToolError where the board's compiler is missing, InputError where the image is not valid or does not
    fit into a memory of the linker script, and EmuError where compiling or linking fails for another reason.
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
            *flags,
            *_LINK_FLAGS,
            *_LIBRARIES,
            image.read_bytes(),
            linker_script.read_bytes(),
            *(part for path in [*sources, *headers] for part in (str(path.relative_to(runtime)), path.read_bytes())),
        ]
    )

    def make(directory: Path) -> None:
        _compile(toolchain, flags, sources, runtime, image, linker_script, directory)

    return cached("firmware", key, make) / "firmware.elf"


def _defines(info: ImageInfo, options: BuildOptions) -> list[str]:
    rows = max(1, min(options.input_rows, _LARGEST_INPUT_BUFFER // (4 * info.n_features)))
    defines = [
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
    flags: list[str],
    sources: list[Path],
    runtime: Path,
    image: Path,
    linker_script: Path,
    directory: Path,
) -> None:
    # Debug information names sources as runtime/src/step.c, wherever the engine is installed. Not every GCC passes that
    # on to the assembler.
    moved = [f"{runtime}=runtime", f"{directory}=."]
    prefixes = [flag + move for flag in ("-ffile-prefix-map=", "-Wa,--debug-prefix-map=") for move in moved]
    includes = [f"-I{runtime / 'include'}", f"-I{runtime / 'src'}", f"-I{runtime / 'port'}"]
    model = directory / "model.mamba"
    model.write_bytes(image.read_bytes())
    objects = []
    for source in sources:
        target = f"{source.stem}.o"
        toolchain.run(
            [*flags, *includes, *prefixes, f'-DMODEL_IMAGE="{model.name}"', "-c", str(source), "-o", target], directory
        )
        objects.append(target)
    try:
        toolchain.run(
            [*flags, *_LINK_FLAGS, f"-T{linker_script}", *objects, *_LIBRARIES, "-o", "firmware.elf"], directory
        )
    except EmuError as error:
        raise _explain(error, linker_script) from error
    for intermediate in [*objects, model.name]:
        (directory / intermediate).unlink()


def _explain(failure: EmuError, linker_script: Path) -> EmuError:
    """Return what a linker's complaint means, where it is one about the linker script; else the complaint."""
    if overflow := _OVERFLOW.search(str(failure)):
        name, missing = overflow.groups()
        return InputError(f"the firmware does not fit: {name} in {linker_script} is {int(missing):,} bytes too small")
    if undefined := _UNDEFINED.search(str(failure)):
        return InputError(f"{linker_script}: defines no {undefined[1]}, which emu's startup code wants")
    return failure
