"""Text from outside (paths, symbols, what firmware or a compiler prints), made safe to show."""

_LONGEST = 500


def printable(text: str, longest: int = _LONGEST) -> str:
    """Return ``text`` cut at ``longest``; characters that could command a terminal or break a document are escaped."""
    escaped = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:longest])
    return escaped + "…" * (len(text) > longest)
