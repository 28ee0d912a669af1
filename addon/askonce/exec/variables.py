"""What a program needs in its environment to run behind a proxy that runs.

One rule: nothing is said to trust a proxy whose certificates programs would refuse.
"""

from collections.abc import Collection, Mapping
from urllib.parse import unquote, urlsplit

from askonce.exec.child import environment
from askonce.exec.client_files import client_files
from askonce.exec.proxy_process import check_trust
from askonce.settings import Settings
from askonce.trust import Trust

__all__ = ["variables"]


def variables(settings: Settings, made: Trust, hosts: Collection[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables to set on top of `environ`. `made` is the proxy's authority, `hosts` are those that its rules name.
    Raises `ProxyError` or OSError."""
    user = _user(environ, settings)
    check_trust(settings, made.bundle, user)
    return environment(
        settings.url_of(user), made.bundle, made.ca_cert, environ, truststore=made.truststore, hosts=hosts
    ) | client_files(made.bundle, environ)


def _user(environ: Mapping[str, str], settings: Settings) -> str:
    """The `NAME:KEY` that HTTPS_PROXY has for this proxy already; empty where it has none."""
    for url in (environ.get("https_proxy"), environ.get("HTTPS_PROXY")):
        if url and settings.leads_here(url) and (parts := urlsplit(url)).username is not None:
            return f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return ""
