"""The plain form of a question: what people say before they ask is left out, equal forms are one.

Every rule is a line in a text file (`lexicon/spoken.txt`, `plain_forms.txt`, `abbreviations.txt`) or below. One rule:
what is not understood stays. Nothing is left out but what the files list, where it stands apart; and nothing at all of
a prompt that speaks of words, of one in several lines, or of what is quoted.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from askonce.cache.judge.lexicon import (
    ABBREVIATIONS,
    ABOUT_TEXT,
    FOREIGN,
    FUNCTION_WORDS,
    GRAMMAR,
    NUMBER_WORDS,
    PLAIN_FORMS,
    SPOKEN,
)

__all__ = ["plain"]

_LONGEST = 400
"""Characters of a question; what is longer is a text, too."""
_SHOUTING = 4
"""Words; where so many are all in capitals, these say nothing."""
_SAID = ABOUT_TEXT | SPOKEN["said"]
"""Who uses one of these words may ask about what is said."""
_OTHERS = FOREIGN - SPOKEN["sound"]
"""Grammar of other languages, in which "um" is a word."""
_SHORTENED = GRAMMAR["mention"] | SPOKEN["shortened"]
"""Who uses one of these may ask about the abbreviation."""
_WORD = re.compile(r"[\w'’]+")
_HOURS = {word: number for word, number in NUMBER_WORDS.items() if 1 <= number <= 12}


def _either(phrases: Iterable[str]) -> str:
    """A pattern for any of these, the longest first; a blank is one or several."""
    ordered = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    return "|".join(re.escape(phrase).replace(r"\ ", " +").replace("'", "['’]?") for phrase in ordered)


def _named(table: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """What is read for each phrase, by its `_key`."""
    return {_key(phrase): name for name, phrases in table.items() for phrase in phrases}


def _key(found: str) -> str:
    return re.sub(r"\s+", " ", found.lower().replace("’", "").replace("'", ""))


_ASKING, _STARTING = _either(SPOKEN["asking"]), _either(SPOKEN["asking"] | SPOKEN["starting"])
_SOUNDS = _either(SPOKEN["sound"] | {sound.capitalize() for sound in SPOKEN["sound"]})
_SOUND = re.compile(
    rf"(?:^\s*(?:{_SOUNDS})\b|,\s*(?:{_SOUNDS})(?=\s*,)|(?<=\w)\s+(?:{_SOUNDS})(?=\s*(?:,|\.\.\.|…)))"
    r"(?:\s*(?:\.\.\.|…|[,.-](?!\w)))*\s*"
)
"""At the beginning, between commas or before one, and not in capitals: the ER is a place."""
_SOFTENERS = _either(SPOKEN["softener"])
_OPENING = re.compile(
    rf"^\s*(?:{_either(SPOKEN['opening'])})(?:\s*(?:[,:]|\.\.\.|…|\s-)+\s*"
    rf"|\s+(?=(?:{_STARTING})\b(?:\W+\w+){{2}}|(?:{_SOFTENERS})\b))",
    re.IGNORECASE,
)
_SOFTENER = re.compile(rf"^\s*(?:{_SOFTENERS})\s*[,:]?\s+(?=(?:{_ASKING})\b)", re.IGNORECASE)
_CLOSING = re.compile(rf"\?\s*(?:-\s*)?(?:{_either(SPOKEN['closing'])})\s*[?.!]*\s*$", re.IGNORECASE)
_SHOUTED = re.compile(r"(?<=[^\W\d_]{2})(?:[?!]{2,}|(?:\.{2,}|…)\?+)\s*$")
"""Behind the last word; "a??" with more behind it is an operator, and "5!?" asks for a factorial."""
_LAST = re.compile(r"(\w+)\W*$")
_SOUND_WORDS = SPOKEN["sound"]
_LEADING = frozenset(
    first
    for phrase in SPOKEN["opening"] | SPOKEN["softener"]
    for first in (phrase.split()[0], phrase.split()[0].replace("'", ""))
)
"""The words that openings and softeners begin with."""
_FRONTED = re.compile(
    rf"^\s*((?:{_either(SPOKEN['fronted'])})\s+[^,.;:?!]{{2,60}}?),\s+((?:{_STARTING})\b[^,;:?!]*?)\s*([?.]*)\s*$",
    re.IGNORECASE,
)
_FORMS = _named(PLAIN_FORMS)
_FORM_WORDS = frozenset(phrase.split()[0] for phrases in PLAIN_FORMS.values() for phrase in phrases)
_FORM = re.compile(rf"\b(?:{_either(frozenset().union(*PLAIN_FORMS.values()))})\b", re.IGNORECASE)
_LONG = _named(ABBREVIATIONS)
_LONG_WORDS = frozenset(word for phrase in _LONG for word in _WORD.findall(phrase)[:1])
_ABBREVIATED = re.compile(
    rf"\b(?:{_either(frozenset().union(*ABBREVIATIONS.values()))})\b(?:\s+\((?:{_either(ABBREVIATIONS)})\))?",
    re.IGNORECASE,
)
_CLOCK = re.compile(
    rf"\b({_either(_HOURS)}|1[0-2]|[1-9])(?:\s+o['’]?clock)?\s+(?:in\s+the\s+(morning|afternoon|evening)|at\s+(night))\b",
    re.IGNORECASE,
)
_PM = re.compile(r"\b(1[0-2]|0?[1-9])(?:[:.]([0-5]\d))?\s*([ap])\.?\s?m\b\.?", re.IGNORECASE)
_SUM = re.compile(
    r"(?<![\w$€])([$€])\s?(\d(?:[.,]?\d)+)(?![\w%/-]|[.,]\d|\s*(?:hundred|thousand|[mbtr]+illion|bn|k|m)\b)"
)
"""Of two digits at least: "$1" may be a shell's."""
_MONEY = {"$": "dollars", "€": "euros"}
_THAT = re.compile(r"(?<=\w) that (?=(?:i|you|we|they)\b)", re.IGNORECASE)
"""Which may be left out before these, whatever it joins: "a plan that I have", "I think that you …"."""
_DIGIT = re.compile("[0-9]")
_EARLIEST = {"morning": (1, 12), "afternoon": (12, 7), "evening": (4, 12), "night": (8, 12)}


_QUOTED = re.compile(r'\s*"([^"]*[.?])"\s*')
"""A sentence that is quoted whole, as opencode passes on what it was given on its command line."""


def plain(prompt: str) -> str:
    """The plain form of a prompt; the prompt itself where no rule fits it."""
    if quoted := _QUOTED.fullmatch(prompt):
        prompt = quoted[1]
    if len(prompt) > _LONGEST or "\n" in prompt or '"' in prompt or "`" in prompt:
        return prompt
    told = _WORD.findall(prompt.lower())
    words = set(told)
    if not _SAID.isdisjoint(words) or not _OTHERS.isdisjoint(words):
        return prompt
    text = _bare(prompt.lower() if len(told) >= _SHOUTING and prompt.isupper() else prompt, told)
    if "," in text:
        text = _FRONTED.sub(_moved, text)
    if not _FORM_WORDS.isdisjoint(words):
        text = _FORM.sub(lambda found: _FORMS[_key(found[0])], text)
    if not _LONG_WORDS.isdisjoint(words) and _SHORTENED.isdisjoint(words):
        text = _ABBREVIATED.sub(_abbreviation, text)
    if "that" in words:
        text = _THAT.sub(" ", text)
    if "$" in text or "€" in text:
        text = _SUM.sub(lambda found: f"{found[2]} {_MONEY[found[1]]}", text)
    if _may_tell_time(text):
        text = _PM.sub(_time, _CLOCK.sub(_hour, text))
    return text if any(map(str.isalnum, text)) else prompt


def _moved(found: re.Match[str]) -> str:
    """ "In the old town, where …?" -> "where … in the old town?"."""
    phrase = found[1]
    return f"{found[2]} {phrase[0].lower()}{phrase[1:]}{found[3]}"


def _bare(prompt: str, told: Sequence[str]) -> str:
    """What is left once all is taken off that only leads to the question; `told` are the words, in lower case."""
    text = prompt
    if _may_sound(prompt, told):
        text = _SOUND.sub(_silence, prompt)
    while _may_lead(text):
        shorter = _without(_SOFTENER, _without(_OPENING, text))
        if shorter == text:
            break
        text = shorter
    if "?" in text:
        text = _CLOSING.sub("?", text)
        text = _SHOUTED.sub(_one_mark, text)
    return text


def _one_mark(found: re.Match[str]) -> str:
    """The end mark for several; dots that stand for the answer stay ("the tallest one is...?")."""
    last = _LAST.search(found.string[: found.start()])
    is_open = found[0][0] in ".…" and last is not None and last[1].lower() in FUNCTION_WORDS
    return "?" if "?" in found[0] and not is_open else found[0]


def _silence(found: re.Match[str]) -> str:
    """What stands in a sound's place."""
    return ", " if found[0].startswith(",") else " " if found[0][:1].isspace() and found.start() else ""


# A pattern of many phrases takes several times as long to find nothing as a look at the words takes. The patterns
# also know letters that are no other letter's lower case ("ſ" for "s"), so beyond ASCII they are asked.


def _may_sound(prompt: str, told: Sequence[str]) -> bool:
    """Whether a sound may be in a prompt of these words."""
    if not prompt.isascii():
        return True
    heard = [part for word in told for part in word.split("'")] if "'" in prompt else told
    return not _SOUND_WORDS.isdisjoint(heard)


def _may_lead(text: str) -> bool:
    """Whether a text may begin with what only leads to its question."""
    first = _WORD.search(text)
    return first is not None and (first[0].lower() in _LEADING or not first[0].isascii())


def _may_tell_time(text: str) -> bool:
    """Whether there may be a time of day in a text."""
    if _DIGIT.search(text) or not text.isascii():
        return True
    lower = text.lower()
    return any(part in lower for part in _EARLIEST)


def _without(leading: re.Pattern[str], text: str) -> str:
    """A text without what a pattern finds at its beginning."""
    found = leading.match(text)
    return text[found.end() :] if found else text


def _abbreviation(found: re.Match[str]) -> str:
    words = _key(found[0]).partition(" (")[0]
    return _LONG[words].upper()


def _hour(found: re.Match[str]) -> str:
    """ "nine in the evening" -> "9pm"; as it is where no clock says so ("two in the evening")."""
    hour = _HOURS.get(found[1].lower()) or int(found[1])
    part = (found[2] or found[3]).lower()
    first, last = _EARLIEST[part]
    fits = hour >= first or (part == "afternoon" and hour <= last)
    if not fits:
        return found[0]
    return f"{hour}{'am' if part == 'morning' and hour != 12 else 'pm'}"


def _time(found: re.Match[str]) -> str:
    """ "9 p.m." -> "9pm", "9.30 pm" -> "9:30pm"."""
    minutes = f":{found[2]}" if found[2] and found[2] != "00" else ""
    return f"{int(found[1])}{minutes}{found[3].lower()}m"
