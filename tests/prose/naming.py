"""The files and symbols that prose names, and whether they exist.

- A word that ends like a source file (``step.c``) or begins with a top folder (``runtime/src``) names a file. A path
  starts at the repository's root or in the folder of the prose. A bare name is a file of the same folder, or the only
  file of that name.
- A dotted word that begins with ``emu``, ``models`` or ``tests`` names a module or a symbol of a module.
- A name in backticks (``Machine``), or in small letters with an underscore (mamba_step), occurs in code.
  A variable of the paper (h_t) does not have to.
- A name after a class of ours (``Machine.boot``) is an attribute of that class.
- A name that ends with an underscore (``STOP_``) is the beginning of a name in code.
- A link or ``{download}`` in Markdown leads to a file.
"""

import ast
import re
from functools import cached_property
from pathlib import Path

from reading import REPOSITORY, Passage, files, read, written_files

_SUFFIXES = "py|c|h|S|ld|toml|md|robot|resource|yml|html|css|js|def"
_DOWNLOAD = r"\{download\}`[^`<]*<(?P<download>[^>]*)>`"
_TARGET = re.compile(rf"\b\w+://\S+|\]\([^)]*\)|{_DOWNLOAD}")
_FILE = re.compile(rf"(?<![\w/.$~*<{{-])[\w.-]+(?:/[\w.-]+)*\.(?:{_SUFFIXES})(?![\w/(.-]*\w)")
_TOP = "|".join(re.escape(path.name) for path in REPOSITORY.iterdir() if path.is_dir() and path.name[0] not in "._")
_FOLDER = re.compile(rf"(?<![\w/.$~*<{{-])(?:{_TOP})/[\w./-]*\w")
_QUOTED = re.compile(r"(`{1,2})(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\(\))?\1(?!`)")
_DOTTED = re.compile(r"(?<![\w./@-])(?:emu|models|tests)(?:\.[A-Za-z_]\w*)+(?![\w-])")
_WITH_UNDERSCORE = re.compile(
    r"(?<![\w./$%<{-])(?!\w\w?_t\b)(?:[a-z]|MAMBA_|EMU_)[A-Za-z0-9]*_\w*[A-Za-z0-9](?![\w*/]|\.\w)"
)
_ATTRIBUTE = re.compile(r"(?<![\w./-])[A-Z]\w+\.[a-z_]\w*(?![\w.*/])")
_LINK = re.compile(rf"\]\((?P<target>[^)#:\s]+)(?:#[^)]*)?\)|{_DOWNLOAD}")


class Tree:
    """What exists in the repository."""

    @cached_property
    def files(self) -> list[Path]:
        return files()

    @cached_property
    def code_words(self) -> set[str]:
        """The words of all code but these tests', which name on purpose what does not exist."""
        paths = [path for path in written_files() if path.parent != Path(__file__).parent]
        return {word for path in paths for word in re.findall(r"\w+", read(path).code)}

    @cached_property
    def classes(self) -> dict[str, list[ast.ClassDef]]:
        found: dict[str, list[ast.ClassDef]] = {}
        for path in self.files:
            if path.suffix == ".py":
                for node in ast.walk(ast.parse(path.read_text())):
                    if isinstance(node, ast.ClassDef):
                        found.setdefault(node.name, []).append(node)
        return found

    def has_file(self, name: str, beside: Path) -> bool:
        """Return whether ``name`` is a file or folder that prose in the file ``beside`` can mean."""
        if (REPOSITORY / name).exists() or (beside.parent / name).exists():
            return True
        return "/" not in name and sum(path.name == name for path in self.files) == 1

    def has_dotted(self, name: str) -> bool:
        """Return whether ``emu.machines.Machine.boot`` is a module, or a symbol in one."""
        path = REPOSITORY
        parts = name.split(".")
        while parts and (path / parts[0]).is_dir():
            path /= parts.pop(0)
        if parts and (path / f"{parts[0]}.py").exists():
            path /= f"{parts.pop(0)}.py"
        elif path.is_dir():
            path /= "__init__.py"
        if not parts:
            return True
        return path.exists() and parts[0] in _names(ast.parse(path.read_text()).body) and self.has_symbol(parts)

    def has_symbol(self, parts: list[str]) -> bool:
        """Return whether a name in backticks is a class with that attribute, or occurs in code."""
        classes = self.classes.get(parts[0], [])
        if len(parts) > 1 and classes:
            return any(parts[1] in self._attributes(each) for each in classes)
        return all(part in self.code_words or self._begins_a_word(part) for part in parts)

    def _begins_a_word(self, name: str) -> bool:
        return name.endswith("_") and any(word.startswith(name) for word in self.code_words)

    def _attributes(self, node: ast.ClassDef) -> set[str]:
        """Return the attributes of a class: its own, those it sets on ``self``, and those of its bases."""
        found = _names(node.body)
        for each in ast.walk(node):
            if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == "self":
                found.add(each.attr)
        for base in node.bases:
            for parent in self.classes.get(ast.unparse(base).rpartition(".")[2], []):
                if parent is not node:
                    found |= self._attributes(parent)
        return found


def named_and_missing(passage: Passage, tree: Tree) -> list[str]:
    """Return each file and symbol that a passage names and that does not exist."""
    links = _LINK.finditer(passage.text) if passage.path.suffix == ".md" else []
    targets = {match["target"] or match["download"] for match in links}
    text = _TARGET.sub("]", passage.text)
    paths = {*_FILE.findall(text), *_FOLDER.findall(text)}
    dotted = {*_DOTTED.findall(text)} - paths
    quoted = {match["name"] for match in _QUOTED.finditer(text)} | {*_WITH_UNDERSCORE.findall(text)}
    quoted |= {name for name in _ATTRIBUTE.findall(text) if name.partition(".")[0] in tree.classes}
    found = {name for name in targets if not (passage.path.parent / name).exists()}
    found |= {name for name in paths if not tree.has_file(name, passage.path)}
    found |= {name for name in dotted if not tree.has_dotted(name)}
    found |= {name for name in quoted - dotted - paths if not tree.has_symbol(name.split("."))}
    return sorted(found)


def _names(body: list[ast.stmt]) -> set[str]:
    """Return the names that statements define or import."""
    found: set[str] = set()
    for node in body:
        for each in ast.walk(node):
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(each.name)
            elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                found.add(each.id)
            elif isinstance(each, ast.alias):
                found.add((each.asname or each.name).partition(".")[0])
    return found
