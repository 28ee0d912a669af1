"""Near misses that an LLM is asked about, where rules.yaml names one (`verifier`).

One rule: it is asked only about what the judge leaves open. What a guard refuses, what somebody said was wrong and what
is no longer fresh stays a miss.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from askonce.cache import Cache, Identity, Lookup
from askonce.call import Call
from askonce.calls.verifier import Asking, Verifier
from askonce.rules import VerifierSpec

__all__ = ["GrayZone", "asking", "is_open"]


class GrayZone:
    """Makes semantic hits of near misses, where callers are to wait (`mode: ask`). Belongs to one event loop."""

    def __init__(
        self,
        cache: Cache,
        verifier: Verifier,
        spec: VerifierSpec | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cache, self._verifier, self._clock = cache, verifier, clock
        self.spec = spec
        """What rules.yaml says of it now."""

    async def __call__(self, call: Call, identity: Identity, found: Lookup) -> Lookup:
        """`found`, or a hit on the nearest entry where the verifier says that its answer serves `call`."""
        spec, near = self.spec, found.nearest
        if spec is None or spec.mode != "ask" or near is None or not is_open(found, spec, self._clock()):
            return found
        if not await self._verifier.same(call.prompt, near.prompt, asking(spec)):
            return found
        return self._cache.record_hit(replace(found, outcome="semantic", entry=near, reason=""), call, identity)


def is_open(found: Lookup, spec: VerifierSpec, now: float) -> bool:
    """Whether the judge leaves open that the nearest entry, which is still fresh, serves all the same."""
    near, chance = found.nearest, found.probability
    if near is None or chance is None or found.weighed is None or found.watched:
        return False
    return chance >= spec.above and now < near.expires


def asking(spec: VerifierSpec) -> Asking:
    """Whom the verifier asks."""
    return Asking(spec.url, spec.model, spec.key or "none", spec.timeout)  # a model of one's own may want no key
