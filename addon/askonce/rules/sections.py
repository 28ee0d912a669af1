"""The types that rules.yaml is made of: durations, sizes, and the strict model that every section of it is.

One rule: nothing here knows a section; `document.py` puts them together, here and in `products/`. A setting is
taken up by a reload unless its type says `AT_START`; who reads it asks for it at every call, and keeps no copy.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["AT_START", "Duration", "Section", "Size", "take_up"]

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


AT_START: Final = "at the next start"
"""Marks the type of a setting that is read once: `Annotated[str, AT_START]`."""


class Section(BaseModel):
    """One mapping in rules.yaml: what it does not know is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


def take_up[S: Section](running: S, changed: S, place: str = "") -> tuple[S, list[str]]:
    """What holds after a reload: `changed`, but for the settings that are read at the start; and the names of those of
    them that differ, as `cache.max_entries`."""
    kept, waiting = dict[str, object](), list[str]()
    for name, field in type(running).model_fields.items():
        old, new = getattr(running, name), getattr(changed, name)
        if old == new:
            continue
        if AT_START in field.metadata:
            kept[name] = old
            waiting.append(place + name)
        elif isinstance(old, Section) and isinstance(new, Section):
            kept[name], names = take_up(old, new, f"{place}{name}.")
            waiting += names
    return changed.model_copy(update=kept), waiting
