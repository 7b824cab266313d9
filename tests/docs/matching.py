"""Whether a document shows what a command printed."""

import difflib
import re

# Rounding errors depend on the processor that trained the model, durations on everything.
_SCIENTIFIC = r"\d(?:\.\d+)?e[-+]\d\d"
_SECONDS = r"\d+\.\d\ds(?: \(\d+:\d\d:\d\d\))?"  # pytest adds hours and minutes to more than a minute
_VARYING = re.compile(f"{_SCIENTIFIC}|{_SECONDS}")


def difference(shown: str, printed: str) -> str:
    """Return how ``printed`` differs from ``shown``; empty if it does not.

    A line ``...`` stands for any lines, and ``...`` within a line for any text. A number in scientific notation, or of
    seconds, stands for any other. Spaces at the ends of lines, and empty lines around the text, do not count.
    """
    expected, actual = _tidy(shown), _tidy(printed)
    pattern = "".join(r"(?:.*\n)*?" if line.strip() == "..." else f"{_pattern(line)}\n" for line in expected)
    if re.fullmatch(pattern, "".join(f"{line}\n" for line in actual)):
        return ""
    return "\n".join(difflib.unified_diff(expected, actual, "shown", "printed", lineterm="", n=100))


def _tidy(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def _pattern(line: str) -> str:
    fixed, varying = _VARYING.split(line), _VARYING.findall(line)
    patterns = [".*".join(map(re.escape, part.split("..."))) for part in fixed]
    joined = patterns[0]
    for number, pattern in zip(varying, patterns[1:], strict=True):
        joined += (_SECONDS if number.endswith("s") else _SCIENTIFIC) + pattern
    return joined
