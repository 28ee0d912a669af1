"""What may be done with answers, by the kind of prompt that they answer.

One rule: a use only narrows what the rule allows; of what lasts, there is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from askonce.cache.judge.reuse import LASTING, Reuse, ReuseKind, reuse
from askonce.cache.live_tools import live_tool
from askonce.call import Call

__all__ = ["USES", "Use", "Uses", "reuse_of"]


@dataclass(frozen=True, slots=True)
class Use:
    """What may be done with the answers to prompts of one kind; by default, they are given to the same prompt."""

    semantic: bool = False
    """Another wording may be given them."""
    exact: bool = True
    """The same call may be."""
    ttl: float | None = None
    """Seconds that they are served, where that is less than the rule says; then never stale ones."""


Uses = Mapping[ReuseKind, Use]

USES: Uses = {
    "volatile": Use(ttl=300.0),
    "act": Use(),
    "state": Use(),
    "conversation": Use(),
    "variety": Use(),
}
"""What a careful operator allows."""


def reuse_of(call: Call) -> Reuse:
    """What a call is: its live tools tell first, then its prompt; a prompt that is no question tells nothing."""
    if tool := live_tool(call):
        return Reuse("volatile", tool)
    return LASTING if call.exact_only else reuse(call.prompt)
