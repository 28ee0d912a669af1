"""Which rule a request falls under, and what mitmproxy must know of the rules' hosts.

One rule: a `Rules` is made whole from a checked `Document` and never changes; a reload makes a new one.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from askonce.cache.uses import USES, Uses
from askonce.rules.dependencies import DependencyPlace, parse_place
from askonce.rules.document import Behaviour, Document, Price, RuleSpec
from askonce.rules.patterns import (
    HostPattern,
    JsonPathQuery,
    parse_host,
    parse_jsonpath,
    parse_path,
    parse_text,
    parse_value,
)
from askonce.rules.prices import Prices
from askonce.rules.request_headers import HeaderRule
from askonce.settings import DEFAULT_PORTS
from askonce.wire import WIRE_FORMATS
from askonce.wire.base import ReadOptions, WireFormat

__all__ = ["Rule", "Rules", "Target"]

_REMEMBERED = 4096
"""Decisions kept by host and path: paths with ids in them must not grow a table for ever."""
_NO_HEADERS: Mapping[bytes, bytes] = {}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a rule sends its misses instead of the host that was called."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `upstreams`, ready for use."""

    name: str
    endpoint: str
    """The first path as the file writes it; what metrics call the rule's calls."""
    wire: WireFormat
    read: ReadOptions
    behaviour: Behaviour
    hosts: tuple[HostPattern, ...]
    paths: tuple[re.Pattern[str], ...]
    target: Target | None
    headers: HeaderRule
    refuses_websocket: bool = False
    when: tuple[tuple[bytes, re.Pattern[str]], ...] = ()
    """Headers, names in lower case, that a request must have, and what their values must look like."""
    depends: tuple[DependencyPlace, ...] = ()
    """Where a request says what its answer depends on, besides the header of ours."""
    uses: Uses = field(default_factory=lambda: USES, hash=False)
    """What may be done with answers that do not last: the behaviour's `reuse`."""

    def is_for(self, headers: Mapping[bytes, bytes]) -> bool:
        """`headers`: names in lower case."""
        return all(
            name in headers and pattern.fullmatch(headers[name].decode("latin-1")) for name, pattern in self.when
        )


class Rules:
    """All rules; the first that names host and path, and whose `when` fits, decides."""

    def __init__(self, config: Document) -> None:
        self.config = config
        self._rules = tuple(_rule(spec, config.defaults) for spec in config.upstreams)
        self._by_place = defaultdict[tuple[str, int], list[tuple[HostPattern, Rule]]](list)
        for rule in self._rules:
            for pattern in rule.hosts:
                self._by_place[pattern.scheme, pattern.port].append((pattern, rule))
        self._spelled_out = {
            (pattern.name, pattern.port) for rule in self._rules for pattern in rule.hosts if not pattern.is_wild
        } | {(rule.target.host, rule.target.port) for rule in self._rules if rule.target}
        self._found = dict[tuple[str, str, int, str], tuple[Rule, ...]]()
        self._prices = Prices(config.prices)
        self._read = re.compile("|".join(self.allow_hosts()))

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules)

    def find(
        self, scheme: str, host: str, port: int, path: str, headers: Mapping[bytes, bytes] = _NO_HEADERS
    ) -> Rule | None:
        """The rule for a request; None where its path, or its host, is in no rule. `path` is without the query,
        `headers` have their names in lower case."""
        asked = (scheme, host, port, path)
        if (found := self._found.get(asked)) is None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            found = self._found[asked] = tuple(self.takers(*asked))
        for rule in found:
            if not rule.when or rule.is_for(headers):
                return rule
        return None

    def at(self, scheme: str, host: str, port: int) -> Rule | None:
        """The first rule for a host, whatever the path."""
        places = self._by_place.get((scheme, port), ())
        return next((rule for pattern, rule in places if pattern.matches(host.lower())), None)

    def is_read(self, host: str, port: int) -> bool:
        """Whether mitmproxy looks into a tunnel to a place; all others are blind. `host` is in lower case."""
        return self._read.match(f"{host}:{port}") is not None

    def names(self, host: str, port: int) -> bool:
        """Whether a rule spells a place out, among its hosts or as its upstream. `host` is in lower case."""
        return (host, port) in self._spelled_out

    def spelled_out(self) -> tuple[tuple[str, int], ...]:
        """The places that are reached over TLS and have whole names, in the file's order."""
        patterns = (pattern for rule in self._rules for pattern in rule.hosts)
        return tuple((one.name, one.port) for one in patterns if one.scheme == "https" and not one.is_wild)

    def takers(self, scheme: str, host: str, port: int, path: str) -> Iterator[Rule]:
        """The rules for a host and a path, in order: those with conditions before the first that has none."""
        for pattern, rule in self._by_place.get((scheme, port), ()):
            if pattern.matches(host.lower()) and any(known.fullmatch(path) for known in rule.paths):
                yield rule
                if not rule.when:
                    return

    def host_names(self) -> tuple[str, ...]:
        """The names (or `*.` patterns) that the certificate authority must be able to vouch for, sorted."""
        names = {pattern.name for rule in self._rules for pattern in rule.hosts if pattern.scheme == "https"}
        return tuple(sorted({*names, self.config.manage.host}))

    def every_host(self) -> tuple[str, ...]:
        """The names (or `*.` patterns) of all hosts, sorted: what programs must ask by way of the proxy."""
        return tuple(sorted({pattern.name for rule in self._rules for pattern in rule.hosts}))

    def allow_hosts(self) -> list[str]:
        """mitmproxy's `allow_hosts`: everything else stays a blind tunnel."""
        hosts = {(pattern.name, pattern.port) for rule in self._rules for pattern in rule.hosts}
        own = self.config.manage.host
        hosts |= {(name, port) for name in (own, f"*.{own}") for port in (80, 443)}
        return [_host_regex(name, port) for name, port in sorted(hosts)]

    def price(self, model: str) -> Price | None:
        """What a model's tokens cost; None: not known."""
        return self._prices.of(model)


def _rule(spec: RuleSpec, defaults: Behaviour) -> Rule:
    behaviour = spec.behaviour(defaults)
    ignored = {*behaviour.ignore_headers}
    if who := behaviour.scope.partition(":")[2]:
        ignored.add(who.lower())  # it says who asks, and chooses no answer
    return Rule(
        name=spec.name,
        endpoint=spec.paths[0],
        wire=WIRE_FORMATS[spec.wire],
        read=ReadOptions(
            prompt=_first_of([parse_jsonpath(path) for path in spec.prompt]) if spec.prompt else None,
            ignore=tuple(parse_jsonpath(path) for path in spec.ignore),
            normalise=tuple((parse_jsonpath(one.path), _rewriter(one.pattern, one.to)) for one in spec.normalise),
        ),
        behaviour=behaviour,
        hosts=tuple(parse_host(host) for host in spec.hosts),
        paths=tuple(parse_path(path) for path in spec.paths),
        target=_target(spec.upstream) if spec.upstream else None,
        headers=HeaderRule(frozenset(spec.headers), frozenset(ignored)),
        depends=tuple(parse_place(tag, where) for tag, where in spec.depends.items()),
        uses=behaviour.reuse.uses,
        refuses_websocket=spec.websocket == "refuse",
        when=tuple((name.encode(), parse_value(value)) for name, value in spec.when.items()),
    )


def _first_of(paths: Sequence[JsonPathQuery]) -> JsonPathQuery:
    """What all `paths` find, that of the first at the end, where a wire format looks first."""
    if len(paths) == 1:
        return paths[0]
    return lambda value: [found for find in reversed(paths) for found in find(value)]


def _rewriter(pattern: str, to: str) -> Callable[[str], str]:
    compiled = parse_text(pattern)
    return lambda text: compiled.sub(lambda _: to, text)


def _target(url: str) -> Target:
    parts = urlsplit(url)
    return Target(parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme])


def _host_regex(name: str, port: int) -> str:
    any_below = r"[^:]+" if name.startswith("*.") else ""
    return rf"^{any_below}{re.escape(name.removeprefix('*'))}:{port}$"
