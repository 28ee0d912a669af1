"""Whether mitmproxy's modules are those that ours was written for.

One rule: what replaces a part of mitmproxy names the text of every module that it leans on, and steps aside beside any
other, with one line in the log; mitmproxy's own part does the work then.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from importlib.abc import InspectLoader
from types import ModuleType

from mitmproxy import addonmanager, connection, http, optmanager
from mitmproxy.coretypes import multidict
from mitmproxy.proxy import context, layer, mode_servers, server, tunnel
from mitmproxy.proxy.layers import http as layers_http
from mitmproxy.proxy.layers import tls
from mitmproxy.proxy.layers.http import _http1, _http2, _http_h2

__all__ = ["KNOWN", "digest", "is_known"]

logger = logging.getLogger("askonce")

KNOWN: Mapping[ModuleType, frozenset[str]] = {
    _http1: frozenset({"a2ed8918f1c4a070"}),
    _http2: frozenset({"f47bdcb75c97138f", "4fdbd2d46f542db1"}),  # a letter in a comment
    _http_h2: frozenset({"62b992b8e61893a6", "ae436d68c3be5875"}),  # the type of an argument
    addonmanager: frozenset({"1dc72e4f560c8873", "8134356f2d543357"}),  # a word in a docstring
    connection: frozenset({"e8e7f3a695e17cd1"}),
    context: frozenset({"6eb6f92863b8dafa"}),
    http: frozenset({"f8ff6ff9e8f095ec"}),
    layers_http: frozenset({"0e7b3474f7febddc"}),
    layer: frozenset({"c45454046edfdf03"}),
    mode_servers: frozenset({"1b980ec81b97843f"}),
    multidict: frozenset({"d8cf7fdc1896241c", "53bbc4d7480b2682"}),  # `set_all` copies a list that it is given
    optmanager: frozenset({"673343bb13fcce1c", "b9c63ca390de2258"}),  # the words of an error
    server: frozenset({"8e7a49721801ffc2"}),
    tls: frozenset({"76e315d8e64355a7", "1a7d91d83846c2b6"}),  # two words in docstrings
    tunnel: frozenset({"a063fb4bc7f50f91"}),
}
"""Digests of modules as mitmproxy 12.2.3 and 12.3.1 have them; where there are two, the difference was read, and what
it is stands behind."""


def digest(module: ModuleType) -> str:
    """The first 16 hex digits of the SHA-256 of a module's source; empty where there is none to read."""
    loader = module.__spec__.loader if module.__spec__ else None
    try:
        text = loader.get_source(module.__name__) if isinstance(loader, InspectLoader) else None
    except (OSError, ImportError):
        text = None
    if not text:
        return ""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_known(what: str, modules: Iterable[ModuleType]) -> bool:
    """Whether all of `modules` are; says so where one is not. `what` is what steps aside then."""
    strange = [module.__name__ for module in modules if digest(module) not in KNOWN[module]]
    if strange:
        logger.warning("%s left out: %s is not the one they were written for", what, ", ".join(strange))
    return not strange
