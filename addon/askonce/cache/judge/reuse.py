"""Whether an answer may be given again at all: the decision before the judge's, over one prompt alone.

Two prompts may ask the same and yet want two answers: what holds only now, what is to be done, how things stand with
whoever asks. Phrases tell in many languages (`lexicon/reuse_cues.txt`, `reuse_now.txt`); in English, weights learned
from our own corpus tell the rest. One rule: nothing in but the prompt's text, no vector, so that it takes microseconds
and means the same behind every embedder.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, Literal, cast

from askonce.cache.judge.lexicon import FOREIGN, FUNCTION_WORDS, GRAMMAR, REUSE_CUES, REUSE_NOW
from askonce.cache.judge.reuse_features import END, NAME, START, Names, asked, features, tokens, words

__all__ = ["LASTING", "PARAMETERS", "Reuse", "ReuseKind", "Reuses", "reuse"]

ReuseKind = Literal["lasting", "volatile", "act", "state", "conversation", "variety"]
"""Why an answer must not be given to another wording; `lasting` where nothing speaks against it."""

PARAMETERS = Path(__file__).parent / "params" / "reuse.json"
"""The weights that ship; docs/judge.md is their card."""
_SHORT = 1_000
"""Characters of prompts that are remembered with their kind; longer ones would take the memory that answers need."""
_NOW, _BEGIN, _WAY, _RULE = (REUSE_NOW[name] for name in ("now", "begin", "way", "rule"))
_GOING_ON = REUSE_NOW["going-on"]
_OPENING = GRAMMAR["opening"]
_MARKS = frozenset(".,:;?!\n")
_UNSPACED = re.compile(r"[\u0600-\u06ff\u0900-\u097f\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Scripts whose words stand without blanks between them, or grow with what is put to them."""


@dataclass(frozen=True, slots=True)
class Reuse:
    """What one prompt is, and what told it."""

    kind: ReuseKind
    cue: str = ""
    """Words of the prompt that told most, from the lists or the learned vocabulary; may be empty."""

    @property
    def reason(self) -> str:
        """ "volatile: right now"; empty for what lasts."""
        if self.kind == "lasting":
            return ""
        return f"{self.kind}: {self.cue}" if self.cue else self.kind


LASTING: Final = Reuse("lasting")


def reuse(prompt: str) -> Reuse:
    """What a prompt is, by everything that is known. One without words asks nothing."""
    return _remembered(prompt) if len(prompt) <= _SHORT else _read(prompt)


def _read(prompt: str) -> Reuse:
    if not any(map(str.isalpha, prompt)):
        return LASTING
    told = tokens(prompt)
    lower = words(told)
    if spotted := _spotted(prompt, lower):
        return spotted
    if not _is_english(lower):
        return LASTING
    found = _learned().read(told, lower)
    return LASTING if found.kind == "conversation" and _is_title(lower) else found


_remembered = lru_cache(maxsize=2_048)(_read)


def _spotted(prompt: str, told: list[str]) -> Reuse | None:
    """What a phrase of the lists tells; `told` are the prompt's words."""
    if not prompt.isascii() and _UNSPACED.search(prompt):
        return _anywhere(asked(prompt))
    is_dated = _may_be_dated(told)
    line = [START, *told, ""]
    for at, first in enumerate(line):
        step = _PHRASES.following.get(first)
        while step:
            if step.name in REUSE_CUES:
                return Reuse(_kind(step.name), step.name.removeprefix(f"{START} "))
            if is_dated and step.name in _NOW:
                return Reuse("volatile", step.name)
            at += 1
            step = step.following.get(line[at])
    return Reuse("conversation") if _is_elliptic(told) else None


def _is_title(told: list[str]) -> bool:
    """Whether an English prompt is content words alone, as one types into a search box: no part of a conversation."""
    return FUNCTION_WORDS.isdisjoint(told) and _GOING_ON.isdisjoint(told)


def _is_elliptic(told: list[str]) -> bool:
    """Whether an English prompt names nothing that it could be about: "why not?", "and for them?"."""
    own = [word for word in told if word not in _MARKS]
    return bool(own) and FUNCTION_WORDS.issuperset(own) and "you" not in own


def _may_be_dated(told: list[str]) -> bool:
    """Whether an English question may be about now: it asks how things are, not how to do them or what they mean."""
    asks = [word for word in told if word not in _OPENING][:2]
    return bool(asks) and asks[0] in _BEGIN and not (asks[0] == "how" and asks[-1] in _WAY) and _RULE.isdisjoint(told)


def _anywhere(text: str) -> Reuse | None:
    """What the first phrase tells that stands in a text, within words, too; of several there, the longest."""
    phrases = _by_first()
    for at, first in enumerate(text):
        if first in phrases and (found := _beginning(first).match(text, at)):
            return Reuse(_UNBOUND[found[0]], found[0])
    return None


@cache
def _beginning(first: str) -> re.Pattern[str]:
    """The phrases that begin with a character: one pattern of all would try them one after the other, everywhere."""
    return re.compile("|".join(map(_pattern, sorted(_by_first()[first], key=len, reverse=True))))


@cache
def _by_first() -> dict[str, list[str]]:
    found = defaultdict[str, list[str]](list)
    for phrase in filter(_UNSPACED.search, REUSE_CUES):
        found[_words_of(phrase)[0]].append(phrase)
    return dict(found)


def _pattern(phrase: str) -> str:
    """What matches the phrase's own words and nothing else, at the beginning or the end where it says so."""
    begin = r"\A" if phrase.startswith(f"{START} ") else ""
    end = r"(?=\W*\Z)" if phrase.endswith(f" {END}") else ""
    return f"{begin}{re.escape(_words_of(phrase))}{end}"


def _words_of(phrase: str) -> str:
    return phrase.removeprefix(f"{START} ").removesuffix(f" {END}")


def _kind(phrase: str) -> ReuseKind:
    return cast(ReuseKind, REUSE_CUES[phrase])


def _is_english(told: list[str]) -> bool:
    """Whether the learned weights can read it: not where another language's grammar outweighs the English."""
    foreign = sum(word in FOREIGN or not word.isascii() for word in told)
    return not foreign or foreign < sum(word in FUNCTION_WORDS for word in told)


_PHRASES = Names([*(phrase for phrase in REUSE_CUES if not _UNSPACED.search(phrase)), *_NOW])
"""Those of scripts that set blanks."""
_UNBOUND = {_words_of(phrase): _kind(phrase) for phrase in REUSE_CUES}
"""The kinds of phrases by their words alone."""


class Reuses:
    """Weights of features, summed: of the prompt lasting, and where it does not, of each other kind."""

    def __init__(self, known: Iterable[str], weights: Mapping[ReuseKind, Mapping[str, float]]) -> None:
        """`known` are the words that are not rare. `weights` are by kind and feature; that of no name is what the sum
        begins with. What is not lasting has a sum below 0, and is of the kind whose own is the largest."""
        self._known = frozenset(known)
        self._lasting = dict(weights["lasting"])
        self._others = {kind: dict(own) for kind, own in weights.items() if kind != "lasting"}
        self._names = Names(name for own in weights.values() for name in own)

    @classmethod
    def load(cls, path: Path = PARAMETERS) -> "Reuses":
        """Raises OSError, ValueError or KeyError where there are none, or they are no such weights."""
        found = json.loads(path.read_text("utf-8"))
        return cls(found["words"], found["weights"])

    def read(self, told: Sequence[str], lower: Sequence[str] | None = None) -> Reuse:
        """What a prompt of these tokens is; `lower` are their `words`, where they are at hand."""
        seen = features(told, self._known, lower=lower, names=self._names)
        if _sum(self._lasting, seen) >= 0:
            return LASTING
        kind = max(self._others, key=lambda kind: _sum(self._others[kind], seen))
        return Reuse(kind, _loudest(self._others[kind], seen))


def _sum(weights: Mapping[str, float], seen: Iterable[str]) -> float:
    return weights[""] + sum(filter(None, map(weights.get, seen)))


def _loudest(weights: Mapping[str, float], seen: Iterable[str]) -> str:
    """The words that spoke loudest."""
    words = [name for name in seen if weights.get(name, 0.0) > 0 and name == name.lower()]
    loudest = max(words, key=lambda name: (weights[name], name), default="")
    return " ".join(word for word in loudest.split() if word[0].isalpha() and word != NAME)


@cache
def _learned() -> Reuses:
    return Reuses.load()
