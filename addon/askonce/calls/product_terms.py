"""What a product asks of the life of one call: who else it is apart from, what may serve it, what is told of its end.

One rule: terms narrow what the call's rule allows. Where an operator wants a product to be looser than that, the
product's section in rules.yaml says so.
"""

from collections.abc import Mapping

from askonce.accounting import CallRecord
from askonce.cache import Entry, Identity, Lookup, Policy
from askonce.call import Call, Request

__all__ = ["PLAIN", "Terms"]


class Terms:
    """The terms of a call that no product is concerned with; products override what they need. One for each call.

    All but `reconsider` run on the event loop and must be quick. What raises is a fault, and the call a miss.
    """

    bypass: str = ""
    """Why the cache is left out, in a few words from a fixed list; empty where it is not."""
    scope: str = ""
    """Who asks, besides what the rule's scope says: only calls of equal scope share answers. May be secret."""
    owner: str = ""
    """Who asks, by the name that metrics tell."""
    labels: Mapping[str, str] = {}
    """Under which the kept answer can be found and deleted besides its key; see `Filter.labels`."""

    verifies: bool = False
    """`reconsider` asks a verifier itself, so that none is asked besides."""
    again: Request | None = None
    """The request as it came to our own address, its host being ours: how a stale answer is fetched anew. Without it
    none is served."""

    def policy(self, policy: Policy) -> Policy:
        """What this call accepts, out of what its rule and its own headers allow."""
        return policy

    async def reconsider(self, call: Call, identity: Identity, lookup: Lookup) -> Lookup:
        """The last word on a lookup that did not find the same call: a semantic hit, or a miss that says what came
        near."""
        return lookup

    def admits(self, entry: Entry) -> str:
        """Why an entry may not serve this call, or empty. Asked before every hit."""
        return ""

    def keeps(self) -> bool:
        """Whether the answer, now whole, may be kept."""
        return True

    def kept(self, entry: Entry) -> None:
        """The answer has been kept as `entry`."""

    def over(self, record: CallRecord) -> None:
        """The call is over and counted."""


PLAIN = Terms()
