"""`emu export`: a trained model becomes an image."""

from pathlib import Path
from typing import Annotated

import typer

from emu.commands.parameters import Settings
from emu.model.config import MatrixType, Pooling


def export(
    checkpoint: Annotated[Path, typer.Argument(help="A trained model: .safetensors, or .pt (weights only).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model image to write (.mamba).")],
    dtype: Annotated[
        MatrixType, typer.Option(help="How matrices are stored; int8 has a scale for each row. Arithmetic is float32.")
    ] = "f32",
    fold: Annotated[
        bool,
        typer.Option("--fold/--no-fold", help="Fold neighbouring linear layers: smaller, faster, the same answers."),
    ] = True,
    pooling: Annotated[Pooling | None, typer.Option(help="Pooling over time: short for --set pooling=...")] = None,
    settings: Settings = None,
    header: Annotated[Path | None, typer.Option(help="Also write the image as a C header.")] = None,
) -> None:
    """Export a trained Mamba model to an image that the C engine runs from flash."""
    from emu.model.checkpoint import files_beside, load_checkpoint
    from emu.model.graph import build_graph
    from emu.model.image import c_header, read_image_info, write_image
    from emu.model.stated import from_table, parse_settings
    from emu.printable import printable
    from emu.record import Reading
    from emu.wording import reading_lines
    from emu.writing import require_distinct, write_file

    require_distinct([checkpoint, *files_beside(checkpoint)], [output, header])
    stated = parse_settings(settings or ())
    model = load_checkpoint(checkpoint, from_table({"pooling": pooling}).over(stated))
    image = write_image(build_graph(model, fold=fold), dtype)
    write_file(output, image)
    info = read_image_info(output)
    if header is not None:
        write_file(header, c_header(info, image, _identifier(output.stem)).encode())
    for how, what in reading_lines(Reading(statements=list(model.reading))):
        print(f"{how}: {printable(what)}")
    name = printable(str(output))
    print(f"{name}: {len(image):,} bytes of flash, {info.arena_bytes:,} bytes of RAM for each sequence")


def _identifier(text: str) -> str:
    name = "".join(character if character.isalnum() and character.isascii() else "_" for character in text)
    return name if not name[:1].isdigit() else f"model_{name}"
