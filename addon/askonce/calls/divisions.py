"""Batches of which the provider is asked only a part: what is sent to it, and the reply that its answer and what was
known make together.

One rule: where the two do not fit, the whole batch is asked for, as it would have been without Askonce.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from askonce.call import Reply, Request
from askonce.calls.aws_signature import is_signed
from askonce.calls.held_bodies import held_bodies
from askonce.calls.refusals import failure
from askonce.calls.response_headers import Headers, fresh_id
from askonce.calls.state import Dividing, Exchange, Leading, Passing
from askonce.calls.storing import assemble
from askonce.faults import Faults
from askonce.rules import Rule
from askonce.wire.base import Replay
from askonce.workers import Compute

__all__ = ["AskAgain", "Divisions"]

type AskAgain = Callable[[Rule, Request], Awaitable[Reply]]
"""Asks a provider, by way of the proxy and past the cache. Raises OSError or httpx.HTTPError where it cannot."""


class Divisions:
    """Divides batches. Belongs to one event loop."""

    def __init__(
        self, ask_again: AskAgain | None, compute: Compute, faults: Faults, clock: Callable[[], float]
    ) -> None:
        """Without `ask_again` none is divided."""
        self._ask_again, self._compute, self._faults, self._clock = ask_again, compute, faults, clock

    def remaining(self, exchange: Exchange) -> bytes | None:
        """The body that asks for what is not known of a batch; None where all of it is to be asked, and for a call that
        is none."""
        batch = exchange.batch
        if batch is None:
            return None
        may = exchange.is_direct and exchange.is_to_be_kept and self._ask_again and not held_bodies.is_half_full
        if not may or is_signed(exchange.request.headers):
            return None
        try:
            return batch.asked_body(exchange.request.body)
        except Exception as error:  # fail open
            batch.forget()
            self._faults.report("dividing a batch", error, "all of it goes to the provider")
            return None

    async def complete(self, exchange: Exchange, headers: Headers, body: Callable[[], bytes]) -> Reply:
        """The reply to a batch of which the provider was asked only a part: its answer, and what was known."""
        batch, headers = exchange.batch, tuple(headers)
        assert batch and self._ask_again

        def joined() -> bytes:
            batch.answers = assemble(exchange, headers, body())
            return batch.joined(Replay(self._clock(), fresh_id, exchange.rule.behaviour.usage == "zero"))

        try:
            reply = Reply(await self._compute(joined), "application/json")
            return replace(reply, headers=(("x-cache-tokens-saved", f"input={batch.saved}, output=0"),))
        except Exception as error:  # fail open
            leads = isinstance(exchange.state, Dividing) and exchange.state.leads
            exchange.state = Leading() if leads else Passing()
            exchange.unkept = "does not fit the part that was asked"
            self._faults.report("completing a batch", error, "all of it is asked of the provider")
        try:
            return await self._ask_again(exchange.rule, exchange.request)
        except Exception as error:
            self._faults.report("asking for a batch again", error, "the app gets a 502")
            return failure(
                "Askonce could not complete a batch of which it knew a part, and the provider not be reached"
            )
