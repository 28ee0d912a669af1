"""Personal data in what was asked and answered, for rules that refuse to keep it.

One rule: what is found has a form that can be checked, a checksum or a numbering plan; names, addresses and what only
reads like somebody's are not found, and nobody may rely on that.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

from askonce import jsontext

__all__ = ["kind_of", "personal_data"]

_EMAIL = re.compile(r"[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
_PHONE = re.compile(r"(?<![\w+])\+\d[\d ()./-]{6,24}\d\b")
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b")
_SSN = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_CODES = re.compile(r"\b(?:[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]|[XYZ]?\d{7,8}-?[A-Z])\b")
_PIECE, _LONGEST = 16_384, 256
"""Characters that are searched at a time, and those of what is found."""
_CODE_OF = ("stdnum.it.codicefiscale", "stdnum.es.dni", "stdnum.es.nie")


def personal_data(bodies: Iterable[bytes]) -> str:
    """What kind of personal data is in one of these, in its texts where it is JSON; empty where none was found."""
    return next((kind for body in bodies for text in _texts(body) if (kind := kind_of(text))), "")


def kind_of(text: str) -> str:
    """What kind of personal data is in a text; empty where none was found."""
    return next(
        (
            kind
            for piece in _pieces(text)
            for kind, sign, pattern, is_one in _KINDS
            if sign in piece
            for one in pattern.findall(piece)
            if is_one(one)
        ),
        "",
    )


def _pieces(text: str) -> Iterator[str]:
    """A long text in pieces, so that others may run in between: a search in all of it holds the interpreter's lock."""
    yield from (text[at : at + _PIECE + _LONGEST] for at in range(0, max(1, len(text)), _PIECE))


def _texts(body: bytes) -> Iterator[str]:
    try:
        yield from _strings(jsontext.loads(body))
    except jsontext.NotJson:
        yield body.decode("utf-8", "replace")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _is_phone(text: str) -> bool:
    phonenumbers = import_module("phonenumbers")
    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(text)))
    except phonenumbers.NumberParseException:
        return False


def _is_card(text: str) -> bool:
    return text[0] in "3456" and _passes("stdnum.luhn")(re.sub(r"[ -]", "", text))


def _is_code(text: str) -> bool:
    return any(_passes(module)(text) for module in _CODE_OF)


def _passes(module: str) -> Callable[[str], bool]:
    return lambda text: bool(import_module(module).is_valid(text))


_KINDS: tuple[tuple[str, str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("e-mail address", "@", _EMAIL, bool),
    ("phone number", "+", _PHONE, _is_phone),
    ("payment card", "", _CARD, _is_card),
    ("bank account", "", _IBAN, _passes("stdnum.iban")),
    ("identity number", "-", _SSN, _passes("stdnum.us.ssn")),
    ("identity number", "", _CODES, _is_code),
)
"""What it is called, a sign without which there is none, how it is written, and whether what is written so is one."""
