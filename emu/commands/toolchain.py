"""`emu toolchain`: compilers for which no package exists."""

from typing import Annotated

import typer

toolchain = typer.Typer(no_args_is_help=True, help="Compilers that no package has.")


@toolchain.command("install")
def install_toolchain(name: Annotated[str, typer.Argument(help="xtensa: GCC for the ESP32-S3's core.")]) -> None:
    """Build a compiler from Debian's source packages, once, into the cache. An interrupted build continues.

    The build needs no root. It needs a network, 900 MB of disk (30 MB afterwards) and about ten minutes on two cores.
    """
    from rich.console import Console

    from emu.errors import InputError
    from emu.toolchains import find_toolchain
    from emu.toolchains.display import BuildDisplay
    from emu.toolchains.installation import install
    from emu.toolchains.recipe import find_recipe

    recipe = find_recipe(name)
    if recipe is None:
        raise InputError(f"{name}: there is no recipe for a toolchain of this name, only for: xtensa")
    with BuildDisplay(Console(stderr=True)) as display:
        install(recipe, display)
    built = find_toolchain(name)
    print(f"{built.version}: {built.compiler}")
