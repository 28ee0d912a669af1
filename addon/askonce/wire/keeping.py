"""Whether an answer is whole and good, as far as no provider's format has to be known for it.

One rule: what is wrong with an answer is said in words, never as the exception that it made.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from askonce.call import Unstorable
from askonce.wire.common import is_name

__all__ = ["assembling", "holds", "in_words", "refuse_bad_arguments", "refuse_error"]


class assembling:
    """Translate what a malformed answer makes the code inside raise into `Unstorable`."""

    def __init__(self, wire: str) -> None:
        self.wire = wire

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        if isinstance(error, Unstorable):
            return
        if isinstance(error, (ValueError, LookupError, TypeError, AttributeError)):
            raise Unstorable(f"not a whole {self.wire} answer: {in_words(error)}") from error


def in_words(error: Exception) -> str:
    """What is wrong with an answer that made the code that reads it fail so."""
    match error:
        case KeyError(args=(str(name),)):
            return f"{name} is missing"
        case LookupError():
            return "it refers to a part that is not there"
        case ValueError():
            return str(error)
    return "a value is not of the kind that belongs there"


def refuse_error(value: Mapping[str, Any]) -> None:
    """Raise `Unstorable` where the object carries an error. A message of more than one word may repeat
    what the provider was sent, and is told nobody but the caller."""
    if error := value.get("error"):
        names = ("message", "type", "status", "code")
        told = [error.get(name) for name in names] if isinstance(error, dict) else [error]
        raise Unstorable(f"error: {next((str(one) for one in told if type(one) is int or is_name(one)), 'not named')}")


def refuse_bad_arguments(arguments: Any) -> None:
    """Raise `Unstorable` where a tool call's arguments are a text that is no JSON.

    A model may be cut off within them without a word, and some servers glue those of two calls together. An empty
    text is what several servers send for a tool without parameters.
    """
    if isinstance(arguments, str) and arguments.strip():
        try:
            orjson.loads(arguments)
        except orjson.JSONDecodeError as error:
            raise Unstorable(f"a tool call's arguments are not JSON: {error}") from None


def holds(value: Any, name: str) -> bool:
    """Whether an object somewhere in a JSON value has a member of that name, and something in it."""
    if isinstance(value, dict):
        return bool(value.get(name)) or any(holds(item, name) for item in value.values())
    return isinstance(value, list) and any(holds(item, name) for item in value)
