"""The `upstream_proxy` section of rules.yaml: the proxy that Askonce itself goes through, such as a company's.

One rule: without it the environment says which; what it says comes before the environment.
"""

import base64
from dataclasses import dataclass
from typing import Annotated, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator

from askonce.rules.sections import Section
from askonce.settings import DEFAULT_PORTS, authority

__all__ = ["OFF", "UpstreamProxy", "UpstreamProxySection", "UpstreamProxySpec"]

OFF = "off"


@dataclass(frozen=True, slots=True)
class UpstreamProxy:
    """A proxy that speaks HTTP, or HTTP over TLS."""

    scheme: str
    """"http" or "https": how it is spoken to, whatever goes through it."""
    host: str
    """In lower case; IPv6 without brackets."""
    port: int
    user: str = ""
    password: str = ""
    source: str = ""
    """Who names it, such as `HTTPS_PROXY`."""

    def __str__(self) -> str:
        return f"{self.scheme}://{authority(self.host, self.port)}"

    @property
    def credentials(self) -> bytes:
        """The value of Proxy-Authorization (RFC 7617); empty where there is no user."""
        if not self.user and not self.password:
            return b""
        return b"Basic " + base64.b64encode(f"{self.user}:{self.password}".encode())

    @classmethod
    def parse(cls, url: str, source: str) -> Self:
        """`http://[USER:PASSWORD@]HOST[:PORT]`, `https://…`, or `HOST:PORT`. Raises ValueError, whose message has no
        password in it."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            default = DEFAULT_PORTS[parts.scheme]
            host, port = parts.hostname or "", parts.port or default
        except (ValueError, LookupError):
            host = ""
        if not host or parts.path not in ("", "/") or parts.query or parts.fragment:
            shown = f"…@{url.rpartition('@')[2]}" if "@" in url else url
            raise ValueError(f"expected http://HOST:PORT or https://HOST:PORT of a proxy; got {shown!r}")
        return cls(parts.scheme, host, port, unquote(parts.username or ""), unquote(parts.password or ""), source)


def _off(value: object) -> object:
    """YAML 1.1 reads the bare word as false."""
    return OFF if value is False else value


def _parsed(url: str) -> str:
    if url != OFF:
        UpstreamProxy.parse(url, "")
    return url


class UpstreamProxySpec(Section):
    """Which proxy what Askonce asks goes through."""

    url: Annotated[Annotated[str, AfterValidator(_parsed)] | None, BeforeValidator(_off)] = None
    """Of the proxy, or `off` for none; the environment's where it is left out."""
    user: str | None = None
    password: str | None = None
    """Both instead of those in the URL."""
    no_proxy: tuple[str, ...] = ()
    """What is direct besides what NO_PROXY names, and written like that."""


def _section(value: object) -> object:
    """The URL alone, or `off`; a variable that is not set is nothing."""
    if value is None:
        return {}
    return {"url": value} if isinstance(value, str | bool) else value


UpstreamProxySection = Annotated[UpstreamProxySpec, BeforeValidator(_section)]
