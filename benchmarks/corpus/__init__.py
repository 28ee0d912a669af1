"""Askonce's own corpus: intents, rewordings and near misses by domain, and prompts that must not be reused.

One text file a domain and language, `LANGUAGE/DOMAIN.txt`, which a person can write and read; README.md has the form.
All of it was written for this project and is free for any use (CC0 1.0).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.judge.data import held_out

__all__ = ["KINDS", "REUSE", "Domain", "Intent", "Unusable", "domains", "read"]

FOLDER = Path(__file__).parent

KINDS = frozenset(
    """
    entity product tier number unit direction negation scope aspect tense person audience format language
    """.split()  # noqa: SIM905  # reads better than a dozen quoted names
)
"""What a near miss differs in."""
REUSE = frozenset({"volatile", "act", "state", "conversation", "variety"})
"""Why a prompt's answer must not be given again."""
_LEAST = 5


@dataclass(slots=True)
class Intent:
    """One question in several wordings, and others that only look like it."""

    line: int
    first: str
    rewordings: list[str] = field(default_factory=list)
    near: list[tuple[str, str]] = field(default_factory=list)
    """Kind and prompt."""

    @property
    def wordings(self) -> tuple[str, ...]:
        """The plain one and the rewordings."""
        return self.first, *self.rewordings


@dataclass(frozen=True, slots=True)
class Unusable:
    """A prompt that must not be answered from memory, and why."""

    kind: str
    prompt: str


@dataclass(slots=True)
class Domain:
    """What one file holds."""

    language: str
    name: str
    intents: list[Intent] = field(default_factory=list)
    unusable: list[Unusable] = field(default_factory=list)

    @property
    def is_held_out(self) -> bool:
        """Whether it is measured with, and no training may see it: in every language alike, since a domain's words must
        not be learned from another language's."""
        return held_out(self.name)


def domains(language: str = "*") -> Iterator[Domain]:
    """The corpus, or one language of it, in order of name. Raises ValueError: see `read`."""
    for path in sorted(FOLDER.glob(f"{language}/*.txt")):
        yield read(path)


def read(path: Path) -> Domain:
    """One file. Raises ValueError where a line has no form, a kind is unknown or an intent is incomplete."""
    domain = Domain(path.parent.name, path.stem)
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            if line.strip() and not line.startswith("#"):
                _take(domain, number, line)
        except ValueError as error:
            raise ValueError(f"{domain.language}/{path.name}, line {number}: {error}") from error
    _close(domain)
    return domain


def _take(domain: Domain, number: int, line: str) -> None:
    mark, rest = line[:2], line[2:].strip().replace("\\n", "\n")
    if not rest:
        raise ValueError("a mark without a text")
    match mark:
        case "= ":
            _close(domain)
            domain.intents.append(Intent(number, rest))
        case "+ " if domain.intents:
            domain.intents[-1].rewordings.append(rest)
        case "- " if domain.intents:
            domain.intents[-1].near.append(_kind(rest, KINDS))
        case "! ":
            domain.unusable.append(Unusable(*_kind(rest, REUSE)))
        case _:
            raise ValueError('expected "= ", "+ ", "- " or "! " and a text, beginning with "= "')


def _kind(text: str, known: frozenset[str]) -> tuple[str, str]:
    kind, colon, prompt = text.partition(": ")
    if not colon or kind not in known:
        raise ValueError(f"{kind[:20]!r} is no kind; expected one of {', '.join(sorted(known))}, then a colon")
    return kind, prompt.strip()


def _close(domain: Domain) -> None:
    if not domain.intents:
        return
    last = domain.intents[-1]
    where = f"{domain.language}/{domain.name}.txt, line {last.line}: {last.first!r}"
    if len(last.rewordings) < _LEAST or len(last.near) < _LEAST:
        raise ValueError(
            f"{where} has {len(last.rewordings)} rewordings and {len(last.near)} near misses; expected {_LEAST} of each"
        )
    texts = [last.first, *last.rewordings, *(prompt for _, prompt in last.near)]
    if len({text.casefold() for text in texts}) < len(texts):
        twice = next(text for at, text in enumerate(texts) if text.casefold() in {one.casefold() for one in texts[:at]})
        raise ValueError(f"{where} has {twice!r} twice")
