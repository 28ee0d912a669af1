"""Near misses that an LLM is asked about once the caller has the provider's answer (`verifier: {mode: shadow}`).

One rule: no call waits for it or is changed by it. A fault in here is reported, and nothing is learned from the miss.
"""

import time
from collections.abc import Callable

from askonce.cache import Cache, Identity, Lookup
from askonce.call import Call
from askonce.calls.background import Background
from askonce.calls.gray_zone import asking, is_open
from askonce.calls.verifier import Verifier
from askonce.faults import Faults
from askonce.rules import VerifierSpec

__all__ = ["Shadow"]

_AT_ONCE = 8
"""Questions under way; what comes in meanwhile is not asked about."""


class Shadow:
    """Makes aliases of near misses, or keeps them apart for good. Belongs to one event loop; `close` it at the end."""

    def __init__(
        self,
        cache: Cache,
        verifier: Verifier,
        spec: VerifierSpec | None,
        faults: Faults,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cache, self._verifier, self._faults, self._clock = cache, verifier, faults, clock
        self.spec = spec
        """What rules.yaml says of it now."""
        self._background = Background()

    def consider(self, call: Call, identity: Identity, found: Lookup) -> None:
        """Have the verifier asked about a miss whose caller has his answer, where the judge left it open."""
        spec = self.spec
        if spec is None or spec.mode != "shadow" or found.outcome != "miss" or len(self._background) >= _AT_ONCE:
            return
        if is_open(found, spec, self._clock()):
            self._background.start(self._ask(call.prompt, identity, found, spec))

    async def _ask(self, prompt: str, identity: Identity, found: Lookup, spec: VerifierSpec) -> None:
        assert found.nearest
        try:
            if not await self._cache.spend("verdicts", spec.per_day):
                return
            said = await self._verifier.verdict(prompt, found.nearest.prompt, asking(spec))
            if said != "unclear":
                await self._cache.keep_verdict(prompt, identity, found, same=said == "yes")
        except Exception as error:
            self._faults.report("shadow verifier", error, "nothing is learned from a near miss")

    async def close(self) -> None:
        """End what is under way."""
        await self._background.close()
