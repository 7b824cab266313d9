"""The documents as a reader with a terminal follows them: files to write, commands to type, and output to compare.

A fence with a caption is a file of that name. ``console`` holds commands after ``$`` (``>`` continues a command), and
their output; ``sh`` holds commands alone. ``<!-- not executed: reason -->`` before a fence excludes its commands.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("**/*.md"))]

_DIRECTIVE = re.compile(r"\{(?P<directive>[\w-]+)\}\s*(?P<argument>.*)")
_OPTION = re.compile(r":(?P<name>[\w-]+):\s*(?P<value>.*)\n?")
_DOWNLOAD = re.compile(r"\{download\}`[^`<]*<(?P<path>[^>]*)>`")
_NOT_EXECUTED = re.compile(r"<!-- not executed: (?P<reason>.+?) -->", re.DOTALL)


@dataclass(frozen=True)
class File:
    """A file that the reader saves."""

    line: int
    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command that the reader types, and the output that the page shows; None if the page shows none."""

    line: int
    text: str
    shown: str | None


@dataclass(frozen=True)
class NotExecuted:
    """Commands that only a reader executes."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True)
class Block:
    """Any fence."""

    line: int
    language: str
    text: str


Step = File | Command | NotExecuted


def blocks(page: Path) -> list[Block]:
    """Return the code of a page, with the files that it includes."""
    return [block for block, _, _ in _fences(page)]


def steps(page: Path) -> list[Step]:
    """Return the steps of a page's reader, in order."""
    found: list[Step] = []
    for block, caption, reason in _fences(page):
        if reason is not None:
            found.append(NotExecuted(block.line, block.text, reason))
        elif caption is not None:
            found.append(File(block.line, caption, block.text))
        elif block.language == "console":
            found.extend(_session(block))
        elif block.language == "sh":
            commands = re.split(r"(?<!\\)\n", block.text.strip())
            found.extend(Command(block.line, text, None) for text in commands if not text.startswith("#"))
    return found


def _fences(page: Path) -> Iterator[tuple[Block, str | None, str | None]]:
    """Yield each fence, the name of its file, and why its commands are not executed."""
    reason = None
    for token in MarkdownIt().parse(page.read_text()):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "html_block" and (match := _NOT_EXECUTED.search(token.content)):
            reason = match["reason"]
        elif token.type == "inline":
            for match in _DOWNLOAD.finditer(token.content):
                file = page.parent / match["path"]
                yield Block(line, file.suffix.removeprefix("."), file.read_text()), file.name, None
        elif token.type == "fence":
            yield (*_fence(page, line, token.info.strip(), token.content), reason)
            reason = None


def _fence(page: Path, line: int, info: str, content: str) -> tuple[Block, str | None]:
    directive = _DIRECTIVE.fullmatch(info)
    if directive is None:
        return Block(line, info, content), None
    options: dict[str, str] = {}
    while match := _OPTION.match(content):
        options[match["name"]] = match["value"]
        content = content[match.end() :]
    if directive["directive"] == "literalinclude":
        content = (page.parent / directive["argument"]).read_text()
        return Block(line, options.get("language", ""), content), options.get("caption")
    language = directive["argument"] if directive["directive"] == "code-block" else info
    return Block(line, language, content.removeprefix("\n")), options.get("caption")


def _session(block: Block) -> Iterator[Command]:
    """Yield the commands of a terminal session."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        length = next((n for n, line in enumerate(lines) if n and not line.startswith("> ")), len(lines))
        command = "\n".join([lines[0], *(line.removeprefix("> ") for line in lines[1:length])])
        shown = "\n".join(lines[length:])
        yield Command(block.line, command, shown or None)
