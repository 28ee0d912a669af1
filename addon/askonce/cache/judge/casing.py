"""Letter case: which words of a prompt are written in which case, and where that says nothing.

One rule: a capital counts unless it is known to say nothing, because it begins a sentence or because the word means one
thing in any case. "rust" and "Rust", "pin" and "PIN", `-o` and `-O` are never the same.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from askonce.cache.judge.lexicon import FOREIGN, FUNCTION_WORDS

__all__ = ["NO_CASE", "Cased", "case_differs", "cased"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DOUBLE = _words(
    """
    ada amazon amber angel apache apple april august basic bath bea bill blackberry blue bond boot boston bow
    bradford bran brook buffalo carol cat catholic cello chad chance charity chase cher chile china chip chrome
    clay cliff cloud cobra cocoa cologne cork crystal cuba cursor daisy dart dawn dell democrat derby destiny
    devon diamond dock docker earth echo eclipse edge elixir em emacs ember ernie eve excel express faith fang
    fern figma finder fire flask flex florence flow ford forest frank gap gene georgia ginger glory go grace grant
    green guinea hazel heather hive holly honor hope hunter icon iris ivy jack jade jam jasmine java jean jersey
    jewel job jordan josh joy julia jupiter keeper kelvin king kite lance lane lent liberal lily lima limerick
    lisp lotus love luna mac mali march mark mars master max medium melody mercury messenger meta mike miles mint
    mission mobile moon mosaic nail nest next nice nick nickel nike norm notion oracle orange orchid orthodox
    outlook panama pandas panther pascal pat patience pay pearl penny pepper perl pete phoenix pin polish pop
    porter potter prague precision prudence puck pulsar python quark queen quicken rail rails ram ray react
    reading reason redwood republican rich rick rob robin rod roman rose ruby rust rusty sage salesforce sandy
    savannah scala scratch script senate shell skip slack snowflake sol spark spirit spring square stack star
    storm strand stripe sue summer sun surface swallow swift swiss target taylor teams tesla titan tito tom tops
    tor trump turkey union unity verse victor victoria violet visa vue wales warren wave west windows wing wolf
    word worth zen zig zoom
    """
)
"""Words that are another word as a name: their capital counts at the beginning of a sentence, too."""
_GRAMMAR = FUNCTION_WORDS - _words(
    """
    a am an d do doing done else except for get gets getting go goes got i if in it let lets like ll m may mine near
    no on once or out own per re s same so such t to try us ve via while who will with
    """
)
"""Means one thing in any case. Left out: what is also an abbreviation, a name, or a word of a programming language."""
_NAMES = _words(
    """
    afghanistan africa african africans airbnb albania algeria america american americans amsterdam android api
    apis arabic argentina asia asian asians athens atlanta atm atms australia australian australians austria
    bangalore bangkok bangladesh barcelona bbc beijing belgium bengali berlin birmingham bmw bolivia brazil
    brazilian brexit britain british brussels bulgaria cairo california cambodia canada canadian chennai chicago
    chinese christianity cia cnn colombia copenhagen covid cpu cpus croatia css csv czech dallas december delhi
    denmark denver detroit dna dns dubai dublin dutch dvd ebay ecuador edinburgh egypt egyptian einstein england
    english estonia ethiopia eu europe european europeans facebook faq fbi february fifa finland finnish firefox
    florida france french friday gandhi gdp geneva german germans germany ghana gif github gitlab glasgow gmail
    google gpt gpu gpus greece greek hawaii hebrew helsinki hindi hinduism hitler houston html http https
    hungarian hungary hyderabad iceland imdb india indian indians indonesia instagram ipad iphone iran iranian
    iraq irctc ireland irish islam israel israeli istanbul italian italy jakarta jamaica january japan japanese
    javascript jerusalem jewish jpeg jquery json judaism july june karachi kenya kolkata korea korean kubernetes
    kurdish kyoto lahore latvia lcd lebanon linkedin linux lisbon lithuania llm london madrid malaysia manchester
    mandarin mastercard matlab mba mbbs melbourne mexican mexico miami michigan microsoft milan minnesota modi
    monday mongodb montreal moroccan morocco moscow mumbai munich muslim myanmar mysql nairobi nasa nba nepal
    netflix netherlands nfl nhs nigeria nigerian nintendo norway norwegian november npm numpy nvidia obama october
    ohio ok ontario oregon osaka oslo pakistan pakistani paris paypal pdf pdfs persian peru phd philadelphia
    philippines php png poland portugal portuguese postgresql powershell punjabi putin pytorch quebec quora reddit
    rna romania romanian rss russia russian samsung saturday scotland scottish seattle seoul september serbia
    shakespeare shanghai singapore sklearn slovakia slovenia sms snapchat sony spain spotify sql sqlite ssl
    stockholm sunday swahili sweden swedish switzerland sydney syria taiwan tamil tcp tehran telugu tensorflow
    texas thailand thursday tiktok tls tokyo toronto toyota tuesday turkish tv tvs twitter typescript uber ubuntu
    udp uganda uk ukraine ukrainian un urdu url urls uruguay usa usb vancouver venezuela vienna vietnam vietnamese
    virginia vpn warsaw wechat wednesday whatsapp wifi wikipedia wordpress xbox xml yahoo yaml youtube
    """
)
"""Names and abbreviations that are no other word in any case. Left out on purpose: "turkey", "polish", "pin", "ram"."""
_ORDINARY = _words(
    """
    account accounting accounts agriculture algorithm algorithms analysis app apps aptitude archaeologist army
    artificial best better biology book books business card cards chemistry city civil college colleges companies
    company computer computers constitution countries country customer data degree democracy developer developers
    development digital disease disorder doctor doctors driving economics economy education election elections
    electrical engineer engineering exam exams finance financial force game games government greatest health
    historian history hospital human immunity independence industry insurance intelligence international internet
    internship interview language languages lawyer learning license machine management marketing math mathematical
    mathematics mechanical medical men minister movie movies music navy network networks neural nurse online
    passport payment payments people philosophy physics player players president programming project projects
    psychology quantitative research salary school schools science security service services software song songs
    state statistics student students support syndrome system systems team technology theory top transfer
    transfers universities university video videos website websites women worst
    """
)
"""Nouns and adjectives that people write with a capital for weight ("Machine Learning"), and that are no name."""
_BEFORE_I = _words("do did can could should would will may must might have had am was shall if that when")
_AFTER_I = _words(
    """
    already also am can could couldn did didn do don get go had have haven just make may might must need never
    shall should shouldn still think use want was will would wouldn
    """
)
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Cased:
    """How one prompt writes its words."""

    forms: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The forms that count, by the word in lower case; only of words with a capital somewhere. Empty where the only one
    begins a sentence."""
    lower: frozenset[str] = frozenset()
    """Words that stand in lower case."""


NO_CASE = Cased()


def cased(prompt: str, *, literal: bool, foreign: bool) -> Cased:
    """Reads the case of each word.

    `literal`: the prompt is about its own text, so that every capital counts. `foreign`: its language is not known, so
    that no more than grammar is known to mean the same in lower case.
    """
    words = list(_WORD.finditer(prompt))
    titled = not foreign and _titled(words)
    lower: set[str] = set()
    forms: dict[str, set[str]] = {}
    for at, found in enumerate(words):
        word, small = found.group(), found.group().lower()
        if word == small and word != "i":
            lower.add(word)
        elif not _any_case(words, at, prompt, literal=literal):
            first = not literal and _first_only(word, small, foreign=foreign) and _alone(prompt, found.end())
            counted = forms.setdefault(small, set())
            if not (first and (titled or _opens(prompt, found.start()))):
                counted.add(word)
    return Cased(
        {word: frozenset(found | {word} if found and word in lower else found) for word, found in forms.items()},
        frozenset(lower),
    )


def case_differs(a: Cased, b: Cased) -> tuple[frozenset[str], frozenset[str]] | None:
    """The forms of the first word that the two write in ways that may mean two things, or None."""
    for word in {**a.forms, **b.forms}:
        one, other = _forms(a, word), _forms(b, word)
        if one is None or other is None or one == other:
            continue
        if one and other:
            return one, other
        if len(one | other) > 1 or not all(form[0].lower() + form[1:] == word for form in one | other):
            return one or frozenset((word,)), other or frozenset((word,))
    return None


def _forms(side: Cased, word: str) -> frozenset[str] | None:
    """None where it has no such word."""
    found = side.forms.get(word)
    return found if found is not None else frozenset((word,)) if word in side.lower else None


def _titled(words: list[re.Match[str]]) -> bool:
    """Whether capitals say nothing, because every longer word has one."""
    long = [found.group() for found in words if found.end() - found.start() > 3]
    some = long if len(long) > 2 else [found.group() for found in words]
    return len(some) > 2 and "".join([word[0] for word in some]).isupper()


def _any_case(words: list[re.Match[str]], at: int, prompt: str, *, literal: bool) -> bool:
    """Whether the word is the same in any case, for what it is or where it stands."""
    found = words[at]
    small = found.group().lower()
    if small in _GRAMMAR or (not literal and (small in _NAMES or (small in _ORDINARY and found.group()[1:].islower()))):
        return True
    if small == "i":
        return _pronoun(words, at, prompt)
    if len(small) == 1:
        return prompt[found.end() : found.end() + 1] in ("+", "#")  # C++, C#
    if small.endswith(("am", "pm")) and len(small) < 5:  # the time of day
        return small[:-2].isdecimal() or (len(small) == 2 and at > 0 and words[at - 1].group().isdecimal())
    return False


def _first_only(word: str, small: str, *, foreign: bool) -> bool:
    """Whether the word has no capital but its first, and could be in lower case what it is here."""
    if word[0] + small[1:] != word or small in _DOUBLE:
        return False
    return small in FOREIGN if foreign else word.isascii()


def _pronoun(words: list[re.Match[str]], at: int, prompt: str) -> bool:
    """Whether an "i" is the one who asks: "can i", "i am"; not a variable, an option, a numeral."""
    start, end = words[at].span()
    if prompt[start - 1 : start].strip() or prompt[end : end + 1] in ("'", "’"):
        return start == 0 or prompt[end : end + 1] in ("'", "’")
    before = words[at - 1].group().lower() if at else ""
    after = words[at + 1].group().lower() if at + 1 < len(words) else ""
    return before in _BEFORE_I or (after in _AFTER_I and before not in ("is", "does"))


def _opens(prompt: str, start: int) -> bool:
    """Whether a sentence begins here."""
    before = prompt[:start].rstrip() if start < 8 else prompt[start - 8 : start].rstrip()
    if not before:
        return start < 8
    return before[-1] in ".?!" and prompt[start - 1].isspace()


def _alone(prompt: str, end: int) -> bool:
    """Whether the word is followed by what follows a word of prose, not by what makes it a name in code."""
    after = prompt[end : end + 2]
    return not after or after[0].isspace() or (after[0] in "\"'’,.?!:;" and (after[0] in "'’" or not after[1:].strip()))
