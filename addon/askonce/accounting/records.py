"""What is told of a call that is over, and of a request to a product's own store.

One rule: of a caller's text there are names (model, namespace) in them, and the beginning of a prompt that may be kept.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from askonce.accounting.trace_context import TraceContext
from askonce.call import Usage

__all__ = ["OUTCOMES", "Agreed", "CallRecord", "Outcome", "StoreOutcome", "StoreRequest", "Watched"]

Outcome = Literal["exact", "semantic", "miss", "bypass", "error"]
OUTCOMES: tuple[Outcome, ...] = ("exact", "semantic", "miss", "bypass", "error")

Watched = Literal["", "exact", "semantic"]
"""What a call would have been that was only watched; empty for all others."""
Agreed = Literal["", "same", "different", "unknown"]
"""What the provider said to it, beside what would have been served."""

StoreOutcome = Literal["exact", "semantic", "miss", "done", "error"]


@dataclass(slots=True, kw_only=True)
class CallRecord:
    """One finished call. Nothing changes one; frozen, its fields would be set by a call each, in 10 µs instead of 2."""

    outcome: Outcome
    upstream: str
    """The rule's name."""
    wire: str
    model: str
    status: int
    """What the app was sent; 0 where it got no response."""
    seconds: float
    """From the request's last byte to the response's last byte."""
    detail: str = ""
    """Why, in a few words from a fixed list; a caller's own text never belongs here."""
    decision_seconds: float | None = None
    """Reading, identifying and looking up; None where none was made."""
    similarity: float | None = None
    """Cosine of the nearest stored prompt that was judged; None where there was none to judge."""
    usage: Usage = field(default_factory=Usage)
    """The answer's tokens: saved on a hit, used otherwise."""
    seconds_saved: float = 0.0
    money_saved: float | None = 0.0
    """US dollars; None where the model's price is not known."""
    stored: bool = False
    key: str = ""
    """The entry that answered, or was stored."""
    forwarded: bool = True
    """The provider was asked. False for a miss that was answered here (only-if-cached); hits are never forwarded."""
    provider_failed: bool = False
    """A hit that was served because the provider, when it was asked, failed."""
    method: str = "POST"
    endpoint: str = ""
    """The rule's path pattern."""
    personal: str = ""
    """What kind of personal data kept the provider's answer from being kept."""
    unkept: str = ""
    """Why the provider's answer was not kept, in a few words; empty where it was, or none came."""
    asked: str = ""
    """The call's own exact key in hex; empty where it could not be read."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """The digests that the call's partition is made of."""
    nearest: str = ""
    """The entry that came closest to answering within the partition, served or refused."""
    probability: float | None = None
    """The judge's, of `nearest`."""
    host: str = ""
    """Who was to answer, by the name that the app called; empty where it is not known."""
    port: int = 443
    temperature: float | None = None
    trace: TraceContext | None = None
    """The call's span; None where nobody traces."""
    ended: float = field(default_factory=time.time)
    """Unix seconds."""
    owner: str = ""
    """Whose key a product was asked with; empty for calls that need none of ours."""
    reuse: str = ""
    """The kind of its prompt: `lasting`, or why its answer must not be given again; empty where that was not asked."""
    watched: Watched = ""
    agreed: Agreed = ""
    money_watched: float | None = 0.0
    """US dollars that a hit would have saved; None where the model's price is not known."""
    namespace: str = ""
    """Empty for the default one."""
    prompt: str = ""
    """Its beginning; empty where nothing of the call may be kept."""
    decision: str = ""
    """The name under which feedback finds a semantic hit; empty for all else."""

    @property
    def hit(self) -> bool:
        return self.outcome in ("exact", "semantic")


@dataclass(slots=True)
class StoreRequest:
    """One request of that kind on its way; its outcome is set by whoever carries it out."""

    outcome: StoreOutcome = "done"
