"""A provider's answer on its way into the cache: assembled from its bytes, checked, and kept.

One rule: what is not whole, or larger than allowed, is not kept (`Unstorable`), and the app has its answer all the
same.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import batched

from askonce.cache import FOREVER, Cache, Identity, StoreError, Verdict, compare_bodies
from askonce.call import Answer, Call, Unstorable, Usage
from askonce.calls import response_headers
from askonce.calls.audits import Audits
from askonce.calls.dependencies import labels
from askonce.calls.kept_request import pack
from askonce.calls.limits import is_intricate
from askonce.calls.personal_data import personal_data
from askonce.calls.repeats import Repeats
from askonce.calls.response_headers import Headers
from askonce.calls.state import Exchange
from askonce.faults import Faults
from askonce.workers import Compute

__all__ = ["Storing", "assemble"]

_AT_ONCE = 256
"""Items of a batch that are handed to the store together."""


class Storing:
    """Keeps answers. Belongs to one event loop."""

    def __init__(
        self,
        cache: Cache,
        audits: Audits,
        repeats: Repeats | None,
        *,
        lasting: bool,
        compute: Compute,
        faults: Faults,
        clock: Callable[[], float],
    ) -> None:
        """`lasting`: answers have no end. `repeats` are those of a cassette."""
        self._cache, self._audits, self._repeats, self._lasting = cache, audits, repeats, lasting
        self._compute, self._faults, self._clock = compute, faults, clock

    def expect(self, exchange: Exchange) -> None:
        """The answers are whole: look-ups wait for them from here on, until they are stored, or will not be."""
        exchange.pending = [self._cache.expect(*asked, exchange.lookup) for asked in _asked(exchange)]

    async def store(
        self, exchange: Exchange, headers: Headers, body: Callable[[], bytes], took: float
    ) -> tuple[Sequence[Answer], bool]:
        """Keep what is in a response, where it is whole and good: the answers in it, and whether they are on disk.

        What keeps them off it stands in `exchange.unkept`. `took` is the seconds from the request to the answer's end.
        """
        batch = exchange.batch
        answers, packed = batch.answers if batch else list[Answer](), b""
        try:
            if not answers:
                answers, packed, exchange.agreed = await self._compute(lambda: _read_answers(exchange, headers, body()))
            if exchange.rule.behaviour.personal_data == "refuse":
                await self._look_for_personal_data(exchange, answers)
            if self._repeats:
                self._repeats.record(exchange)
            await self._store(exchange, answers, packed, took)
            return answers, True
        except Unstorable as error:
            exchange.unkept = str(error)
        except StoreError:  # the cache has said so
            exchange.unkept = "fault"
        except Exception as error:  # fail open: the app has its answer already
            exchange.unkept = "fault"
            self._faults.report("storing an answer", error, "the app got its answer, it is not kept")
        finally:
            for pending in exchange.pending:
                self._cache.expect_no_more(pending)
        return answers, False

    async def _look_for_personal_data(self, exchange: Exchange, answers: Sequence[Answer]) -> None:
        bodies = (exchange.request.body, *(answer.body for answer in answers))
        exchange.personal = await self._compute(lambda: personal_data(bodies))
        if exchange.personal:
            raise Unstorable(f"personal data: {exchange.personal}")

    async def _store(self, exchange: Exchange, answers: Sequence[Answer], packed: bytes, took: float) -> None:
        """Keep the answers to a call, or to the items of a batch that were asked; `packed` is the request as it is kept
        with them."""
        kept = [(*asked, answer) for asked, answer in zip(_asked(exchange), answers, strict=True)]
        for some in batched(kept, _AT_ONCE):
            await asyncio.gather(*[self._keep(exchange, *one, packed, took) for one in some])

    async def _keep(
        self, exchange: Exchange, call: Call, identity: Identity, answer: Answer, packed: bytes, took: float
    ) -> None:
        kept = await self._cache.remember(
            call,
            identity,
            answer,
            upstream=exchange.rule.name,
            host=exchange.request.host,
            ttl=FOREVER - self._clock() if self._lasting else exchange.rule.behaviour.ttl,
            stale=0.0 if self._lasting else exchange.rule.behaviour.longest_stale,
            uses={} if self._lasting else exchange.rule.uses,
            namespace=exchange.directives.namespace,
            upstream_seconds=took,
            found=None if exchange.is_error else exchange.lookup or self._audits.checked_by(identity),
            labels={**exchange.terms.labels, **labels(exchange.depends)},
            request=packed,
            approval=exchange.needs_approval,
            still=lambda: not exchange.is_overtaken and exchange.terms.keeps(),
        )
        exchange.terms.kept(kept)


def _read_answers(exchange: Exchange, headers: Headers, body: bytes) -> tuple[list[Answer], bytes, Verdict]:
    """The answers in a response, the request as it is kept with them, and what they say of what is only watched. Raises
    Unstorable."""
    answers = assemble(exchange, headers, body)
    return answers, _pack_request(exchange), _agreed(exchange, answers)


def assemble(exchange: Exchange, headers: Headers, body: bytes) -> list[Answer]:
    """The provider's answer; those to the items that were asked, where the call is a batch. Raises Unstorable."""
    assert exchange.call
    content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
    if not content_type.isascii():
        raise Unstorable("a content type that is no text")
    if content_type.startswith("application/json") and is_intricate(body, items=False):
        raise Unstorable("more values than limits.max_values")
    if exchange.is_error:
        return [_error(exchange, content_type, headers, body)]
    batch = exchange.batch
    asked = batch.asked if batch else exchange.call
    whole = exchange.rule.wire.assemble(body, content_type, asked)
    answers = batch.wire.divide(whole, asked) if batch else [whole]
    if any(len(answer.body) > exchange.rule.behaviour.max_answer for answer in answers):
        raise Unstorable("larger than max_answer")
    repeatable = response_headers.repeatable(headers)
    return [replace(answer, headers=repeatable) for answer in answers]


def _error(exchange: Exchange, content_type: str, headers: Headers, body: bytes) -> Answer:
    """A response as it came, for the same call alone."""
    if len(body) > exchange.rule.behaviour.max_answer:
        raise Unstorable("larger than max_answer")
    return Answer(body, content_type, Usage(), response_headers.repeatable(headers), exchange.status)


def _agreed(exchange: Exchange, answers: Sequence[Answer]) -> Verdict:
    """Whether the provider's answer says what would have been served; "unknown" where nothing would have been."""
    found = exchange.lookup
    if not found or not found.watched or not found.nearest or exchange.batch:
        return "unknown"
    return compare_bodies(answers[0].body, found.nearest.answer.body)


def _pack_request(exchange: Exchange) -> bytes:
    """What is kept of a request; nothing of a batch, to whose parts the answers belong."""
    if exchange.batch:
        return b""
    request = exchange.request
    return pack(request, exchange.rule.headers.choices(request.headers))


def _asked(exchange: Exchange) -> list[tuple[Call, Identity]]:
    """The calls that the provider's answer is to."""
    if batch := exchange.batch:
        return [(batch.call.items[at], batch.identities[at]) for at in batch.wanted]
    assert exchange.call and exchange.identity
    return [(exchange.call, exchange.repeat or exchange.identity)]
