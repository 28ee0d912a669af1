"""Answers that are whole and on their way into the store: whoever asks for one waits the few milliseconds until it is
there.

The one rule here: nothing is served from here. What was waited for is then looked up like anything else, so that what
was not good enough to be kept, or is deleted meanwhile, is not served either.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from askonce.cache.decision import CANDIDATES, Neighbour, Policy, decide
from askonce.cache.embed import Embedder, is_local
from askonce.cache.exact_only import exact_only
from askonce.cache.finder import Finder
from askonce.cache.identity import Identity
from askonce.cache.judge import Closer, Judge, Vector
from askonce.cache.lookup import Lookup
from askonce.call import Call

__all__ = ["Pending", "PendingAnswers"]

PATIENCE = 1.0
"""Seconds that a look-up waits for the store, at most; to ask the provider would take as long."""


@dataclass(eq=False, slots=True)
class Pending:
    """One answer that is being kept."""

    call: Call
    identity: Identity
    found: Lookup | None
    """What its look-up found; the prompt's vector, where it made one."""
    over: asyncio.Future[None]
    """Done once the answer is in the store, or will not be."""


class PendingAnswers:
    """All of them. `would_serve` may run in any thread; the rest belongs to one event loop."""

    def __init__(self, finder: Finder, judge: Judge) -> None:
        self._finder, self._judge = finder, judge
        self._look_closer = judge.look_closer if isinstance(judge, Closer) else None
        self._same = dict[bytes, Pending]()
        self._near = dict[bytes, dict[Pending, None]]()
        """Those that may be asked for in other words, in the order they came."""

    def add(self, call: Call, identity: Identity, found: Lookup | None) -> Pending:
        """An answer is whole; `end` says that it is kept."""
        pending = Pending(call, identity, found, asyncio.get_running_loop().create_future())
        self._same[identity.exact] = pending
        if not exact_only(call):
            self._near.setdefault(identity.partition, {})[pending] = None
        return pending

    def end(self, pending: Pending) -> None:
        """It is in the store, or will not be. A second time does nothing."""
        if pending.over.done():
            return
        pending.over.set_result(None)
        exact, partition = pending.identity.exact, pending.identity.partition
        if self._same.get(exact) is pending:
            del self._same[exact]
        if near := self._near.get(partition):
            near.pop(pending, None)
            if not near:
                del self._near[partition]

    def same(self, identity: Identity) -> Pending | None:
        """The answer to this very call."""
        return self._same.get(identity.exact)

    def near(self, identity: Identity) -> Sequence[Pending]:
        """The answers to calls that differ in the prompt alone."""
        return [one for one in self._near.get(identity.partition, ()) if one.identity.exact != identity.exact]

    async def wait(self, pending: Iterable[Pending]) -> None:
        """Until they are in the store, or it takes too long."""
        if waiting := {one.over for one in pending}:
            await asyncio.wait(waiting, timeout=PATIENCE)

    def would_serve(
        self, call: Call, found: Lookup, policy: Policy, embedder: Embedder, pending: Sequence[Pending]
    ) -> bool:
        """Whether the judge would serve one of these answers to this wording, of which `found` was found. Raises what
        the judge raises."""
        if not is_local(embedder) and any(_made(one.found, embedder) is None for one in pending):
            return True  # the store will have the vector as soon as it could be made here
        vector = self._vector(call, found, embedder)
        if vector is None:
            return False
        near = [(one, float(vector @ one.vector)) for one in (self._neighbour(one, embedder) for one in pending) if one]
        near.sort(key=lambda pair: pair[1], reverse=True)
        if not near:
            return False
        served = decide(
            self._judge, call.prompt, vector, near[:CANDIDATES], policy, look_closer=self._look_closer
        ).served
        return served is not None

    def _neighbour(self, pending: Pending, embedder: Embedder) -> Neighbour | None:
        vector = self._vector(pending.call, pending.found, embedder)
        return None if vector is None else Neighbour(pending.call.prompt, vector)

    def _vector(self, call: Call, found: Lookup | None, embedder: Embedder) -> Vector | None:
        """A prompt's: that which its look-up made, or a new one; None where none can be made."""
        made = _made(found, embedder)
        return self._finder.embed(call.prompt, embedder)[0] if made is None else made


def _made(found: Lookup | None, embedder: Embedder) -> Vector | None:
    return found.vector if found and found.embedder == embedder.name else None
