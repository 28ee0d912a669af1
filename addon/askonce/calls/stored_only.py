"""Callers who want no answer but a stored one: in strict mode all, else those who say so.

One rule: the provider is not asked for them, and they are told why there is nothing.
"""

from askonce.cache import Cache, ComparedCall, Nearest
from askonce.call import Reply
from askonce.calls.refusals import refusal, strict_message
from askonce.calls.state import Exchange
from askonce.faults import Faults

__all__ = ["StoredOnly"]


class StoredOnly:
    """Refuses what is not stored. Belongs to one event loop."""

    def __init__(self, cache: Cache, faults: Faults, *, strict: bool) -> None:
        self._cache, self._faults, self._strict = cache, faults, strict

    async def refuse(self, exchange: Exchange) -> Reply | None:
        """The reply to a caller who wants no answer but a stored one; None for all others."""
        if self._strict and exchange.bypass != "rule":
            nearest = await self.nearest(exchange)
            why = exchange.why or "no entry"
            reply = refusal(strict_message(exchange.rule.name, exchange.call, why, nearest), "strict")
        elif exchange.directives.only_if_cached:
            message = "Askonce has no answer to this call, and the request says only-if-cached"
            reply = refusal(f"{message} ({exchange.why})" if exchange.why else message, "only-if-cached")
        else:
            return None
        return reply

    async def nearest(self, exchange: Exchange) -> Nearest | None:
        """The stored call that is most like this one, in whatever partition; None where there is none."""
        call, identity = exchange.call, exchange.identity
        if not call or not identity:
            return None
        try:
            named = {"namespace": exchange.directives.namespace, "host": exchange.request.host}
            return await self._cache.nearest(ComparedCall.by(call, identity, **named, upstream=exchange.rule.name))
        except Exception as error:
            self._faults.report("comparing calls", error, "what differs from the nearest call is not told")
            return None
