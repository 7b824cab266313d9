"""What the tables of a board file share: every key is known, and a size is a number of bytes or text such as "1 KB"."""

import re

from pydantic import BaseModel, ConfigDict, model_validator

_UNITS = {"B": 1, "KB": 1024, "MB": 1024 * 1024}


def parse_size(text: object) -> int:
    """Return the bytes that ``"128 KB"``, ``"2 MB"``, ``"512 B"`` or a plain number stands for (1 KB = 1024 B).

    Raises ValueError if the text is not a size.
    """
    match = re.fullmatch(r"(\d{1,15})\s*(B|KB|MB)?", str(text).strip())
    if match is None:
        raise ValueError(f'"{text}" is not a size such as "128 KB" (units: B, KB, MB)')
    return int(match[1]) * _UNITS[match[2] or "B"]


class Strict(BaseModel):
    """A table that refuses unknown keys, and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, table: object) -> object:
        unknown = [key for key in table if key not in cls.model_fields] if isinstance(table, dict) else []
        if unknown:
            raise ValueError(f'there is no key "{unknown[0]}" here, only {", ".join(cls.model_fields)}')
        return table
