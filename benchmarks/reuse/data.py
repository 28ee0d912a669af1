"""Prompts with their kinds: the corpus, of which some domains are held out, and prompts to learn from beside it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.corpus import FOLDER, Domain, read
from benchmarks.judge.data import held_out, rows

__all__ = ["FOLDER", "Labelled", "beside", "labelled", "of_corpus"]

PROMPTS = Path(__file__).with_name("prompts.txt")
EVERY = 2
"""Of the bank's prompts this one, lest a bank outweigh the other domains."""
DOUBTFUL = "tense"
"""Near misses of this kind may be about now."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One prompt, and its kind."""

    prompt: str
    kind: str
    domain: str
    """Empty for what is of no domain."""
    is_near_miss: bool = False


def of_corpus(folder: Path = FOLDER, language: str = "en") -> list[Domain]:
    """One language of a corpus; see `benchmarks.corpus.read`."""
    return [read(path) for path in sorted(folder.glob(f"{language}/*.txt"))]


def labelled(domains: Iterable[Domain]) -> Iterator[Labelled]:
    """All their prompts."""
    for domain in domains:
        for intent in domain.intents:
            for text in intent.wordings:
                yield Labelled(text, "lasting", domain.name)
            for kind, text in intent.near:
                if kind != DOUBTFUL:
                    yield Labelled(text, "lasting", domain.name, is_near_miss=True)
        for one in domain.unusable:
            yield Labelled(one.prompt, one.kind, domain.name)


def beside() -> Iterator[Labelled]:
    """The prompts that are only learned from: our own, and what customers of a bank report."""
    for line in PROMPTS.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            kind, _, prompt = line.partition(": ")
            yield Labelled(prompt, kind, "")
    for row in rows("banking77_stream")[::EVERY]:
        if not held_out(row["cls"]) and _is_report(row["text"]):
            yield Labelled(row["text"], "lasting", "")


_REPORT = re.compile(
    r"(?:hi|hello|help|so|and|but|\W)*\b(?:i|i['’]?[mvd]e?|my|we|the|there|some(?:one|body)|a)\b", re.IGNORECASE
)
_WISH = re.compile(r"\?|\b(?:wants?|need|like|wish|rather|please|help|let|can|could|would)\b", re.IGNORECASE)


def _is_report(text: str) -> bool:
    """Whether a customer tells of a trouble and asks for nothing by name: "my card has not arrived". What is to be done
    then is the same for everybody, where the LLM sees no account."""
    return bool(_REPORT.match(text)) and not _WISH.search(text)
