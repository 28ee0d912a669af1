"""What a person said of an answer, where a rule asks for that: it is kept with the answer, as a label.

One rule: what was said holds for the answer that was seen. Another answer, as soon as one word differs, waits anew.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from askonce import jsontext
from askonce.cache.learning.answer_comparison import unvarying
from askonce.cache.store import Entry, Filter
from askonce.call import Answer, Unstorable

__all__ = ["REJECTED", "WAITING", "Approval", "approval_of", "awaiting", "carried", "said", "unapproved"]

Approval = Literal["waiting", "approved", "rejected"]

WAITING, REJECTED = "awaiting approval", "rejected"
"""Why a call is a miss."""
_LABEL = "approval"


def approval_of(entry: Entry) -> Approval:
    """What was said of an entry; "waiting" where nothing was."""
    match entry.labels.get(_LABEL):
        case "approved":
            return "approved"
        case "rejected":
            return "rejected"
        case _:
            return "waiting"


def said(labels: Mapping[str, str], approval: Approval) -> dict[str, str]:
    """An entry's labels, with what is said of it."""
    others = {name: value for name, value in labels.items() if name != _LABEL}
    return others if approval == "waiting" else {**others, _LABEL: approval}


def unapproved(entry: Entry) -> str:
    """Why an entry may not be served; empty where it was approved."""
    return {"approved": "", "waiting": WAITING, "rejected": REJECTED}[approval_of(entry)]


def carried(before: Entry | None, answer: Answer, now: float) -> Approval:
    """What holds for an answer that comes after that of `before`, to the same call.

    Raises Unstorable where the one before has to stay: who looks at it would approve another, and who approved it is
    not to be overruled by whoever asks with `no-cache`.
    """
    if before is None:
        return "waiting"
    approval, is_fresh = approval_of(before), now < before.expires
    is_same = _plain(answer) == _plain(before.answer)
    if is_fresh and (approval == "waiting" or (approval == "rejected") == is_same):
        raise Unstorable(unapproved(before) or "another answer is approved")
    return approval if is_same else "waiting"


def awaiting(rules: Iterable[str], approval: Approval) -> Filter:
    """The answers of some rules of which that was said."""
    if approval == "waiting":
        return Filter(upstreams=tuple(rules), without=_LABEL)
    return Filter(upstreams=tuple(rules), labels={_LABEL: approval})


def _plain(answer: Answer) -> bytes:
    """An answer without what varies from call to call."""
    try:
        value = jsontext.loads(answer.body)
    except jsontext.NotJson:
        return answer.body
    return unvarying(value) if isinstance(value, dict) else answer.body
