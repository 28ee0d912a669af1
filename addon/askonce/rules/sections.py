"""The types that rules.yaml is made of: durations, sizes, and the strict model that every section of it is.

One rule: nothing here knows a section; `document.py` and the products' own modules put them together.
"""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["Duration", "Section", "Size"]

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def _quantity(value: object, units: Mapping[str, float], what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"expected {what}")
    if isinstance(value, int | float):
        return float(value)
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*", value)
    if not found or found[2] not in units:
        raise ValueError(f"expected {what}, one of the units {', '.join(units)}; got {value!r}")
    return float(found[1]) * units[found[2]]


def _duration(value: object) -> float:
    return _quantity(value, _UNITS, "a duration such as 30m or 7d, or a number of seconds")


def _size(value: object) -> int:
    return int(_quantity(value, _SIZES, "a size such as 512MiB or 2GiB, or a number of bytes"))


Duration = Annotated[float, BeforeValidator(_duration), Field(ge=0)]
"""Seconds."""
Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]
"""Bytes."""


class Section(BaseModel):
    """One mapping in rules.yaml: what it does not know is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)
