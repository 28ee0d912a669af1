"""Calls that no answer to another wording may serve.

One rule: they say why, and the same call is answered all the same.
"""

from askonce.cache.decision import Policy
from askonce.cache.judge.characters import hidden
from askonce.cache.judge.difference import LONGEST
from askonce.cache.judge.reuse import Reuse
from askonce.cache.lookup import Lookup
from askonce.call import Call

__all__ = ["exact_only", "unseen", "withheld"]


def withheld(kind: Reuse, policy: Policy) -> Lookup | None:
    """The miss of a call with a prompt of this kind, where no other wording may be answered with what it is."""
    use = policy.uses.get(kind.kind)
    return None if use is None or use.semantic else Lookup("miss", reason=kind.reason, reuse=kind)


def exact_only(call: Call) -> str:
    """Why another wording cannot be recognised, or empty."""
    if call.exact_only:
        return call.exact_only
    if len(call.prompt) > LONGEST:
        return f"prompt too long to compare ({len(call.prompt)} characters, at most {LONGEST})"
    return unseen(call.prompt)


def unseen(prompt: str) -> str:
    """Why a prompt with a character that nobody sees is like no other, or empty."""
    found = hidden(prompt)
    return f"hidden character in the prompt ({found})" if found else ""
