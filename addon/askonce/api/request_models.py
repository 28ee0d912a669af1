"""What queries and bodies of the management API are read into.

One rule: what is made of a request's mistakes is bounded, whatever the request holds.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from askonce.jsontext import shortened

__all__ = ["LONGEST", "SHOWN", "RequestModel"]

SHOWN = 8
"""Mistakes of one request that are told one by one; the others are counted."""
LONGEST = 80
"""Characters of a caller's own text that are repeated to him."""


class RequestModel(BaseModel):
    """A query or a body that has no fields but these."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _has_few_others(cls, given: Any) -> Any:
        # One mistake for each would be made on the event loop: 79,000 took half a second.
        if isinstance(given, Mapping) and len(given) > len(cls.model_fields) + SHOWN:
            unknown = (shortened(name, LONGEST) for name in given if name not in cls.model_fields)
            told = ", ".join(islice(unknown, SHOWN))
            raise PydanticCustomError("unknown_fields", f"{told} and {sum(1 for _ in unknown)} more are not known here")
        return given
