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
        # One mistake for each would be made on the event loop: 79,000 took half a second. So did a look at each name.
        known = cls.model_fields
        if isinstance(given, Mapping) and (many := len(given) - sum(name in given for name in known)) > SHOWN:
            told = islice((name for name in given if name not in known), SHOWN)
            shown = ", ".join(shortened(name, LONGEST) for name in told)
            raise PydanticCustomError("unknown_fields", f"{shown} and {many - SHOWN} more are not known here")
        return given
