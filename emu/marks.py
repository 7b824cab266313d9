"""Marks, bars and frames for a terminal that has no such characters: each becomes one character of ASCII."""

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
"""What ASCII has instead; each step of a timeline keeps a mark of its own."""
_ASCII = {char: like for like, chars in _LIKE.items() for char in chars}
_REFUSING = ("strict", "surrogateescape")


def print_marks_everywhere() -> None:
    """Let stdout print in ASCII what its encoding has no characters for, instead of raising; stderr never raises."""
    codecs.register_error(_HANDLER, _in_ascii)
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors in _REFUSING:
        sys.stdout.reconfigure(errors=_HANDLER)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError), "only what is printed comes here"
    return "".join(_ASCII.get(char, "?") for char in error.object[error.start : error.end]), error.end
