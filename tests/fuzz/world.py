"""The addon in a mitmproxy of its own, and one call after the other led through its hooks as mitmproxy does.

What every case must show:

* nothing raises out of a hook, and no fault is reported that was not foreseen;
* a hit is served only for a call that is the same by `reference`, or differs in nothing but the last message's text;
* what is not answered reaches the provider byte for byte, and the provider's bytes reach the app;
* what is kept is a whole answer, whatever was cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import random
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import brotli
import orjson
import zstandard

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # mitmproxy and ldap3 find fault with their libraries
    from mitmproxy import flow as flows
    from mitmproxy import http
    from mitmproxy.addons import proxyserver
    from mitmproxy.net import encoding
    from mitmproxy.test import taddons, tflow, tutils

    from askonce.calls.state import Dividing
    from askonce.proxy import responses
    from askonce.proxy.addon import Askonce

from tests.fuzz import corpus, mutate, reference, wrappers
from tests.fuzz.corpus import Sent
from tests.fuzz.reference import Wrong

from askonce.settings import Settings

WIRES = sorted({kind.wire for kind in corpus.KINDS})
_RULE = '{{name: {name}, hosts: [{host}], paths: ["/**"], wire: {wire}, match: {match}, ignore: [$.user]{more}}}'
RULES = "version: 1\ncache: {lookup_deadline: 300s}\nupstreams:\n" + "".join(
    "  - "
    + _RULE.format(
        name=f"{match}-{wire}",
        host=f"{name}.{wire}.example.com",
        wire=wire,
        match=match,
        more=", prompt: $.query" if wire == "generic" else "",
    )
    + "\n"
    for wire in WIRES
    for match, name in (("exact", "exact"), ("semantic", "near"))
)
FORESEEN = ("unreadable ", "completing a batch", "asking for a batch again")
"""Faults that say what a caller or a provider did wrong, and how the call went on."""
DIRECTIVES = ("no-cache", "no-store", "max-age=0", "only-if-cached", "max-age=60, min-fresh=5", ",=,", "max-age=x")
TRAILERS = [("x-checksum", "1"), ("authorization", "Bearer sk-9"), ("cache-control", "no-store")]
"""What a trailer says comes too late to count."""
WRAPPERS = 0.04
"""The share of cases in which no call is made, and a client's own cache is asked."""
CODINGS = {
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
_OWN = ("id", "user", "metadata", "created", "created_at", "completed_at", "responseId", "createTime")


@dataclass
class World:
    askonce: Askonce
    outcomes: Counter[str] = field(default_factory=Counter)
    kept: dict[str, tuple[Sent, Any]] = field(default_factory=dict)
    """By key: what was asked, and the whole answer where that came undamaged."""
    seen: list[Sent] = field(default_factory=list)
    wrapped: dict[str, wrappers.Wrapped] = field(default_factory=dict)

    async def case(self, rng: random.Random) -> None:
        """One call, or one text of a client's own cache. Raises Wrong, or whatever a hook raised."""
        if rng.random() < WRAPPERS:
            self.outcomes[await wrappers.case(self.askonce.runtime.named_stores, self.wrapped, rng)] += 1
            return
        sent, is_same = self._request(rng)
        flow = _flow(sent)
        if rng.random() < 0.05:
            flow.request.trailers = _headers(TRAILERS)
        before = _said(flow.request)
        faults = Counter(self.askonce.runtime.accounting.faults())
        self.askonce.requestheaders(flow)
        await self.askonce.request(flow)
        exchange = self.askonce.exchange(flow)
        if flow.response:
            self.askonce.responseheaders(flow)
            await _over(self.askonce.response(flow))
            self._check_reply(sent, flow.response)
        else:
            asks = exchange.state.body if exchange and isinstance(exchange.state, Dividing) else None
            self._check_sent(sent, before, flow.request, asks)
            if is_same and exchange and not exchange.bypass:
                raise Wrong(f"the same call again was not answered: {exchange.why}")
            await self._answer(sent, flow, rng, partial=asks is not None)
        await self.askonce._work.empty()
        new = Counter(self.askonce.runtime.accounting.faults()) - faults
        if unforeseen := [kind for kind in new if not kind.startswith(FORESEEN)]:
            raise Wrong(f"faults: {unforeseen}")

    async def end(self) -> None:
        """All is checked already, case by case."""

    # Requests

    def _request(self, rng: random.Random) -> tuple[Sent, bool]:
        """A call, and whether it must be answered from the cache."""
        kind = rng.random()
        if self.seen and kind < 0.3:
            sent = _copy(rng.choice(self.seen))
            if kind < 0.1 and self._is_kept(sent):
                self.outcomes["request: rewritten"] += 1
                sent.headers = [pair for pair in sent.headers if pair[0] not in ("cache-control", "content-encoding")]
                sent.body = sent.raw = mutate.rewritten(sent.body, sent.wire, rng)
                return sent, True
        else:
            sent = corpus.request(rng, semantic=rng.random() < 0.25)
        how = rng.choice(
            ("as it is", "reworded", "changed", "changed", "renumbered", "respelt", "bent", "cut", "headers", "coded")
        )
        self.outcomes[f"request: {how}"] += 1
        match how:
            case "reworded":
                sent.body = mutate.reworded(sent.body, corpus.QUESTIONS, rng)
            case "changed":
                sent.body = mutate.changed(sent.body, rng)
            case "renumbered":
                sent.body = mutate.renumbered(sent.body, rng)
            case "respelt":
                sent.body = mutate.respelt(sent.body, rng)
            case "bent":
                sent.body = mutate.bent(sent.body, rng)
            case "cut":
                sent.body = mutate.cut(sent.body, rng)
            case "headers":
                sent.headers.append(
                    rng.choice(
                        (
                            ("cache-control", rng.choice(DIRECTIVES)),
                            ("x-cache-namespace", rng.choice(("a", "b", " a ", ""))),
                            ("authorization", rng.choice(("Bearer sk-3", "", "\udcff"))),
                            ("cookie", rng.choice(("a=b", "c=d"))),
                            ("content-encoding", rng.choice(("gzip", "br", "zstd", "deflate", "x", "gzip, br"))),
                        )
                    )
                )
        sent.raw = sent.body
        if how == "coded":
            name = rng.choice(tuple(CODINGS))
            sent.headers.append(("content-encoding", name))
            sent.raw = CODINGS[name](sent.body)
            if rng.random() < 0.3:
                sent.raw = rng.choice((mutate.cut, mutate.bent))(sent.raw, rng)
                try:
                    sent.body = encoding.decode(sent.raw, name) or b""  # type: ignore[assignment]
                except ValueError:
                    sent.body = b""
        return sent, False

    def _is_kept(self, sent: Sent) -> bool:
        return any(one is sent.asked for one in (kept.asked for kept, whole in self.kept.values() if whole is not None))

    # What was decided

    def _check_sent(self, sent: Sent, before: Any, request: http.Request, asks: bytes | None) -> None:
        after = _said(request)
        if asks is None:
            if after != before:
                raise Wrong(f"the provider gets something else: {before} -> {after}")
            return
        self.outcomes["asked in part"] += 1
        whole, part = orjson.loads(sent.body), orjson.loads(request.raw_content or b"")
        inputs = iter(whole.pop("input"))
        if not all(one in inputs for one in part.pop("input")) or whole != part:
            raise Wrong(f"asked for something else: {sent.body!r} -> {request.raw_content!r}")

    def _check_reply(self, sent: Sent, response: http.Response) -> None:
        if response.status_code == 504:
            self.outcomes["refused"] += 1
            return
        if response.status_code != 200 or "; hit; " not in response.headers["cache-status"]:
            raise Wrong(f"{response.status_code} {response.headers['cache-status']}")
        if sent.wire == "openai-embeddings":
            self.outcomes["hit: embeddings"] += 1
            _check_embeddings(sent, response.content or b"")
            return
        kept, whole = self.kept[response.headers["x-cache-key"]]
        try:
            differs = reference.differences(reference.meant(kept), reference.meant(sent))
        except reference.Unreadable as error:
            raise Wrong(f"a hit for what cannot be read: {sent.body!r}") from error
        if reference.who(kept) != reference.who(sent):
            raise Wrong(f"a hit for somebody else: {reference.who(kept)} -> {reference.who(sent)}")
        exact = "detail=exact" in response.headers["cache-status"]
        self.outcomes[f"hit: {'exact' if exact else 'reworded'}"] += 1
        if exact and differs:
            raise Wrong(f"a wrong hit, it differs in {differs}:\n{kept.body!r}\n{sent.body!r}")
        if wrong := [path for path in differs if not reference.is_prompt(sent, path)]:
            raise Wrong(f"a wrong hit, it differs in {wrong}:\n{kept.body!r}\n{sent.body!r}")
        if whole is not None and response.headers["content-type"].startswith("application/json"):
            told = orjson.loads(response.content or b"")
            differs = reference.differences(_told(whole), _told(told))
            if differs and isinstance(told, dict):  # Gemini's stream may be a list
                raise Wrong(f"another answer than the provider's, it differs in {differs}:\n{whole}\n{told}")

    # What the provider does

    async def _answer(self, sent: Sent, flow: http.HTTPFlow, rng: random.Random, *, partial: bool) -> None:
        exchange = self.askonce.exchange(flow)
        body, content_type, whole, streamed = corpus.answer(sent, flow.request.raw_content if partial else sent.body)
        how = rng.choice(("whole",) * 4 + ("cut", "aborted", "left", "bent", "changed", "status", "coded", "type"))
        if sent.wire == "openai-embeddings" and how in ("bent", "changed"):
            how = "cut"  # a vector that was changed is as good as another
        self.outcomes[f"answer: {how}"] += 1
        status, headers, full = 200, [("content-type", content_type)], body
        match how:
            case "cut" | "aborted":
                body = mutate.cut(body[:-1], rng)
            case "left":
                body = mutate.cut(body, rng)
            case "bent":
                body = mutate.bent(body, rng)
            case "changed" if not streamed:
                body = mutate.changed(body, rng)
            case "changed":
                body = _changed_stream(body, rng)
            case "status":
                status = rng.choice((201, 204, 301, 400, 401, 429, 500, 529))
            case "coded":
                name = rng.choice(tuple(CODINGS))
                headers.append(("content-encoding", name))
                body = CODINGS[name](body)
                if rng.random() < 0.4:
                    body, how = rng.choice((mutate.cut, mutate.bent))(body, rng), "coded badly"
            case "type":
                types = ("text/html", "text/event-stream", "application/json", "\udcff")
                headers = rng.choice(([], [("content-type", rng.choice(types)), ("openai-version", "\udcff")]))
        trailers = _headers(TRAILERS) if rng.random() < 0.05 else None
        flow.response = http.Response(b"HTTP/1.1", status, b"", _headers(headers), None, trailers, 0, 0)
        self.askonce.responseheaders(flow)
        chunks = _chunks(body, rng)
        is_whole = not flow.response.stream
        if is_whole:
            flow.response.raw_content = body
        elif (received := _pass_on(flow.response, chunks)) != body:
            raise Wrong(f"the app gets something else: {body!r} -> {received!r}")
        if how in ("aborted", "left"):
            flow.error = flows.Error("Client disconnected." if how == "left" else "connection closed")
            flow.client_conn.state = flow.client_conn.state.__class__(0 if how == "left" else 3)
            self.askonce.error(flow)
        else:
            if not is_whole and callable(flow.response.stream):
                flow.response.stream(b"")
            await _over(self.askonce.response(flow))
        await self.askonce._work.empty()
        if exchange is None or exchange.identity is None:
            return
        if partial and how == "whole":
            _check_embeddings(sent, flow.response.content or b"")
        entry = None if exchange.batch else await self.askonce.runtime.cache.get(exchange.identity.key)
        if entry is None or entry.created < self.began:
            return
        self.began = entry.created + 1e-9
        self.outcomes["kept"] += 1
        if not 200 <= status < 300 or how == "aborted":
            raise Wrong(f"{how} {status} was kept")
        undamaged = how in ("whole", "coded", "status", "cut", "left")
        if undamaged and exchange.call:
            complete = exchange.rule.wire.assemble(full, content_type, exchange.call)
            if _value(entry.answer.body) != _value(complete.body):
                raise Wrong(f"half an answer was kept ({how}):\n{body!r}\n{entry.answer.body!r}")
            if whole is not None and not streamed and _value(entry.answer.body) != _told(whole):
                raise Wrong(f"another answer was kept ({how}):\n{whole}\n{entry.answer.body!r}")
        self.kept[entry.key] = _copy(sent), whole if undamaged and not streamed else None
        self.seen.append(_copy(sent))

    began: float = 0.0


def _value(body: bytes) -> Any:
    try:
        return _told(orjson.loads(body))
    except ValueError:
        return body


def _told(value: Any) -> Any:
    """Without what each answer has afresh, and without nulls, which streams leave out."""
    if isinstance(value, dict):
        return {key: _told(item) for key, item in value.items() if item is not None and key not in _OWN}
    return [_told(item) for item in value] if isinstance(value, list) else value


def _check_embeddings(sent: Sent, body: bytes) -> None:
    expected, *_ = corpus.answer(sent, sent.body)
    if (told := orjson.loads(body)["data"]) != orjson.loads(expected)["data"]:
        raise Wrong(f"other embeddings than the provider's: {sent.body!r}\n{told}\n{expected!r}")


def _copy(sent: Sent) -> Sent:
    return Sent(
        sent.wire, sent.host, sent.path, sent.query, list(sent.headers), sent.body, sent.raw, sent.form, sent.asked
    )


def _headers(pairs: list[tuple[str, str]]) -> http.Headers:
    return http.Headers([(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in pairs])


def _flow(sent: Sent) -> http.HTTPFlow:
    path = f"{sent.path}?{sent.query}" if sent.query else sent.path
    request = tutils.treq(
        method=b"POST",
        scheme=b"https",
        host=sent.host,
        port=443,
        path=path.encode(),
        authority=b"",
        headers=_headers([("host", sent.host), *sent.headers, ("content-length", str(len(sent.raw)))]),
        content=sent.raw,
    )
    flow = tflow.tflow(req=request)
    flow.client_conn.sni = sent.host
    flow.client_conn.sockname = ("127.0.0.1", 8080)
    return flow


def _said(request: http.Request) -> Any:
    """A request as the provider would get it, without what is Askonce's own."""
    ours = (b"cache-control", b"x-cache-namespace")
    fields = [(name, value) for name, value in request.headers.fields if name.lower() not in ours]
    return request.method, request.scheme, request.host, request.port, request.path, fields, request.raw_content


def _chunks(body: bytes, rng: random.Random) -> list[bytes]:
    match rng.randrange(3):
        case 0:
            return [body]
        case 1 if len(body) < 2000:
            return [body[at : at + 1] for at in range(len(body))]
    cuts = sorted(rng.randrange(len(body) + 1) for _ in range(rng.randrange(6)))
    return [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]


def _pass_on(response: http.Response, chunks: list[bytes]) -> bytes:
    received = b""
    for chunk in chunks:
        passed: Any = response.stream(chunk) if callable(response.stream) else chunk
        received += passed if isinstance(passed, bytes) else b"".join(passed)
    return received


async def _over(hook: Awaitable[None] | None) -> None:
    if hook is not None:
        await hook


def _changed_stream(body: bytes, rng: random.Random) -> bytes:
    """One event's object changed."""
    lines = body.split(b"\n")
    at = rng.choice([index for index, line in enumerate(lines) if b"{" in line] or [0])
    before, brace, event = lines[at].partition(b"{")
    with contextlib.suppress(ValueError):
        lines[at] = before + mutate.changed(brace + event, rng)
    return b"\n".join(lines)


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """A proxy with an empty cache in `folder`."""
    (folder / "rules.yaml").write_text(RULES)
    askonce = Askonce(
        Settings("127.0.0.1", 8080, rules=folder / "rules.yaml", data=folder / "data", certs=folder / "certs")
    )
    waited, responses.AFTER_LAST_BYTE = responses.AFTER_LAST_BYTE, 0.0
    try:
        with taddons.context(proxyserver.Proxyserver(), askonce):
            await askonce.runtime.cache.ready()
            yield World(askonce)
            await askonce.runtime.close()
    finally:
        responses.AFTER_LAST_BYTE = waited
        await asyncio.sleep(0)
