"""The command line as Markdown, from the commands' functions and the help of their parameters."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from emu.cli import command_line


def describe() -> str:
    """Return a section for each command."""
    app = command_line()
    commands = _commands("emu", app, typer.main.get_command(app))
    return "\n".join(line for path, function, parsed in commands for line in _section(path, function, parsed))


@dataclass(frozen=True)
class _Parameter:
    name: str
    info: ArgumentInfo | OptionInfo
    kind: Any
    """The type of the parameter, without None."""
    default: Any
    spellings: list[str]
    """The names that a user types, the long form first."""

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty

    @property
    def repeatable(self) -> bool:
        return get_origin(self.kind) is list

    @property
    def value(self) -> str:
        """The placeholder for the value; empty for a switch."""
        if self.kind is bool:
            return ""
        choices = get_args(self.kind) if get_origin(self.kind) is Literal else ()
        return self.info.metavar or "|".join(choices) or self.name.upper()


def _commands(path: str, application: typer.Typer, parsed: Any) -> Iterator[tuple[str, Callable[..., None], Any]]:
    """Yield for each command the words that a user types, its function, and the command as click parses it."""
    for command in application.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__
        yield f"{path} {name}", command.callback, parsed.commands[name]
    for group in application.registered_groups:
        assert group.typer_instance is not None
        yield from _commands(f"{path} {group.name}", group.typer_instance, parsed.commands[group.name])


def _parameters(function: Callable[..., None], parsed: Any) -> Iterator[_Parameter]:
    spellings = {each.name: sorted((*each.opts, *each.secondary_opts), key=len, reverse=True) for each in parsed.params}
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        annotated, info = get_args(hints[name])
        (kind,) = [each for each in _alternatives(annotated) if each is not NoneType]
        yield _Parameter(name, info, kind, parameter.default, spellings[name])


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    several = get_origin(annotation) not in (None, list, Literal)
    return get_args(annotation) if several else (annotation,)


def _section(path: str, function: Callable[..., None], parsed: Any) -> Iterator[str]:
    parameters = list(_parameters(function, parsed))
    arguments = [each for each in parameters if isinstance(each.info, ArgumentInfo)]
    options = [each for each in parameters if isinstance(each.info, OptionInfo)]
    needed = [f"{option.spellings[0]} {option.value}" for option in options if option.required]
    usage = [path, *(argument.value for argument in arguments), *needed]
    if len(needed) < len(options):
        usage.append("[OPTIONS]")
    yield f"## `{path}`\n\n```text\n{' '.join(usage)}\n```\n\n{_text(inspect.getdoc(function) or '')}\n"
    for argument in arguments:
        yield f"`{argument.value}`\n: {_text(argument.info.help or '')}\n"
    yield f"```{{program}} {path}\n```\n"
    for option in options:
        spellings = ", ".join(f"{spelling} {option.value}".strip() for spelling in option.spellings)
        yield f"````{{option}} {spellings}\n{_about(option)}\n````\n"


def _about(option: _Parameter) -> str:
    notes = [_text(option.info.help or "")]
    if option.required:
        notes.append("Required.")
    if option.repeatable:
        notes.append("" if "epeatable" in notes[0] else "Repeatable.")
    elif option.kind is not bool and not option.required and option.default is not None:
        notes.append(f"Default: `{option.default}`.")
    return " ".join(filter(None, notes))


def _text(text: str) -> str:
    """Return help as Markdown, without the line breaks of the source. Escape brackets, which would make links."""
    paragraphs = (" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    return "\n\n".join(paragraphs).replace("[", "\\[")
