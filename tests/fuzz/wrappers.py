"""What clients put around a question before they keep it under that, kept in a named store and asked for.

What must show: a text is found again by itself; what else is found says the same around its question. What stands
around is known from how the text was made, or, where a byte of it was bent, read here once more by other means.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fuzz import corpus, mutate
from tests.fuzz.reference import Wrong

from askonce.cache import NamedStores
from askonce.cache.named_store import TextError

__all__ = ["Wrapped", "case"]

MIN_COSINE = 0.3
"""Far below what any client asks for, so that a wrapper that was embedded would be found."""
SYSTEMS = ("Be brief.", "Be brief!", "Réponds en français.", "Use 3 words.", "Use 4 words.")
_ROLE = re.compile(r"\n\w+:")
NUMBERS = ("0.1", "0.10000000000000000555", "123456789012345678901", "123456789012345678902", "1", "1.0", "1e0")


@dataclass(frozen=True)
class Wrapped:
    """A text, and what stands around its question."""

    text: str
    around: tuple[str, ...]


def _langchain(kind: str, content: Any) -> Any:
    return {"lc": 1, "type": "constructor", "id": ["langchain", kind], "kwargs": {"content": content, "type": kind}}


def _dumped(question: str, system: str, number: str) -> str:
    messages = json.dumps([_langchain("system", system), _langchain("human", question)])
    return f'{{"lc": 1, "kwargs": {{"messages": {messages}, "n": {number}}}}}'


def _request(question: str, system: str, number: str) -> str:
    turns = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    return f'{{"messages": {json.dumps(turns)}, "temperature": {number}}}'


def _parts(question: str, system: str, number: str) -> str:
    turns = [{"role": "system", "content": system}, {"role": "user", "content": [{"type": "text", "text": question}]}]
    return f'{{"prompt": {json.dumps(turns, ensure_ascii=False)}, "maxOutputTokens": {number}}}'


def _lines(question: str, system: str, number: str) -> str:
    return f"System: {system}\nHuman: {number}?\nAI: Yes.\nHuman: {question}"


FORMS: dict[str, Callable[[str, str, str], str]] = {
    "langchain": _dumped,
    "request": _request,
    "parts": _parts,
    "lines": _lines,
}


def _made(rng: random.Random) -> Wrapped:
    form, system, number = rng.choice(list(FORMS)), rng.choice(SYSTEMS), rng.choice(NUMBERS)
    return Wrapped(FORMS[form](rng.choice(corpus.QUESTIONS), system, number), (form, system, number))


async def case(stores: NamedStores, kept: dict[str, Wrapped], rng: random.Random) -> str:
    """One text kept or asked for; what came of it. `kept` is what the store was given, by its text. Raises Wrong."""
    asked = rng.choice(list(kept.values())) if kept and rng.random() < 0.3 else _made(rng)
    if rng.random() < 0.4:
        await stores.put("fuzz", asked.text, b"answer")
        kept[asked.text] = asked
        return "wrapper: kept"
    if bent := rng.random() < 0.3:
        asked = Wrapped(mutate.bent(asked.text.encode(), rng).decode("utf-8", "replace"), ())
    try:
        found = await stores.search(
            "fuzz", asked.text, strategies=("exact", "semantic"), min_cosine=MIN_COSINE, limit=5, guarded=False
        )
    except TextError:
        return "wrapper: no text"
    for match in found:
        other = kept[match.item.text]
        is_around = _apart(other.text) == _apart(asked.text) if bent else other.around == asked.around
        if other.text != asked.text and not is_around:
            raise Wrong(f"{other.text!r} was found for {asked.text!r}")
    if not found and asked.text in kept:
        raise Wrong(f"{asked.text!r} was not found by itself")
    return "wrapper: found" if found else "wrapper: not found"


def _apart(text: str) -> Any:
    """What stands around the question; the text itself where there is no telling."""
    if text[:1] != "{":
        before, human, question = text.rpartition("\nHuman: ")
        return (before, human) if human and not _ROLE.search(question) else text
    try:
        value = json.loads(text, parse_int=lambda digits: f"n{digits}", parse_float=lambda digits: f"n{digits}")
    except ValueError:
        return text
    asked = re.compile(r'("content": |"text": )"(?:[^"\\]|\\.)*"')
    written = json.dumps(value)
    last = list(asked.finditer(written))
    return written[: last[-1].start()] + written[last[-1].end() :] if last else text
