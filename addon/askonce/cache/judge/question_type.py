"""What sort of question a prompt is: its type, what opens it, its core, and whether the mark at its end counts."""

import re

from askonce.cache.judge.lexicon import ACTIONS, FILLERS, FUNCTION_WORDS, GRAMMAR, PREPOSITIONS, VERBS, stem

__all__ = ["adds_nothing", "core_of", "question_of"]

_ASKING, _AUXILIARIES = GRAMMAR["asking"], GRAMMAR["auxiliary"]
_OPENERS = _ASKING | _AUXILIARIES
_MEASURES, _SUBJECTS = GRAMMAR["measure"], GRAMMAR["subject"]
_OPENINGS = re.compile(
    r"""^(?:(?:please|kindly|so|well|okay|just\ curious
    |i\ have\ a\ question|i\ (?:was|am)\ (?:just\ )?wondering(?:\ if)?|i\ (?:would|want)\ (?:like\ )?to\ know
    |(?:can|could|would)\ (?:you|someone|anyone|anybody|somebody)\ (?:please\ )?(?:tell|help)\ me
    |do(?:es)?\ (?:you|anyone|anybody|someone)\ know|please\ tell\ me)\ )+""",
    re.VERBOSE,
)
_HOW = re.compile(
    r"""^(?:how\ (?:to|(?:do|can|could|would|does|might|may)\ (?:i|you|we|one|someone|somebody|a\ person))
    |what\ (?:is|are|would\ be)\ (?:the|a|some)\ (?:best\ |easiest\ |right\ |good\ |simplest\ )?
        (?:ways?|methods?)\ (?:to|of|for)
    |(?:is\ there|are\ there)\ (?:a|any)\ ways?\ to)\ """,
    re.VERBOSE,
)


def core_of(tokens: tuple[str, ...]) -> tuple[str, ...]:
    """The tokens without greetings, courtesies and the many ways to say "how do I"."""
    text = _OPENINGS.sub("", " ".join(tokens) + " ").strip()
    return tuple(_HOW.sub("how to ", text + " ").split())


def adds_nothing(end: str, tokens: list[str], marks: list[str], core: tuple[str, ...], foreign: bool) -> bool:
    """Whether the mark at the end only repeats what the words say: a question's, an order's, a full stop."""
    if end == "." or not end:
        return True
    if foreign or not core:
        return False
    if end == "!":
        return (stem(core[0]) in VERBS or stem(core[0]) in ACTIONS) and ":" not in marks
    start = max(at for at, mark in enumerate(marks) if at == 0 or (mark and mark in ".?!"))
    opens = [core[0]] + [t for t, m in zip(tokens[start:], marks[start:], strict=True) if m or t is tokens[start]]
    if not _OPENERS.isdisjoint(opens):
        return end == "?" or core[-1] not in FUNCTION_WORDS  # "what does it do with ?"
    if end != "?":
        return False
    # Without a verb that has a subject it states nothing: "best phone under 500".
    return _AUXILIARIES.isdisjoint(tokens) and _SUBJECTS.isdisjoint(tokens)


def question_of(tokens: list[str], marks: list[str]) -> tuple[str, str]:
    """The type of the last question in the prompt and its leading auxiliary."""
    best, lead = "", ""
    for index, token in enumerate(tokens):
        if token not in _OPENERS:
            continue
        opens = (
            index == 0 or marks[index] not in ("",) or tokens[index - 1] in ("and", "but", "so", "then", "hi", "hello")
        )
        after = tokens[index + 1] if index + 1 < len(tokens) else ""
        before = tokens[index - 1] if index else ""
        if token in _ASKING and (
            opens or before in PREPOSITIONS or before in FILLERS or before in ("me", "us", "out", "not", "is")
        ):
            kind = "who" if token in ("who", "whom", "whose") else "what" if token == "which" else token
            if (
                token == "how"
                and after
                and after not in FUNCTION_WORDS
                and after not in FILLERS
                and not after.endswith("ly")
            ) or (token == "how" and after in _MEASURES):
                kind = f"how {after}"
            elif token == "how" and after == "come":
                kind = "why"
            elif token == "what":
                nouns = tokens[index + 1 : index + 5]
                if "time" in nouns[:1] or "date" in nouns[:3] or ("year" in nouns[:2]):
                    kind = "when"
                elif "reason" in nouns or "reasons" in nouns:
                    kind = "why"
                elif {"way", "ways", "method", "steps", "procedure", "process"} & set(nouns):
                    kind = "how"
                elif "for" in tokens[-1:]:
                    kind = "why"
            if not best or best == "yes/no" or kind not in ("what",):
                best = kind
            if after in _AUXILIARIES:
                lead = lead or after
        elif token in _AUXILIARIES and opens and not best:
            best, lead = "yes/no", token
            tail = tokens[index + 1 : index + 6]
            if token in ("is", "are") and "there" in tail[:1] and {"way", "ways"} & set(tail):
                best = "how"
    return best, lead
