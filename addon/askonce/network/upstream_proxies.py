"""Which proxy a connection of Askonce's goes through: the one that rules.yaml names, else the environment's.

One rule: what is on this machine is never asked for by way of another.
"""

import ipaddress
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, Literal
from urllib.parse import urlsplit

from askonce.network.addresses import Network, parse_address
from askonce.network.peers import Place
from askonce.rules import UpstreamProxy, UpstreamProxySpec
from askonce.rules.upstream_proxy import OFF
from askonce.settings import DEFAULT_PORTS

__all__ = ["UpstreamProxies"]

logger = logging.getLogger("askonce")

type Scheme = Literal["http", "https"]

_IN_RULES = "upstream_proxy of rules.yaml"


class UpstreamProxies:
    """Chooses. What rules.yaml says is asked for each time, so that a reload is taken up."""

    def __init__(
        self,
        spec: Callable[[], UpstreamProxySpec],
        environment: Mapping[str, str],
        verify: Callable[[], ssl.SSLContext],
    ) -> None:
        """`environment` is `Settings.outer_proxies`; `verify` is how the certificate of a proxy is checked that is
        spoken to over TLS."""
        self._spec, self.verify = spec, cache(verify)
        self._environment = {
            scheme: proxy
            for scheme, name in (("http", "HTTP_PROXY"), ("https", "HTTPS_PROXY"))
            if (proxy := _named(name, environment.get(scheme, "")))
        }
        self._no_proxy = environment.get("no", "")

    def of(self, scheme: Scheme, place: Place) -> UpstreamProxy | None:
        """The proxy through which a place is reached; None where directly. What a tunnel holds counts as https."""
        spec = self._spec()
        if spec.url == OFF or not (spec.url or self._environment) or _is_here(place[0]):
            return None
        if _spared((self._no_proxy, *spec.no_proxy)).has(place):
            return None
        return _written(spec) if spec.url else self._environment.get(scheme)

    def client_options(self, url: str) -> dict[str, Any]:
        """What an httpx client needs to ask the server of `url`: how it is verified, and by way of whom it is asked."""
        import httpx

        parts = urlsplit(url)
        scheme: Scheme = "http" if parts.scheme == "http" else "https"
        options: dict[str, Any] = {"verify": self.verify()}
        if proxy := self.of(scheme, ((parts.hostname or "").lower(), parts.port or DEFAULT_PORTS[scheme])):
            user = (proxy.user, proxy.password) if proxy.credentials else None
            context = self.verify() if proxy.scheme == "https" else None
            options["proxy"] = httpx.Proxy(str(proxy), auth=user, ssl_context=context)
        return options


def _named(variable: str, url: str) -> UpstreamProxy | None:
    if not url:
        return None
    try:
        return UpstreamProxy.parse(url, variable)
    except ValueError as error:
        logger.warning("%s of the environment is not gone through: %s", variable, error)
        return None


@lru_cache(8)
def _written(spec: UpstreamProxySpec) -> UpstreamProxy:
    proxy = UpstreamProxy.parse(spec.url or "", _IN_RULES)
    if spec.user is None and spec.password is None:
        return proxy
    return replace(proxy, user=spec.user or "", password=spec.password or "")


@lru_cache(4096)
def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return parse_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class _Spared:
    """What is direct: the entries of NO_PROXY as curl and Go's `httpproxy` read them."""

    is_all: bool
    names: frozenset[tuple[str, int | None]]
    """Without what stands before the first letter; a port of None is any."""
    networks: tuple[tuple[Network, int | None], ...]

    def has(self, place: Place) -> bool:
        if self.is_all:
            return True
        host, port = place[0].rstrip("."), place[1]
        try:
            address = parse_address(host)
        except ValueError:
            labels = host.split(".")
            above = (".".join(labels[at:]) for at in range(len(labels)))
            return any((name, any_or_this) in self.names for name in above for any_or_this in (None, port))
        return any(address in network and own in (None, port) for network, own in self.networks)


@lru_cache(8)
def _spared(texts: tuple[str, ...]) -> _Spared:
    entries = [entry.strip().lower() for text in texts for entry in text.split(",") if entry.strip()]
    names, networks = set[tuple[str, int | None]](), list[tuple[Network, int | None]]()
    for entry in entries:
        host, port = _split(entry)
        try:
            networks.append((ipaddress.ip_network(host, strict=False), port))
        except ValueError:
            names.add((host.removeprefix("*").strip("."), port))
    return _Spared("*" in entries, frozenset(names), tuple(networks))


def _split(entry: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[v6]`, `[v6]:port`, `v6`, or a network."""
    host, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port)
    return entry.strip("[]"), None
