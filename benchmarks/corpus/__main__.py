"""`python -m benchmarks.corpus [LANGUAGE ...]`: reads the corpus, tells what is wrong with it, and how varied it is."""

import re
import sys
from collections import Counter
from collections.abc import Iterable

from benchmarks.corpus import FOLDER, Domain, read

_WORD = re.compile(r"\w+")
_OPENING = 4


def main(languages: Iterable[str]) -> int:
    """Print a table of the languages; 1 where something is wrong."""
    wrong = 0
    print(f"{'':4}{'domains':>8}{'intents':>8}{'rewordings':>11}{'near':>7}{'unusable':>9}  {'variety'}")
    for language in languages or sorted(path.name for path in FOLDER.iterdir() if path.is_dir()):
        found = list[Domain]()
        for path in sorted(FOLDER.glob(f"{language}/*.txt")):
            try:
                found.append(read(path))
            except ValueError as error:
                print(error)
                wrong += 1
        wrong += _repeated(found)
        print(_row(language, found))
    return 1 if wrong else 0


def _repeated(found: list[Domain]) -> int:
    first, wrong = dict[str, str](), 0
    for domain in found:
        for intent in domain.intents:
            for text in intent.wordings:
                where = f"{domain.name}:{intent.line}"
                if (before := first.setdefault(text.casefold(), where)) != where:
                    print(f"{domain.language}: {text!r} is in two intents, {before} and {where}")
                    wrong += 1
    return wrong


def _row(language: str, found: list[Domain]) -> str:
    intents = [intent for domain in found for intent in domain.intents]
    worded = [text for intent in intents for text in intent.wordings]
    near = sum(len(intent.near) for intent in intents)
    unusable = sum(len(domain.unusable) for domain in found)
    counts = f"{len(found):8}{len(intents):8}{len(worded) - len(intents):11}{near:7}{unusable:9}"
    if not worded:
        return f"{language:4}{counts}"
    firsts = len({word.group().casefold() for text in worded if (word := _WORD.search(text))})
    overlaps = [_overlap(intent.first, text) for intent in intents for text in intent.rewordings]
    openings = Counter(" ".join(_WORD.findall(text.casefold())[:_OPENING]) for text in worded)
    opening, often = openings.most_common(1)[0]
    return (
        f"{language:4}{counts}  {firsts} first words, overlap {sum(overlaps) / len(overlaps):.2f}, "
        f"most frequent opening {often / len(worded):.2%} ({opening!r})"
    )


def _overlap(one: str, other: str) -> float:
    """The share of all words that two prompts have in common."""
    a, b = ({word.casefold() for word in _WORD.findall(text)} for text in (one, other))
    return len(a & b) / len(a | b) if a | b else 1.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
