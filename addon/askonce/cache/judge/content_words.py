"""The content words of a prompt: what governs each, what it is joined with, who acts and who is acted upon."""

from typing import NamedTuple

from askonce.cache.judge.lexicon import FUNCTION_WORDS, GRAMMAR, NEGATORS, PREPOSITIONS, VERBS, stem

__all__ = ["Word", "content_words"]

_BE, _ARTICLES, _LINKS, _OPINION = GRAMMAR["be"], GRAMMAR["article"], GRAMMAR["link"], GRAMMAR["opinion"]
_BEFORE_INFINITIVE = GRAMMAR["before-infinitive"]
_PLAIN_PARTICIPLES = GRAMMAR["participle"]


class Word(NamedTuple):
    """One content word. A tuple is made in a third of a frozen dataclass's time, and a new prompt has several."""

    text: str
    """Lower case, as written."""
    stem: str
    role: str
    """The preposition that governs it, or empty; `of` stands also for a possessive."""
    group: int
    """Words joined by "and", "or" or a comma share it; -1 for the rest."""
    rank: int
    """Its place once a passive is turned active."""
    passive: bool
    """A participle after a form of "be"."""


def content_words(tokens: list[str], marks: list[str]) -> tuple[list[Word], list[int]]:
    """The content words with their roles, and where among the tokens they stand."""
    texts: list[str] = []
    roles: list[str] = []
    groups: list[int] = []
    positions: list[int] = []
    role, group, joined, agent_at, verb_at = "", -1, False, -1, -1
    for index, token in enumerate(tokens):
        mark = marks[index]
        if mark:
            role = role if mark in "/-&" else ""
            if mark in ",/" and texts and positions[-1] == index - 1:
                joined = True
        if token in _LINKS:
            joined = bool(texts)
            continue
        if token == "'s":
            if texts:
                roles[-1] = roles[-1] or "of"
            continue
        if token in PREPOSITIONS:
            role = _preposition(tokens, index, token)
            if (
                token == "by"
                and texts
                and verb_at < 0
                and _participle(texts[-1])
                and any(t in _BE for t in tokens[:index])
            ):
                agent_at, verb_at = len(texts), len(texts) - 1
            joined = False
            continue
        if not token or token[0] == "\0" or token in FUNCTION_WORDS or token in NEGATORS:
            if token not in _ARTICLES and token not in ("not", "very") and token[:1] != "\0":
                role, joined = "", joined and token in FUNCTION_WORDS
            continue
        if joined and texts and index - positions[-1] <= 4:
            if groups[-1] < 0:
                group += 1
                groups[-1] = group
            groups.append(groups[-1])
            role = role or roles[-1]
        else:
            groups.append(-1)
        joined = False
        if (
            token in _OPINION
            and texts
            and index + 1 < len(tokens)
            and tokens[index + 1] in ("is", "are", "that", "will", "was")
        ):
            for back in range(len(texts)):
                roles[back] = roles[back] or "according"
            groups.pop()
            continue
        texts.append(token)
        roles.append(role)
        positions.append(index)
    ranks = list(range(len(texts)))
    if 0 <= verb_at < agent_at < len(texts):
        end = next((i for i in range(agent_at, len(texts)) if roles[i] != "by"), len(texts))
        first = next((i for i in range(verb_at, -1, -1) if i == 0 or roles[i - 1]), 0)
        order = [*range(first), *range(agent_at, end), verb_at, *range(first, verb_at), *range(end, len(texts))]
        ranks = [order.index(i) for i in range(len(texts))]
        for i in range(agent_at, end):
            roles[i] = ""
    passive = [
        _participle(t) and not _BE.isdisjoint(tokens[max(0, p - 4) : p]) for t, p in zip(texts, positions, strict=True)
    ]
    parts = zip(texts, roles, groups, ranks, passive, strict=True)
    words = [Word(t, stem(t), r, g, k, v) for t, r, g, k, v in parts]
    return words, positions


def _preposition(tokens: list[str], index: int, token: str) -> str:
    before = tokens[index - 1] if index else ""
    after = tokens[index + 1] if index + 1 < len(tokens) else ""
    if token == "to":
        if before == "according":
            return "according"
        if (
            after not in _ARTICLES
            and not (after and after[0] == "\0")
            and (before in _BEFORE_INFINITIVE or stem(after) in VERBS)
        ):
            return ""
    return "to" if token == "into" else token


def _participle(word: str) -> bool:
    if word in _PLAIN_PARTICIPLES or (word.endswith("ed") and len(word) > 4):
        return True
    return stem(word) != word and stem(word) in VERBS and not word.endswith(("s", "ing"))
