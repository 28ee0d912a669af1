"""The views of our own address: where each product is served alone, with nothing of the others in its way.

One rule: a view is named by the address alone, `/gateway/…` or `gateway.askonce.internal`, never by what is sent to it.
"""

from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from askonce.settings import DEFAULT_PORTS

__all__ = ["PREFIXES", "View", "ViewName", "find_view", "is_own_site"]

ViewName = Literal["promptcache", "semcache", "gateway", "cachecore", "langcache"]

PREFIXES: dict[str, ViewName] = {
    "/promptcache": "promptcache",
    "/semcache-app": "semcache",  # /semcache/v1/… is Semcache's own
    "/gateway": "gateway",
    "/cachecore": "cachecore",
    "/langcache": "langcache",
}
_LABELS: dict[str, ViewName] = {
    **{prefix.removeprefix("/"): name for prefix, name in PREFIXES.items()},
    "semcache": "semcache",
}


class View(NamedTuple):
    """How an address names a product."""

    name: ViewName | None = None
    """None at the root, where all products are served."""
    prefix: str = ""
    """What comes before the product's own path; empty where the host names it."""
    known: bool = True
    """False for a host below ours that is nobody's."""


_ROOT = View()


def find_view(host: str, path: str, own_host: str) -> View:
    """The view that a request is for. `host` without a port, in lower case; `own_host` is `askonce.internal`."""
    if host.endswith("." + own_host):
        label = host.removesuffix("." + own_host)
        return View(_LABELS.get(label), "", label in _LABELS)
    prefix = path[: path.find("/", 1)] if "/" in path[1:] else path
    return View(PREFIXES[prefix], prefix) if prefix in PREFIXES else _ROOT


def is_own_site(origin: str | None, fetch_site: str | None, url: str) -> bool:
    """Whether a request to `url` came from our own page, or from a program (a browser tells the site, those do not).

    `origin` and `fetch_site` are the headers Origin and Sec-Fetch-Site.
    """
    if origin is None:
        return fetch_site != "cross-site"
    return _site(origin) == _site(url) != ""


def _site(url: str) -> str:
    """`host:port` of an origin, the scheme's own port filled in; empty for "null" and what is no origin."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS[parts.scheme]
    except (ValueError, KeyError):
        return ""
    return f"{parts.hostname}:{port}" if parts.hostname else ""
