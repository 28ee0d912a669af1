"""The same calls to a proxy with the fast lane and to one without it: clients and provider must get the same bytes, and
the same must be kept.

Ids and times are each reply's own; of everything else, nothing may differ.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from tests.fuzz import corpus
from tests.fuzz.corpus import Sent
from tests.fuzz.reference import Wrong
from tests.fuzz.world import RULES, World, _copy
from tests.support.live import Live, Provider, Tunnel, live, provider

__all__ = ["Lanes", "lanes"]

_VARIES = re.compile(
    rb"[A-Za-z0-9]{22,}|\d{4}-\d\d-\d\dT[\d:.]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<!\d)1[78]\d{8}(?!\d)"
    rb"|(?<=1\.1 askonce-)[0-9a-f]+|(?<=age: )\d+|(?<=ttl=)\d+"
    rb'|(?<="obfuscation":")\w+'
)
_ENDS = (b"connection: close", b"content-length: x", b"transfer-encoding: gzip", b"x y: z")
_MORE = (b"connection: keep-alive", b"expect: 100-continue", b"te: trailers", b"x-note: caf\xc3\xa9", b"via: 1.1 x")


@dataclass
class _Side:
    """One of the two proxies, and its client's connections."""

    proxy: Live
    tunnels: dict[str, Tunnel] = field(default_factory=dict)

    async def ask(self, host: str, pieces: list[bytes], responses: int) -> list[bytes]:
        """What is told of a request that is sent in pieces."""
        self.proxy.use()
        tunnel = self.tunnels.get(host)
        if tunnel is None:
            tunnel = self.tunnels[host] = Tunnel(*await asyncio.open_connection("127.0.0.1", self.proxy.port))
            await tunnel.begin(host, self.proxy.ca)
        told = []
        try:
            for piece in pieces:
                tunnel.send(piece)
                await asyncio.sleep(0)
            for _ in range(responses):
                told.append(await tunnel.next())
                if told[-1].startswith(b"HTTP/1.1 100 "):
                    told.append(await tunnel.next())
                if b"\r\nconnection: close\r\n" in told[-1].lower():
                    raise EOFError
        except (EOFError, OSError):
            told.append(b"closed")
            self.close(host)
        await self.proxy.settled()
        return [_VARIES.sub(b"~", text) for text in told]

    def close(self, host: str) -> None:
        self.tunnels.pop(host).writer.close()

    async def kept(self) -> list[Any]:
        entries = await self.proxy.askonce.runtime.cache.list(limit=100_000)
        return sorted((one.key, one.prompt, _VARIES.sub(b"~", one.answer.body), one.answer.headers) for one in entries)

    def counted(self) -> Counter[Any]:
        accounting = self.proxy.askonce.runtime.accounting
        calls = [one for _, _, one in accounting.after(accounting.recorded - 2_000, 2_000)]
        return Counter((one.outcome, one.detail, one.status, one.upstream, one.stored, one.forwarded) for one in calls)


class _Crashed(logging.Handler):
    """Hears what mitmproxy says of its own mistakes, after which a connection hangs."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said = list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@dataclass
class Lanes:
    """Both, and the provider behind them."""

    upstream: Provider
    fast: _Side
    other: _Side
    made: World
    crashed: _Crashed
    outcomes: Counter[str] = field(default_factory=Counter)
    _sent: Sent | None = None
    _said: dict[bytes, list[bytes]] = field(default_factory=dict)
    """What the provider has answered in this case, by the body that it was asked with: the same to both."""
    _chance: random.Random = field(default_factory=random.Random)

    def answer(self, asked: bytes) -> list[bytes]:
        assert self._sent
        body = asked.partition(b"\r\n\r\n")[2]
        if body not in self._said:
            said, kind, *_ = corpus.answer(self._sent, body)
            status = b"500 Internal Server Error" if b"an error" in asked else b"200 OK"
            head = b"HTTP/1.1 %s\r\ncontent-type: %s\r\n" % (status, kind.encode())
            self._said[body] = _sent_in_pieces(head, said, self._chance)
        return self._said[body]

    async def case(self, rng: random.Random) -> None:
        """One request, or two behind one another. Raises Wrong where the lanes differ."""
        sent = self._request(rng)
        if sent.raw == sent.body and _is_json(sent.body):
            self.made.seen = [*self.made.seen[-200:], sent]
        self._sent, self._chance = sent, random.Random(rng.random())
        self._said.clear()
        text, ends = _written(sent, rng)
        responses = 1
        if rng.random() < 0.1:
            text, responses = text * 2, 2
        # What comes after an end has the system throw away what was said before it.
        pieces = [text] if ends else _pieces(text, rng)
        before = self.fast.proxy.answered
        told = []
        for side in (self.fast, self.other):
            self.upstream.requests.clear()
            heard = await side.ask(sent.host, pieces, responses)
            told.append((heard, [_VARIES.sub(b"~", one) for one in self.upstream.requests]))
        if told[0] != told[1]:
            raise Wrong(f"the lanes differ for {pieces!r}:\n{told[0]}\n{told[1]}")
        if self.crashed.said:
            raise Wrong(f"mitmproxy has crashed for {pieces!r}: {self.crashed.said.pop()}")
        self.outcomes["fast" if self.fast.proxy.answered > before else "the longer way"] += 1

    def _request(self, rng: random.Random) -> Sent:
        """A call, every other time one that was made before."""
        while True:
            seen = self.made.seen
            sent = _copy(rng.choice(seen)) if seen and rng.random() < 0.5 else self.made._request(rng)[0]
            if not _names_twice(sent.body):
                return sent

    async def end(self) -> None:
        """Raises Wrong where another thing was kept or counted, in the last calls."""
        for fast, other in itertools.zip_longest(await self.fast.kept(), await self.other.kept()):
            if fast != other:
                raise Wrong(f"what is kept differs:\n{fast}\n{other}")
        if self.fast.counted() != self.other.counted():
            raise Wrong(f"counted otherwise: {self.fast.counted() - self.other.counted()}")
        if self.fast.proxy.askonce.runtime.accounting.faults() != self.other.proxy.askonce.runtime.accounting.faults():
            raise Wrong("other faults")


def _is_json(body: bytes) -> bool:
    try:
        return isinstance(orjson.loads(body), dict)
    except ValueError:
        return False


def _names_twice(body: bytes) -> bool:
    """Whether a batch names one text several times, for each of which the provider has another answer: which of them is
    kept is chance."""
    try:
        several = orjson.loads(body)["input"]
        return isinstance(several, list) and len({orjson.dumps(one) for one in several}) < len(several)
    except (ValueError, TypeError, KeyError):
        return False


def _written(sent: Sent, rng: random.Random) -> tuple[bytes, bool]:
    """A request in the bytes of HTTP/1.1, and whether it ends the connection."""
    path = f"{sent.path}?{sent.query}" if sent.query else sent.path
    lines = [f"POST {path} HTTP/1.1".encode(), b"Host: " + sent.host.encode()]
    lines += [name.encode() + b": " + value.encode("utf-8", "surrogateescape") for name, value in sent.headers]
    kind = rng.random()
    if kind < 0.1:
        lines.append(rng.choice(_MORE))
    elif kind < 0.12:
        lines.append(rng.choice(_ENDS))
    elif kind < 0.13:
        lines[0] = rng.choice((b"GET / HTTP/1.1", b"POST / HTTP/1.0", b"POST /\xff HTTP/1.1", b"post / HTTP/1.1", b"x"))
    body = sent.raw
    if rng.random() < 0.25:
        lines.append(b"Transfer-Encoding: chunked")
        body = _chunks(body, 100, b"0\r\n\r\n" if rng.random() < 0.9 else b"0\r\nx-sum: 1\r\n\r\n")
    else:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body, 0.1 <= kind < 0.13


def _sent_in_pieces(head: bytes, body: bytes, rng: random.Random) -> list[bytes]:
    """A provider's response in the pieces that it sends, an empty one where it ends the connection."""
    kind, ends = rng.random(), False
    if kind < 0.03:
        head = rng.choice((b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n")) + head
    elif kind < 0.06:
        head, ends = head + b"connection: close\r\n", True
    if rng.random() < 0.5:
        text = head + b"content-length: %d\r\n\r\n" % len(body) + body
    elif ends and rng.random() < 0.3:
        text = head + b"\r\n" + body
    else:
        last = b"0\r\nx-sum: 1\r\n\r\n" if rng.random() < 0.05 else b"0\r\n\r\n"
        text = head + b"transfer-encoding: chunked\r\n\r\n" + _chunks(body, rng.choice((7, 100, 5000)), last)
    if rng.random() < 0.03:  # cut off, or no HTTP any more
        at = rng.randrange(len(text))
        text, ends = text[:at] + rng.choice((b"", b"?\r\n?" + text[at:])), True
    cuts = sorted({rng.randrange(len(text) + 1) for _ in range(rng.choice((0, 1, 4, 20)))})
    pieces = [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]
    return [piece for piece in pieces if piece] + [b""] * ends


def _chunks(body: bytes, size: int, end: bytes) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + end


def _pieces(text: bytes, rng: random.Random) -> list[bytes]:
    # Not within the method: of a tunnel's first bytes mitmproxy takes what has no space for another protocol.
    cuts = sorted({rng.randrange(8, len(text)) for _ in range(rng.choice((0, 0, 1, 1, 4)))})
    return [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]


@contextlib.asynccontextmanager
async def lanes(folder: Path) -> AsyncIterator[Lanes]:
    """Two proxies with empty caches in `folder`."""
    found: list[Lanes] = []
    crashed = _Crashed()
    logging.getLogger("mitmproxy").addHandler(crashed)
    async with provider(lambda asked: found[0].answer(asked)) as upstream:
        rules = RULES.replace("ignore: [", f'upstream: "http://127.0.0.1:{upstream.port}", audit: 0, ignore: [')
        async with live(folder / "fast", rules) as fast, live(folder / "other", rules, lane=False) as other:
            found.append(Lanes(upstream, _Side(fast), _Side(other), World(fast.askonce), crashed))
            yield found[0]
            logging.getLogger("mitmproxy").removeHandler(crashed)
            for side in (found[0].fast, found[0].other):
                for host in list(side.tunnels):
                    side.close(host)
