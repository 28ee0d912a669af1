"""What a request says: how it may be answered, what it asks, and which calls are the same.

One rule: what cannot be read is a call that is left alone, and says why. A reading is remembered by the request's
bytes.
"""

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from askonce.cache import Cache, Identity
from askonce.call import Call, Request, Unreadable
from askonce.calls.aws_signature import is_signed
from askonce.calls.batches import Batch
from askonce.calls.directives import Directives, read_directives
from askonce.calls.limits import is_intricate
from askonce.calls.product_terms import PLAIN, Terms
from askonce.calls.state import Exchange
from askonce.credentials import credential, is_key_parameter
from askonce.faults import Faults
from askonce.rules import Rule, Target
from askonce.rules.dependencies import DependsError, dependencies
from askonce.settings import Mode
from askonce.wire.base import Divisible

__all__ = ["CallReader"]

_READINGS, _READ_AGAIN = 1024, 16384
"""Readings kept, and the bytes of the longest request that is kept for it: an app that repeats itself repeats every
byte, and reading and identifying is half of what Askonce does for an exact hit."""


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What a request says, before anything is looked up."""

    rule: Rule
    directives: Directives
    call: Call | None = None
    identity: Identity | None = None
    items: Sequence[Identity] = ()
    depends: Mapping[str, str] = field(default_factory=dict)
    bypass: str = ""


class CallReader:
    """Reads and identifies requests. Belongs to one event loop; what is longer than `limits.SMALL`, and so not
    remembered, may be read in any thread."""

    def __init__(self, cache: Cache, faults: Faults, *, mode: Mode, lasting: bool) -> None:
        """`lasting`: answers are for everybody."""
        self._cache, self._faults, self._mode, self._lasting = cache, faults, mode, lasting
        self._readings = dict[tuple[str, Hashable], ReadRequest]()

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
            rule,
            request,
            started,
            terms,
            reading.directives,
            reading.call,
            reading.identity,
            depends=reading.depends,
            bypass=reading.bypass,
        )
        if reading.items and reading.call and isinstance(rule.wire, Divisible):
            exchange.batch = Batch(rule.wire, reading.call, reading.items)
        return exchange

    def _identify(self, rule: Rule, request: Request, terms: Terms) -> ReadRequest:
        directives = read_directives(request.headers)
        if self._mode == "record":
            directives = replace(directives, read=False)
        if rule.behaviour.match == "off":
            return ReadRequest(rule, directives, bypass="rule")
        if not (directives.read or directives.write):
            return ReadRequest(rule, directives, bypass="no-store")
        if terms.bypass:
            return ReadRequest(rule, directives, bypass=terms.bypass)
        if rule.behaviour.scope == "credential" and not self._lasting and is_signed(request.headers):
            return ReadRequest(rule, directives, bypass="signed")
        if is_intricate(request.body):
            return ReadRequest(rule, directives, bypass="large")
        try:
            call = rule.wire.read(request, rule.read)
            depends = dependencies(request, rule.depends)
            # A cassette knows nothing of the machine that it was recorded on.
            target = None if self._lasting else rule.target
            identity, *items = self._cache.identify_each(
                (call, *call.items),
                host=_endpoint(call, request, target),
                scope=_scope("shared" if self._lasting else rule.behaviour.scope, request, terms),
                namespace=directives.namespace,
                headers=rule.headers.choices(request.headers),
                depends=depends,
            )
            return ReadRequest(rule, directives, call, identity, items, depends)
        except DependsError as error:
            self._faults.report(f"unreadable {rule.name} dependency", error, "the call is not answered, nor kept")
            return ReadRequest(rule, directives, bypass="depends")
        except Unreadable as error:
            self._faults.report(f"unreadable {rule.name} request", error, "it is forwarded as it is, and not cached")
            return ReadRequest(rule, directives, bypass="unreadable")
        except Exception as error:  # fail open
            self._faults.report(f"reading a {rule.name} request", error, "it is forwarded as it is, and not cached")
            return ReadRequest(rule, directives, bypass="fault")


def _endpoint(call: Call, request: Request, target: Target | None) -> str:
    """Who answers: the host that was called, with scheme and port where they are not those of every provider, and the
    server that the rule asks in its place; and path and query as far as they can change the answer."""
    place = request.host.lower()
    if (request.scheme, request.port) != ("https", 443):
        place = f"{request.scheme}://{place}:{request.port}"
    if target:
        place = f"{place} {target.scheme}://{target.host}:{target.port}"
    path, query = call.endpoint or request.path, request.query if call.query is None else call.query
    parts = [part for part in query.split("&") if part and not is_key_parameter(_name(part))] if query else ()
    asked = f"?{'&'.join(sorted(parts, key=_name))}" if parts else ""  # of one name, the order counts
    return f"{place}{path}{asked}"


def _name(parameter: str) -> str:
    return parameter.partition("=")[0]


def _scope(scope: str, request: Request, terms: Terms) -> str:
    kind, _, name = scope.partition(":")
    if kind == "shared":
        who = "shared"
    elif kind == "header":
        who = f"header:{name}:{request.headers.get(name.lower(), '')}"
    else:
        who = "credential:" + credential(request.headers, request.query)
    return f"{len(terms.scope)}:{terms.scope}:{who}" if terms.scope else who
