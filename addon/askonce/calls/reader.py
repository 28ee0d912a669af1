"""What a request says: how it may be answered, what it asks, and which calls are the same.

One rule: what cannot be read is a call that is left alone, and says why. A reading is remembered by the request's
bytes.
"""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from askonce.cache import Cache, Identity, credential
from askonce.call import Call, Request, Unreadable
from askonce.calls.aws_signature import is_signed
from askonce.calls.batches import Batch
from askonce.calls.directives import Directives, read_directives
from askonce.calls.limits import is_intricate
from askonce.calls.product_terms import PLAIN, Terms
from askonce.calls.state import Exchange
from askonce.faults import Faults
from askonce.rules import Rule
from askonce.settings import Mode
from askonce.wire.base import Divisible

__all__ = ["Reader"]

_QUERY_OF_CALLER = frozenset({"key", "api_key", "api-key", "access_token", "alt"})
_READINGS, _READ_AGAIN = 1024, 16384
"""Readings kept, and the bytes of the longest request that is kept for it: an app that repeats itself repeats every
byte, and reading and identifying is half of what Askonce does for an exact hit."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a request says, before anything is looked up."""

    rule: Rule
    directives: Directives
    call: Call | None = None
    identity: Identity | None = None
    items: Sequence[Identity] = ()
    bypass: str = ""


class Reader:
    """Reads and identifies requests. Belongs to one event loop; what is longer than `limits.SMALL`, and so not
    remembered, may be read in any thread."""

    def __init__(self, cache: Cache, faults: Faults, *, mode: Mode, lasting: bool) -> None:
        """`lasting`: answers are for everybody."""
        self._cache, self._faults, self._mode, self._lasting = cache, faults, mode, lasting
        self._readings = dict[tuple[str, Hashable], Reading]()

    def read(self, rule: Rule, request: Request, terms: Terms = PLAIN) -> Exchange:
        """Read and identify a call whose body is whole. With terms of its own, `request.raw` is None."""
        started = time.perf_counter()
        place = (rule.name, request.raw)
        is_kept = request.raw is not None and len(request.body) <= _READ_AGAIN
        reading = self._readings.get(place) if is_kept else None
        if reading is None or reading.rule is not rule:
            reading = self._identify(rule, request, terms)
            if is_kept:
                if len(self._readings) >= _READINGS:
                    self._readings.clear()
                self._readings[place] = reading
        exchange = Exchange(
            rule, request, started, terms, reading.directives, reading.call, reading.identity, bypass=reading.bypass
        )
        if reading.items and reading.call and isinstance(rule.wire, Divisible):
            exchange.batch = Batch(rule.wire, reading.call, reading.items)
        return exchange

    def _identify(self, rule: Rule, request: Request, terms: Terms) -> Reading:
        directives = read_directives(request.headers)
        if self._mode == "record":
            directives = replace(directives, read=False)
        if rule.behaviour.match == "off":
            return Reading(rule, directives, bypass="rule")
        if not (directives.read or directives.write):
            return Reading(rule, directives, bypass="no-store")
        if terms.bypass:
            return Reading(rule, directives, bypass=terms.bypass)
        if rule.behaviour.scope == "credential" and not self._lasting and is_signed(request.headers):
            return Reading(rule, directives, bypass="signed")
        if is_intricate(request.body):
            return Reading(rule, directives, bypass="large")
        try:
            call = rule.wire.read(request, rule.read)
            host = request.host + _endpoint(call, request)
            scope = _scope("shared" if self._lasting else rule.behaviour.scope, request, terms)
            identity, *items = self._cache.identify_each(
                (call, *call.items), host=host, scope=scope, namespace=directives.namespace
            )
            return Reading(rule, directives, call, identity, items)
        except Unreadable as error:
            self._faults.report(f"unreadable {rule.name} request", error, "it is forwarded as it is, and not cached")
            return Reading(rule, directives, bypass="unreadable")
        except Exception as error:  # fail open
            self._faults.report(f"reading a {rule.name} request", error, "it is forwarded as it is, and not cached")
            return Reading(rule, directives, bypass="fault")


def _endpoint(call: Call, request: Request) -> str:
    """Path and query as far as they can change the answer."""
    path = call.endpoint or request.path
    query = "&".join(
        sorted(part for part in request.query.split("&") if part and part.partition("=")[0] not in _QUERY_OF_CALLER)
    )
    return f"{path}?{query}" if query else path


def _scope(scope: str, request: Request, terms: Terms) -> str:
    kind, _, name = scope.partition(":")
    if kind == "shared":
        who = "shared"
    elif kind == "header":
        who = f"header:{name}:{request.headers.get(name.lower(), '')}"
    else:
        who = "credential:" + credential(request.headers, request.query)
    return f"{len(terms.scope)}:{terms.scope}:{who}" if terms.scope else who
