"""Split every file of the repository into its prose and its code.

Prose is what people read: docstrings, comments, help texts and Markdown. Code is the rest.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

_NOT_OURS = {".git", ".venv", "__pycache__", "build", "dist", "node_modules", "out", "site"}
_C_COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)
_HASH_COMMENT = re.compile(r'(?<![\w$&{(])#(?!!)[^\n]*|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'')
_MARKDOWN_FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1", re.DOTALL | re.MULTILINE)
_C_SUFFIXES = {".c", ".h", ".S", ".ld", ".css", ".js", ".def"}
_HASH_SUFFIXES = {".toml", ".yml", ".yaml", ".robot", ".resource", ".sh"}
_HELP = {"help", "epilog", "short_help"}


@dataclass(frozen=True)
class Passage:
    """One docstring, comment, help text or Markdown paragraph."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(REPOSITORY)}:{self.line}"


@dataclass(frozen=True)
class Read:
    """A file, split into prose and code."""

    prose: list[Passage]
    code: str


def files(directory: Path = REPOSITORY) -> list[Path]:
    """Return every file below a directory, except installed and built files."""
    return sorted(_walk(directory))


def written_files() -> list[Path]:
    """Return every file of the repository that holds prose or code."""
    return [path for path in files() if _kind(path) is not None]


def read(path: Path) -> Read:
    """Split a file into prose and code."""
    text = path.read_text()
    match _kind(path):
        case "python":
            return _python(path, text)
        case "c":
            return _commented(path, text, _C_COMMENT, "/")
        case "markdown":
            return _markdown(path, text)
        case _:
            return _commented(path, text, _HASH_COMMENT, "#")


def _walk(directory: Path) -> Iterator[Path]:
    for entry in directory.iterdir():
        if entry.name in _NOT_OURS or entry.name.endswith("_cache") or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _walk(entry)
        else:
            yield entry


def _kind(path: Path) -> str | None:
    suffix = path.suffix
    if suffix == ".py":
        return "python"
    if suffix == ".md":
        return "markdown"
    if suffix in _C_SUFFIXES:
        return "c"
    if suffix in _HASH_SUFFIXES:
        return "hash"
    with path.open("rb") as file:
        return "hash" if file.read(2) == b"#!" else None


def _python(path: Path, text: str) -> Read:
    passages: list[Passage] = []
    prose_lines: set[tuple[int, int]] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and _is_text(node.value):
            passages.append(Passage(path, node.lineno, ast.literal_eval(node.value)))
            prose_lines.add((node.lineno, node.col_offset))
        elif isinstance(node, ast.keyword) and node.arg in _HELP and _is_text(node.value):
            passages.append(Passage(path, node.value.lineno, ast.literal_eval(node.value)))
    code: list[str] = []
    comment: list[str] = []
    last = -1
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if comment and token.start[0] != last + 1:
                passages.append(Passage(path, last - len(comment) + 1, "\n".join(comment)))
                comment = []
            comment.append(token.string.lstrip("# "))
            last = token.start[0]
        elif token.start not in prose_lines:
            code.append(token.string)
    if comment:
        passages.append(Passage(path, last - len(comment) + 1, "\n".join(comment)))
    return Read(sorted(passages, key=lambda passage: passage.line), " ".join(code))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _commented(path: Path, text: str, comment: re.Pattern[str], mark: str) -> Read:
    """Split a file at its comments; ``comment`` also matches strings, so that no mark in a string begins one."""
    passages: list[Passage] = []
    code = text
    for match in comment.finditer(text):
        if not match.group().startswith(mark):
            continue
        line = text.count("\n", 0, match.start()) + 1
        words = re.sub(r"^[/*#\s]+|\*/$", "", match.group(), flags=re.MULTILINE)
        between = text[: match.start()].rpartition("\n")[2]
        previous = passages[-1] if passages else None
        if previous and not between.strip() and previous.line + previous.text.count("\n") + 1 == line:
            passages[-1] = Passage(path, previous.line, f"{previous.text}\n{words}")
        else:
            passages.append(Passage(path, line, words))
        code = code[: match.start()] + " " * len(match.group()) + code[match.end() :]
    return Read(passages, code)


def _markdown(path: Path, text: str) -> Read:
    """Split a page at its fences: the content of a fence is code."""
    blank = _MARKDOWN_FENCE.sub(lambda match: "\n" * match.group().count("\n"), text)
    passages: list[Passage] = []
    for match in re.finditer(r"(?:.+\n?)+", blank):
        passages.append(Passage(path, blank.count("\n", 0, match.start()) + 1, match.group()))
    return Read(passages, "\n".join(match.group() for match in _MARKDOWN_FENCE.finditer(text)))
