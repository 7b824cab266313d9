"""The pytest plugin's options, settings, markers and fixtures as Markdown, from what it registers with pytest."""

import inspect
from typing import Any

from emu import pytest_plugin
from emu.pytest_plugin import options
from emu.pytest_plugin.runner import Builder, Runner


class _Register:
    """Takes pytest's place, and keeps what it is told."""

    def __init__(self) -> None:
        self.options: list[tuple[str, dict[str, Any]]] = []
        self.settings: list[tuple[str, str]] = []
        self.markers: list[tuple[str, str]] = []
        options.register(self)  # pyright: ignore[reportArgumentType]
        options.register_markers(self)  # pyright: ignore[reportArgumentType]

    def getgroup(self, *_names: str) -> "_Register":
        return self

    def addoption(self, name: str, **given: Any) -> None:
        self.options.append((name, given))

    def addini(self, name: str, help: str, **_given: Any) -> None:  # noqa: A002 - pytest's name
        self.settings.append((name, help))

    def addinivalue_line(self, _name: str, line: str) -> None:
        marker, _, about = line.partition("): ")
        self.markers.append((f"{marker})", about))


def describe_options() -> str:
    """Return the command-line options."""
    return "\n".join(
        f"````{{option}} {name} {given.get('metavar', '')}\n{given['help'].replace('%%', '%')}\n````\n"
        for name, given in _Register().options
    )


def describe_settings() -> str:
    """Return the settings of pyproject.toml or pytest.ini."""
    return "\n".join(f"`{name}`\n: {about}\n" for name, about in _Register().settings)


def describe_markers() -> str:
    """Return the markers."""
    return "\n".join(f"`@pytest.mark.{name}`\n: {about.split(' Holds for each run')[0]}\n" for name, about in _Register().markers)


def describe_fixtures() -> str:
    """Return the fixtures, and how what they return is called."""
    called = {"emu_build": Builder, "emu_run": Runner}
    parts = []
    for name in ("emu_run", "emu_build", "emu_target"):
        fixture = getattr(pytest_plugin, name)
        about = inspect.getdoc(fixture) or ""
        if name in called:
            about = inspect.getdoc(called[name].__call__) or ""
            signature = inspect.signature(called[name].__call__)
            parameters = ", ".join(str(each) for each in list(signature.parameters.values())[1:])
            parts.append(f"`{name}({parameters})`\n: {_markdown(about)}\n")
        else:
            parts.append(f"`{name}`\n: {_markdown(about)}\n")
    return "\n".join(parts)


def _markdown(docstring: str) -> str:
    return "\n\n  ".join(" ".join(paragraph.split()) for paragraph in docstring.replace("``", "`").split("\n\n"))
