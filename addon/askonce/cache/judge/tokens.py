"""A prompt cut into tokens: words in lower case, contractions written out, and apart from them what is compared as it
is written, such as numbers, quotes, links and versions.

A token that is no word begins with a NUL: "\\0number", "\\0date", "\\0span".
"""

import re
from fractions import Fraction
from math import gcd

from askonce.cache.judge.lexicon import CONTRACTIONS, SCALES, UNITS

__all__ = ["TokenList"]

_TOKEN = re.compile(
    r"""
      (?P<code>```.*?```|`[^`\n]+`)
    | (?P<quote>"[^"\n]{1,400}"|“[^”\n]{1,400}”|«[^»\n]{1,400}»|(?<![\w)])'[^'\n]{2,400}'(?!\w))
    | (?P<link>https?://\S+|www\.\S+|[\w.+-]+@[\w-]+\.[\w.]+)
    | (?P<date>\b\d{4}-\d{1,2}-\d{1,2}\b|\b\d{1,2}[/.]\d{1,2}[/.]\d{2,4}\b)
    | (?P<version>\bv\d+(?:\.\d+)*\b|\b\d+(?:\.\d+){2,}\b)
    | (?P<time>\b\d{1,2}:\d{2}(?::\d{2})?(?:\s?[ap]\.?m\b)?|\b\d{1,2}\s?[ap]\.?m\b)
    | (?P<symbol>\b[A-Za-z]\+\+|\b[CFJcfj]\#|\.NET\b|\b[A-Za-z]+\.(?:js|py|io|ai|net)\b)
    | (?P<number>(?:(?<=\s)[-−])?[$€£¥₹]?\d+(?:,\d{2,3})*(?:\.\d+)?(?:\s?/\s?\d+)?
        (?P<tail>%|[ -]?percent\b|[ ]%(?![ ]?(?:\d|[(]|[b-z]\b))|°[CF]?|[A-Za-z][\w-]*)?)
    | (?P<word>[^\W\d_]+(?:[’'][^\W\d_]+)*(?:[-_]?\d[\w-]*)?)
    | (?P<mark>[.,;:?!/()\n_]|[^\w\s])
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_AMOUNT = re.compile(r"([-−])?([$€£¥₹])?([\d,]+(?:\.\d+)?)(?:\s?/\s?(\d+))?(.*)", re.DOTALL)
_PADDED = re.compile(r"0\d.*|.*\..*0")
"""Zeros that say something: agent 007, Python 3.10."""
_DECIMAL_COMMA = re.compile(r"\d+,\d\d")
"""Two digits after a comma are no thousands."""
_DIGITS = 100
"""More are no amount, and Python refuses to read thousands of them."""
_SHADOWED = {"US": "usa", "IT": "infotech", "WHO": "w.h.o", "Go": "golang"}
"""Names that would be grammar in lower case."""
_DIGIT = re.compile(r"\d")
_LONG = {"n't": "not", "'re": "are", "'ll": "will", "'ve": "have", "'m": "am", "'d": "would", "'s": ""}


class TokenList:
    """The tokens of one prompt, with the mark before each."""

    def __init__(self, prompt: str) -> None:
        self.tokens: list[str] = []
        self.marks: list[str] = []  # the mark before each token
        self.capital: list[bool] = []
        self.numbers: list[tuple[int, Fraction | str, str]] = []  # with the token index they precede
        self.spans: list[str] = []
        self.ids: list[str] = []
        self.mark_places: list[tuple[int, int]] = []  # each mark's place, and the tokens before it
        self.prompt = prompt
        mark = "."
        titled = _titled(prompt)
        for found in _TOKEN.finditer(prompt):
            kind, text = found.lastgroup, found.group()
            if kind == "tail":
                kind = "number"
            if kind == "mark":
                if text != "\n":
                    self.mark_places.append((found.start(), len(self.tokens)))
                if text in "’'\"“”‘_":
                    continue
                mark = mark if text in ",-" and mark in ".!?\n" else text
                continue
            start = mark != "" and mark in ".?!\n:"
            if kind == "word":
                self._word(
                    text,
                    mark,
                    not titled and text[0].isupper() and not (start and len(text) > 1 and not text.isupper()),
                )
            elif kind == "number":
                self._number(text, found.group("tail") or "", mark)
            elif kind in ("code", "quote"):
                self.spans.append(text[1:-1] if text[0] in '"“' else text)
                inner = " ".join(text.strip("`\"'“”«»").split())
                self._push(inner.lower() if len(inner) < 40 else "\0span", mark, False)
            elif kind == "symbol":
                self._push(text.lower(), mark, False)
            else:
                normal = re.sub(r"\s|\.(?=m)", "", text.lower()).rstrip(".,;:!?)")
                if kind in ("date", "time") and text.isascii():
                    self.numbers.append((len(self.tokens), _clock(normal) if kind == "time" else normal, kind))
                else:
                    self.ids.append(normal.removeprefix("v") if kind == "version" else text.rstrip(".,;:!?)"))
                self._push("\0" + (kind or ""), mark, False)
            mark = ""

    def _push(self, token: str, mark: str, capital: bool) -> None:
        self.tokens.append(token)
        self.marks.append(mark)
        self.capital.append(capital)

    def _word(self, text: str, mark: str, capital: bool) -> None:
        if text in _SHADOWED:
            self._push(_SHADOWED[text], mark, True)
            return
        lower = text.lower().replace("’", "'")
        if not lower.isalpha() and _DIGIT.search(lower):
            self.ids.append(lower.replace("-", "").replace("_", ""))
            self._push(lower, mark, capital)
            return
        if lower in CONTRACTIONS:
            for part in CONTRACTIONS[lower]:
                self._push(part, mark, False)
                mark = ""
            return
        if "'" in lower:
            head, _, tail = lower.partition("'")
            if lower.endswith("n't"):
                self._push({"ca": "can", "wo": "will", "sha": "shall"}.get(lower[:-3], lower[:-3]), mark, False)
                self._push("not", "", False)
                return
            self._push(head, mark, capital)
            if tail == "s":
                self._push("'s", "", False)
            elif "'" + tail in _LONG:
                self._push(_LONG["'" + tail], "", False)
            else:
                self._push(tail, "", capital)
            return
        self.tokens.append(lower)
        self.marks.append(mark)
        self.capital.append(capital)

    def _number(self, text: str, tail: str, mark: str) -> None:
        sign, money, digits, under, _rest = _AMOUNT.fullmatch(text).groups()  # type: ignore[union-attr]
        lower = tail.lower().lstrip(" -")
        plain = digits.replace(",", "." if _DECIMAL_COMMA.fullmatch(digits) else "")
        under = under or ""
        if max(len(plain), len(under)) > _DIGITS or not (digits + under).isascii() or under.startswith("0"):
            self.ids.append(text)
            self._push(text, mark, False)
            return
        amount = Fraction(int(plain) if plain.isdecimal() else plain)  # it takes five times as long over text
        value: Fraction | str = -amount if sign else amount
        unit = UNITS.get(money, "gbp" if money == "£" else "")
        if under:
            # "6/8" is no 3/4: it is a time signature, a score, a date.
            lowest = lower or (amount.denominator == 1 and gcd(int(amount), int(under)) == 1)
            value = (-amount if sign else amount) / int(under) if lowest else f"{sign or ''}{digits}/{under}"
        if lower in ("st", "nd", "rd", "th"):
            value = f"{digits}th"
        elif lower in ("%", "percent"):
            value, unit = value / 100, ""  # type: ignore[assignment, operator]
        elif lower in SCALES:
            value *= SCALES[lower]
        elif lower in UNITS:
            unit = UNITS[lower]
        elif lower.startswith("°"):
            unit = {"c": "celsius", "f": "fahrenheit"}.get(lower[1:], "degree")
        elif lower:
            self.ids.append((digits + lower).replace("-", ""))
            self._push(text.lower(), mark, False)
            return
        elif not money and not under and _PADDED.fullmatch(plain):
            value = f"{'-' if sign else ''}{plain}"
        self.numbers.append((len(self.tokens), value, unit))
        self._push("\0number", mark, False)


_TITLE_WORD = re.compile(r"(?<=[a-z,] )(?:Is|Are|The|Of|In|To|For|And|What|How|Do|Does|You|My|With|On)\b")


def _titled(prompt: str) -> bool:
    """Whether capitals say nothing, because every word has them."""
    return prompt.isupper() or _TITLE_WORD.search(prompt) is not None


def _clock(text: str) -> str:
    first, *rest = text.rstrip("apm.").split(":")
    hour = int(first)
    if text.endswith("m"):
        hour = hour % 12 + (12 if text[-2] == "p" else 0)
    return ":".join([str(hour), *(rest or ["00"])])
