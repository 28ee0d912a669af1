"""What became of a command behind the proxy: what was seen before and after it, and what that says.

One rule: one cause for what is wrong, that which the others rest on, and one cure.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from askonce.settings import Settings

__all__ = ["Finding", "Snapshot", "diagnose", "settled", "snapshot"]

_SETTLING = 2.0
"""Seconds for connections to close of a command that has ended."""
_SHOWN = 3
"""Of hosts and paths."""
_EXPIRED = "certificate expired"
"""The alert for one that is not valid at the client's time (RFC 8446 6.2)."""

type StraySeen = tuple[str, str, str]
"""Kind, place and detail of a stray."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    name: str
    fault: str = ""
    """What is wrong; empty where all is well."""
    cure: str = ""
    note: str = ""
    """What there is to say where all is well."""

    def __str__(self) -> str:
        return f"{self.name}: {self.fault}; {self.cure}" if self.fault else f"{self.name}: {self.note or 'well'}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a proxy has seen since its start."""

    calls: Counter[str]
    """By outcome, those to a product's own store among them."""
    strays: Counter[StraySeen]
    is_quiet: bool
    """Nobody but who asks has a connection, and no call is under way."""


def snapshot(settings: Settings) -> Snapshot | None:
    """What the running proxy has seen; None where it does not tell us."""
    from askonce.cli.client import RequestError, running_proxy
    from askonce.exec.proxy_process import ProxyError

    try:
        ask = running_proxy(settings)
        strays, stats = ask("GET", "/v1/strays", {}), ask("GET", "/v1/stats", {})
    except (ProxyError, RequestError):  # it wants a token that we do not have, or is gone
        return None
    calls = Counter[str]({name: count for name, count in stats["outcomes"].items() if count})
    for operations in stats["stores"].values():
        for outcomes in operations.values():
            calls.update(outcomes)
    if stats["in_flight"]:
        calls["under way"] = stats["in_flight"]
    seen = Counter[StraySeen]({(one["kind"], one["place"], one["detail"]): one["count"] for one in strays["strays"]})
    return Snapshot(calls, seen, strays["connections"] <= 1 and not stats["in_flight"])


def settled(settings: Settings) -> Snapshot | None:
    """The same once a command's connections are closed, or are taken for somebody else's."""
    deadline = time.monotonic() + _SETTLING
    while (now := snapshot(settings)) and not now.is_quiet and time.monotonic() < deadline:
        time.sleep(0.05)
    return now


def diagnose(before: Snapshot, after: Snapshot) -> Iterator[Finding]:
    """What a command did between two snapshots; the first fault is what keeps its calls from being answered. What
    others ask of the same proxy meanwhile counts for the command's."""
    calls, new = after.calls - before.calls, after.strays - before.strays
    kinds = {kind for kind, _, _ in new}
    if not calls and not kinds:
        yield Finding(
            "proxy",
            "nothing of the command came to the proxy",
            "if it asks a provider, give it the proxy in its own settings: `askonce env` has it",
        )
        return
    yield Finding("proxy")
    yield _trust(new)
    if not calls and kinds == {"untrusted"}:
        return
    if not calls:
        yield _rule(new)
    if unreachable := _of("unreachable", new):
        place, detail = unreachable[0]
        cure = "look at the network; behind a company's proxy, name it in HTTPS_PROXY or in upstream_proxy"
        yield Finding("providers", f"no connection to {place}: {detail}", cure)
    if calls:
        yield Finding("calls", note=", ".join(f"{count} {name}" for name, count in sorted(calls.items())))


def _trust(new: Counter[StraySeen]) -> Finding:
    untrusted = _of("untrusted", new)
    if not untrusted:
        return Finding("trust")
    place, detail = untrusted[0]
    if _EXPIRED in detail:
        cure = "set the clock of the machine that the command runs on"
        return Finding("trust", f"the command takes the certificate for {place} for one of another time", cure)
    fault = f"the command does not trust the proxy's certificate for {place}"
    return Finding("trust", fault, "have it trust `askonce certs path --bundle`")


def _rule(new: Counter[StraySeen]) -> Finding:
    if unmatched := _of("unmatched", new):
        place, asked = unmatched[0]
        return Finding("rules", f"no rule takes {asked} of {place}", "if it is a call, add the path to the host's rule")
    if foreign := _of("foreign", new):
        places = ", ".join(dict.fromkeys(place for place, _ in foreign[:_SHOWN]))
        more = ", …" if len(foreign) > _SHOWN else ""
        return Finding(
            "rules", f"no rule names {places}{more}", "if it is a provider, add a rule that has it in `hosts`"
        )
    if _of("unreachable", new):
        return Finding("rules")
    return Finding("rules", "the command asked Askonce alone", "have it ask a provider")


def _of(kind: str, new: Counter[StraySeen]) -> list[tuple[str, str]]:
    return [(place, detail) for what, place, detail in new if what == kind]
