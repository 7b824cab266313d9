"""Data formats as Markdown, from pydantic models and the docstrings under their fields."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx.pycode import ModuleAnalyzer

from emu.peripherals import Bits

_WORDS = {
    str: "text",
    Path: "path",
    int: "integer",
    float: "number",
    bool: "true or false",
    object: "anything",
    Any: "anything",
    Bits: "register or bits",
}


def describe(root: type[BaseModel]) -> str:
    """Return a section for ``root``, and a section for each model in its fields."""
    return "\n".join(line for model in _models(root) for line in _section(model))


def _models(root: type[BaseModel]) -> list[type[BaseModel]]:
    """Return ``root`` and the models in its fields, each once, in the order of reading."""
    found = [root]
    for model in found:
        for field in model.model_fields.values():
            found += [each for each in _mentioned(field.annotation) if each not in found]
    return found


def _mentioned(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _mentioned(argument)


def _section(model: type[BaseModel]) -> Iterator[str]:
    yield f"## {_title(model)}\n"
    yield f"{_text(model.__doc__ or '')}\n"
    for name, field in model.model_fields.items():
        default = "" if field.is_required() else _default(field)
        yield f"`{field.alias or name}` — {_type(field.annotation)}{default}\n: {_indented(_about(model, name))}\n"


def _about(model: type[BaseModel], name: str) -> str:
    """Return the docstring under a field, or else the first paragraph of the docstring of the field's model.

    Raises LookupError if neither exists.
    """
    for owner in model.__mro__:
        if name in inspect.get_annotations(owner):
            documented = ModuleAnalyzer.for_module(owner.__module__).find_attr_docs()
            if lines := documented.get((owner.__name__, name)):
                return _text("\n".join(lines))
    held = next(_mentioned(model.model_fields[name].annotation), None)
    if held is None:
        raise LookupError(f"{model.__module__}.{model.__name__}.{name} has no docstring")
    return _text(held.__doc__ or "").split("\n\n")[0]


def _type(annotation: Any) -> str:
    """Return the type of a value as a reader of the file sees the value."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin in (Union, UnionType):
        kinds = [_type(each) for each in arguments if each is not NoneType]
        return " or ".join([*kinds, *(["null"] if NoneType in arguments else [])])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (list, tuple):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"table of {_type(arguments[0])} to {_type(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{_title(annotation)}](#{_title(annotation).lower().replace(' ', '-')})"
    return _WORDS[annotation]


def _title(model: type[BaseModel]) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", model.__name__).capitalize()


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1:
        return ""
    if default is None or default in ((), [], {}, "") or isinstance(default, BaseModel):
        return ", optional"
    return f", `{str(default).lower() if isinstance(default, bool) else default}` if it is missing"


def _text(docstring: str) -> str:
    """Return a docstring as Markdown paragraphs, with null for None, as in the files."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in docstring.strip().split("\n\n")]
    return "\n\n".join(paragraphs).replace("``", "`").replace("None ", "Null ")


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")
