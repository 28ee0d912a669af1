"""What a look-up of the cache comes to.

One rule: a miss says why, and what came closest.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from askonce.cache.judge import Vector
from askonce.cache.judge.reuse import Reuse
from askonce.cache.learning.pools import Weighed
from askonce.cache.store import Entry

__all__ = ["ALIAS", "EMBEDDER_FAILED", "LOADING", "Lookup", "Nearby", "watched"]

ALIAS = "alias"
"""The reason of an exact hit on another wording's entry, of which a verifier has said that it asks for the same."""
LOADING = "embedder loading"
EMBEDDER_FAILED = "embedder failed"

Nearby = list[tuple[Entry, float]]
"""Entries and their cosine, the nearest first."""


@dataclass(slots=True)
class Lookup:
    """What was found, and why not more. Not frozen, as several are made for each call; nothing changes one."""

    outcome: Literal["exact", "semantic", "miss"]
    entry: Entry | None = None
    similarity: float | None = None
    """Cosine of the entry served (1.0 for an exact one); on a miss, that of `nearest`."""
    probability: float | None = None
    """That the same entry's answer is right: the judge's, corrected by evidence."""
    reason: str = ""
    """Why it is a miss: "no entry", "number: 5 / 7", "probability 0.91 < 0.98", "expired", …; or ALIAS, for a hit."""
    nearest: Entry | None = None
    """The candidate that came closest to being served, refused or not, for `cache why`."""
    stale: bool = False
    """The entry is past `expires` and not yet past `stale_until`; only where `max_stale` allows it."""
    weighed: Weighed | None = field(default=None, repr=False, compare=False)
    """What `probability` was made of; None where no judge was asked, or a guard refused."""
    decision: str = field(default="", compare=False)
    """The name of a semantic hit, by which feedback is given."""
    vector: Vector | None = field(default=None, repr=False, compare=False)
    """The prompt's vector where the lookup made one: give it to `remember`."""
    embedder: str = field(default="", repr=False, compare=False)
    """Whose vector that is."""
    reuse: Reuse | None = field(default=None, compare=False)
    """Whether an answer may be given again at all; None where that was not asked."""
    watched: Literal["", "exact", "semantic"] = ""
    """Of a miss: what it would have been, and `nearest` what would have been served, had anything been to be served."""


def watched(found: Lookup) -> Lookup:
    """The miss that a hit is to whoever only watches."""
    assert found.outcome != "miss"
    return replace(found, outcome="miss", watched=found.outcome, entry=None, nearest=found.entry, reason="watched")
