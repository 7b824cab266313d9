"""Markdown of the options, settings, markers and fixtures that the plugin registers with pytest."""

import inspect
from collections.abc import Callable
from typing import Any

from emu import pytest_plugin
from emu.pytest_plugin import options
from emu.pytest_plugin.runner import Builder, Runner


class _Register:
    """Takes pytest's place, and keeps the registered options, settings and markers."""

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
    return "\n".join(f"`@pytest.mark.{name}`\n: {_sentence(about)}\n" for name, about in _Register().markers)


def describe_fixtures() -> str:
    """Return the fixtures, and the calls of the functions that they return."""
    return "\n".join(
        [
            f"`{_call('emu_run', Runner.__call__)}`\n: {_about(Runner.__call__)}\n",
            f"`{_call('emu_build', Builder.__call__)}`\n: {_about(Builder.__call__)}\n",
            f"`emu_target`\n: {_about(pytest_plugin.emu_target)}\n",
        ]
    )


def _call(name: str, method: Callable[..., object]) -> str:
    """Return a call with the names of its parameters and their defaults."""
    _, *parameters = inspect.signature(method).parameters.values()
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    return f"{name}{inspect.Signature(bare)}"


def _about(documented: object) -> str:
    paragraphs = (inspect.getdoc(documented) or "").replace("``", "`").split("\n\n")
    return "\n\n  ".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _sentence(about: str) -> str:
    own, _, _ = about.partition(" Holds for each run")  # the text that all markers have
    return own[:1].upper() + own[1:]
