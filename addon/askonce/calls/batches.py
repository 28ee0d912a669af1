"""A call that is several in one, such as a batch of texts to embed: what is known of its items, what is still to ask.

One rule: an item is found and kept as the call that asks for it alone, so batches and single calls serve each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from askonce.cache import Entry, Identity
from askonce.call import Answer, Call
from askonce.wire.base import Divisible, Replay

__all__ = ["Batch"]


@dataclass(slots=True)
class Batch:
    """The items of one call on its way."""

    wire: Divisible
    call: Call
    identities: Sequence[Identity]
    """Of each item."""
    known: list[Entry | None] = field(init=False)
    """The entry of each item; None where there is none."""
    answers: list[Answer] = field(default_factory=list)
    """The provider's, to the items that were not known."""

    def __post_init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Take nothing for known."""
        self.known = [None] * len(self.identities)

    @property
    def wanted(self) -> list[int]:
        """The items that are not known."""
        return [index for index, entry in enumerate(self.known) if entry is None]

    @property
    def missing(self) -> str:
        """Why the batch cannot be answered from the cache."""
        wanted = len(self.wanted)
        return "no entry" if wanted == len(self.known) else f"{wanted} of {len(self.known)} items not known"

    @property
    def asked(self) -> Call:
        """The call that asks for those alone that are not known."""
        return replace(self.call, items=tuple(self.call.items[index] for index in self.wanted))

    def asked_body(self, body: bytes) -> bytes | None:
        """The body of that call, made of the caller's; None where all of it is to be asked."""
        wanted = self.wanted
        return self.wire.only(body, wanted) if len(wanted) < len(self.known) else None

    def entry(self) -> Entry | None:
        """The entry that would answer the whole batch; None where an item is not known. As old as its oldest part."""
        entries = [entry for entry in self.known if entry]
        if len(entries) < len(self.known):
            return None
        return replace(
            min(entries, key=lambda entry: entry.expires),
            answer=self.wire.join([entry.answer for entry in entries]),
            created=min(entry.created for entry in entries),
            stale_until=min(entry.stale_until for entry in entries),
            upstream_seconds=max(entry.upstream_seconds for entry in entries),
        )

    def joined(self, replay: Replay) -> bytes:
        """What the provider answered and what was known, as the answer to the whole batch."""
        asked = iter(self.answers)
        return self.wire.join(
            [
                replace(entry.answer, body=self.wire.replay(entry.answer, item, replay).body) if entry else next(asked)
                for entry, item in zip(self.known, self.call.items, strict=True)
            ]
        ).body

    @property
    def saved(self) -> int:
        """Input tokens that did not have to be used."""
        return sum(entry.answer.usage.input_tokens for entry in self.known if entry)
