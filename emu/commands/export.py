"""`emu export`: a trained model becomes an image."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emu.commands.parameters import Settings, Weights
from emu.model.config import MatrixType, Pooling

if TYPE_CHECKING:
    from emu.live.definition import Definition
    from emu.model.stated import Stated
    from emu.record import Reading


def export(
    model: Annotated[
        str,
        typer.Argument(
            help="A trained model: .safetensors, .pt (weights only), or a module that my_model.py:build makes."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The model image to write (.mamba); for a module, a directory.")
    ],
    dtype: Annotated[
        MatrixType, typer.Option(help="How matrices are stored; int8 has a scale for each row. Arithmetic is float32.")
    ] = "f32",
    fold: Annotated[
        bool,
        typer.Option("--fold/--no-fold", help="Fold neighbouring linear layers: smaller, faster, the same answers."),
    ] = True,
    pooling: Annotated[Pooling | None, typer.Option(help="Pooling over time: short for --set pooling=...")] = None,
    settings: Settings = None,
    weights: Weights = None,
    inputs: Annotated[
        Path | None, typer.Option(help="For a module: an .npz with x float32 [N, T, F]. Its answers are written, too.")
    ] = None,
    header: Annotated[Path | None, typer.Option(help="Also write the image as a C header.")] = None,
) -> None:
    """Export a trained Mamba model to an image for the C engine.

    A module is exported with the inputs and its own answers to them: DIRECTORY/model.mamba and DIRECTORY/inputs.npz.
    """
    from emu.errors import InputError
    from emu.live.definition import parse_definition
    from emu.model.image import c_header, read_image_info
    from emu.model.stated import Stated, from_table, parse_settings
    from emu.printable import printable
    from emu.wording import reading_lines
    from emu.writing import write_file

    stated = from_table({"pooling": pooling}).over(parse_settings(settings or ()))
    definition = parse_definition(model, weights)
    if definition is None:
        if weights is not None or inputs is not None:
            raise InputError(f"--weights and --inputs are for a module, such as my_model.py:build, not for {model}")
        image, reading = _export_checkpoint(Path(model), stated, output, header, dtype, fold)
    elif stated == Stated():
        image, reading = _export_module(definition, inputs, output, header, dtype, fold)
    else:
        raise InputError(f"{definition.file}: --set and --pooling are for checkpoints; a module shows what it computes")
    info = read_image_info(image)
    if header is not None:
        write_file(header, c_header(info, image.read_bytes(), _identifier(image.stem)).encode())
    for how, what in reading_lines(reading):
        print(f"{how}: {printable(what)}")
    size, name = image.stat().st_size, printable(str(image))
    print(f"{name}: {size:,} bytes of flash, {info.arena_bytes:,} bytes of RAM for each sequence")


def _export_checkpoint(
    checkpoint: Path, stated: "Stated", output: Path, header: Path | None, dtype: MatrixType, fold: bool
) -> "tuple[Path, Reading]":
    """Write a checkpoint's image; return its file and the reading of the checkpoint."""
    from emu.model.checkpoint import files_beside, load_checkpoint
    from emu.model.graph import build_graph
    from emu.model.image import write_image
    from emu.record import Reading
    from emu.writing import require_distinct, write_file

    require_distinct([checkpoint, *files_beside(checkpoint)], [output, header])
    model = load_checkpoint(checkpoint, stated)
    write_file(output, write_image(build_graph(model, fold=fold), dtype))
    return output, Reading(statements=list(model.reading))


def _export_module(
    definition: "Definition", inputs: Path | None, directory: Path, header: Path | None, dtype: MatrixType, fold: bool
) -> "tuple[Path, Reading]":
    """Write a module's image and inputs; return the image's file and the reading of the module."""
    from emu.live.exporting import IMAGE_NAME, INPUTS_NAME, write
    from emu.live.source import open_live
    from emu.writing import require_distinct

    require_distinct([*definition.files, inputs], [directory / IMAGE_NAME, directory / INPUTS_NAME, header])
    exported = write(open_live(definition, inputs).live, directory, dtype, fold=fold)
    return exported.image, exported.reading


def _identifier(text: str) -> str:
    name = "".join(character if character.isalnum() and character.isascii() else "_" for character in text)
    return name if not name[:1].isdigit() else f"model_{name}"
