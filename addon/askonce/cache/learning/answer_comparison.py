"""Whether two answers say the same: what turns a provider's fresh answer into a label for the neighbour's stored one.

The one rule here: models word the same answer in many ways, so what is not plain is unknown. And of long answers only
the equal ones are plain: whoever learned from those would hear of right ones alone, so only short answers teach.
"""

import re
import unicodedata
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Literal

from askonce import jsontext

__all__ = ["LARGEST", "Verdict", "compare", "compare_bodies", "kin", "kin_of", "text_of", "unvarying"]

Verdict = Literal["same", "different", "unknown"]

LARGEST = 65_536
"""Bytes of an answer; larger ones are not compared."""
SHORT = 8
"""Words of an answer whose wording is its content: a class, a name, a number, yes or no."""
_TEXTS = frozenset({"text", "content", "response", "output_text", "completion", "refusal", "arguments", "answer"})
_VARYING = frozenset({"id", "created", "created_at", "usage", "system_fingerprint", "model", "timings"})
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORDS = re.compile(r"\w+")
_POLAR = frozenset("yes no not never none nor cannot true false".split())  # noqa: SIM905
_PLAIN = frozenset("a an the is are was it its it's this that of answer s".split())  # noqa: SIM905


def text_of(body: bytes) -> str:
    """What an answer says, in any provider's final form: its texts, else its JSON without what varies, else itself."""
    try:
        value = jsontext.loads(body)
    except jsontext.NotJson:
        return body.decode("utf-8", "replace")
    if isinstance(value, str):
        return value
    texts = [text for text in _texts(value) if text.strip()]
    if texts:
        return "\n".join(texts)
    return unvarying(value).decode()


def unvarying(value: Any) -> bytes:
    """An answer's JSON without the fields that differ from call to call and say nothing of what it says."""
    if isinstance(value, dict):
        value = {name: item for name, item in value.items() if name not in _VARYING}
    return jsontext.canonical(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, str):
                if name in _TEXTS or name == "name":
                    yield item
            elif name == "input":
                yield jsontext.canonical(item).decode()
            else:
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, str):
                yield item
            else:
                yield from _texts(item)


def kin(text: str) -> int:
    """A number that is equal for equal answers, whatever their case, spaces and closing punctuation. Positive: an
    answer so short that another number is another answer; negative: it may be the same in other words; 0: no answer."""
    plain = _plain(text)
    if not plain:
        return 0
    digest = int.from_bytes(blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=7).digest()) + 1
    return digest if len(_WORDS.findall(plain)) <= SHORT else -digest


def kin_of(body: bytes) -> int:
    """The kin of a stored answer; 0 also for one that is too large to be compared."""
    return kin(text_of(body)) if len(body) <= LARGEST else 0


def compare(one: str, other: str) -> Verdict:
    """Whether two answers say the same."""
    a, b = _plain(one), _plain(other)
    if not a or not b:
        return "unknown"
    if a == b:
        return "same"
    if not (_short(a) and _short(b)):
        return "unknown"
    if sorted(_NUMBER.findall(a)) != sorted(_NUMBER.findall(b)):
        return "different"
    return _compare_short(a, b)


def compare_bodies(one: bytes, other: bytes) -> Verdict:
    """Whether two answers say the same, in any provider's final form."""
    if one == other:
        return "same"
    return "unknown" if max(len(one), len(other)) > LARGEST else compare(text_of(one), text_of(other))


def _compare_short(a: str, b: str) -> Verdict:
    words, others = set(_WORDS.findall(a)), set(_WORDS.findall(b))
    if (words & _POLAR) != (others & _POLAR):
        return "different"
    words, others = words - _PLAIN, others - _PLAIN
    if words == others:
        # The same words in another order: "A beats B" is not "B beats A".
        return "same" if len(words) < 2 or _order(a) == _order(b) else "unknown"
    return "unknown" if words <= others or others <= words else "different"


def _order(text: str) -> list[str]:
    return [word for word in _WORDS.findall(text) if word not in _PLAIN]


def _short(plain: str) -> bool:
    return len(_WORDS.findall(plain)) <= SHORT


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(" .!\"'`*")
