"""Prompts with their kinds: the corpus, of which some domains are held out, and prompts to learn from beside it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.corpus import FOLDER, Domain, read

__all__ = ["FOLDER", "Labelled", "beside", "labelled", "of_corpus"]

PROMPTS = Path(__file__).with_name("prompts.txt")
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
    """The prompts that are only learned from."""
    for line in PROMPTS.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            kind, _, prompt = line.partition(": ")
            yield Labelled(prompt, kind, "")
