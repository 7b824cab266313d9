"""Marks, bars and frames for a terminal without such characters: each becomes one ASCII character."""

import codecs
import sys
from io import TextIOWrapper

_HANDLER = "emu.marks"
_LIKE = {
    "v": "✓",
    "x": "✗",
    "#": "█",
    "%": "▇",
    "*": "▆",
    "+": "▅┌┐└┘├┤┬┴┼╭╮╰╯┏┓┗┛┡┩╇",
    "=": "▄",
    "-": "▃—─━",
    ".": "▂·",
    "_": "▁",
    "|": "│┃",
    "~": "…",
}
"""The ASCII replacements; each step of a timeline keeps a mark of its own."""
_ASCII = {char: like for like, chars in _LIKE.items() for char in chars}
_REFUSING = ("strict", "surrogateescape")


def print_marks_everywhere() -> None:
    """Let stdout print ASCII for characters that its encoding lacks, instead of raising; stderr never raises."""
    codecs.register_error(_HANDLER, _in_ascii)
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors in _REFUSING:
        sys.stdout.reconfigure(errors=_HANDLER)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError), "only what is printed comes here"
    return "".join(_ASCII.get(char, "?") for char in error.object[error.start : error.end]), error.end
