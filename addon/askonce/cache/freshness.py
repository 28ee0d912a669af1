"""Whether an entry is fresh enough for who asks (RFC 9111 section 4.2), and approved where that is asked for.

One rule: what cannot be known of an entry's age counts against it.
"""

from askonce.cache.approval import unapproved
from askonce.cache.decision import Policy
from askonce.cache.store import Entry
from askonce.cache.transfer import FOREVER

__all__ = ["unfit"]

_SKEW = 60.0
"""Seconds that a clock may be put back by. After more, nobody knows how long an answer of later has been there."""


def unfit(entry: Entry, policy: Policy, now: float) -> str:
    """Why this caller cannot be given the entry at this time, or empty."""
    if now >= min(entry.stale_until, entry.expires + policy.max_stale):
        return "expired"
    if entry.created - now > _SKEW and entry.expires < FOREVER:
        return "from the future"
    if policy.approved and (why := unapproved(entry)):
        return why
    if policy.max_age is not None and now - entry.created > policy.max_age:
        return "older than max-age"
    if policy.min_fresh and entry.expires - now < policy.min_fresh:
        return "fresh for less than min-fresh"
    return ""
