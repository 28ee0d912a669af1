"""The hooks, each with what mitmproxy gives it: whose call it is, what is touched, and above all what is not."""

import asyncio
import collections
import gzip
import json
import random
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import brotli
import pytest
import zstandard
from mitmproxy import connection, ctx, exceptions, http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.flow import Error
from mitmproxy.test import taddons, tflow, tutils
from tests.support.waiting import PATIENCE, Followed

from askonce.proxy.addon import Askonce
from askonce.rules import ConfigError
from askonce.settings import Settings

if TYPE_CHECKING:
    from tests.unit.proxy.conftest import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS = (
    ("Cache-Control", "max-age=60"),
    ("X-Cache-Namespace", "a"),
    ("X-LLM-Proxy-Upstream", "b"),
    ("X-Cachecore-Deps", "c"),
    ("X-Askonce-Depends", "doc:17@v3"),
)


def status_of(response: http.Response) -> str:
    return response.headers["cache-status"]


def untouched(bench: "Bench", flow: http.HTTPFlow) -> None:
    """The flow passes as if Askonce were not there."""
    before = flow.request.copy()
    assert flow.response is None
    sent = bench.answer(flow, b"a", b"b", headers=[("x-theirs", "1"), ("cache-control", "no-cache")])
    assert sent == [b"a", b"b", b""]  # no callable in the way
    assert flow.response
    assert flow.response.stream is True
    assert flow.response.headers.fields == ((b"x-theirs", b"1"), (b"cache-control", b"no-cache"))
    assert flow.request.headers == before.headers
    assert (flow.request.url, flow.request.stream) == (before.url, True)
    assert bench.calls == 0


# Hit, miss, bypass, error


async def test_a_miss_passes_and_the_next_one_is_a_hit(bench: "Bench") -> None:
    miss = await bench.call(bench.flow())
    assert status_of(miss) == "askonce; fwd=miss; stored"
    hit = await bench.call(bench.flow())
    assert re.fullmatch(r"askonce; hit; ttl=\d+; detail=exact", status_of(hit))
    assert hit.http_version == "HTTP/1.1"
    assert (hit.status_code, hit.reason, hit.headers["content-type"]) == (200, "OK", "application/json")
    assert int(hit.headers["content-length"]) == len(hit.raw_content or b"")
    assert json.loads(hit.content or b"")["choices"][0]["message"]["content"] == "Paris."
    reworded = await bench.call(bench.flow("Tell me what the capital of France is."))
    assert status_of(reworded).endswith("detail=semantic")


async def test_a_response_made_here_is_one_to_mitmproxy(bench: "Bench") -> None:
    await bench.call(bench.flow())
    hit = bench.flow()
    await bench.call(hit)
    assert hit.response
    copied = http.HTTPFlow.from_state(hit.get_state()).response  # what saving and mitmweb need
    assert copied
    assert copied.content == hit.response.content
    assert copied.headers == hit.response.headers
    assert copied.timestamp_end


async def test_what_is_meant_for_askonce_goes_no_further(bench: "Bench") -> None:
    asked = await bench.enter(bench.flow(headers=[*OURS, ("X-Theirs", "1")]))
    assert asked.response is None
    assert set(asked.request.headers.keys()) == {"host", "authorization", "X-Theirs"}
    assert asked.request.headers["authorization"].startswith("Bearer sk-")


async def test_a_bypass_is_neither_answered_nor_recorded(bench: "Bench") -> None:
    for _ in range(2):
        passed = bench.flow(headers=[("cache-control", "no-store")])
        response = await bench.call(passed)
        assert status_of(response) == "askonce; fwd=bypass; detail=no-store"
        assert response.stream is True
        assert "cache-control" not in passed.request.headers
    assert "stored" not in bench.counted


async def test_only_if_cached(bench: "Bench") -> None:
    response = await bench.call(bench.flow(headers=[("cache-control", "only-if-cached")]))
    assert (response.status_code, response.reason) == (504, "Gateway Timeout")
    assert status_of(response) == "askonce; fwd=miss; detail=only-if-cached"


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"messages": "hi"}', b"\xff\xfe"])
async def test_what_cannot_be_read_passes_byte_for_byte(bench: "Bench", content: bytes) -> None:
    asked = bench.flow(content=content)
    response = await bench.call(asked)
    assert status_of(response) == "askonce; fwd=bypass; detail=unreadable"
    assert asked.request.raw_content == content
    assert response.stream is True


@pytest.mark.parametrize("status", [301, 400, 401, 429, 500, 503])
async def test_an_error_passes_and_is_not_recorded(bench: "Bench", status: int) -> None:
    asked = await bench.enter(bench.flow())
    assert bench.answer(asked, b"no", status=status) == [b"no", b""]
    assert asked.response
    assert asked.response.stream is True
    assert status_of(asked.response) == "askonce; fwd=miss"
    assert (await bench.enter(bench.flow())).response is None


async def test_a_broken_connection_is_counted_and_nothing_kept(bench: "Bench") -> None:
    asked = await bench.enter(bench.flow())
    asked.error = Error("server disconnected")
    bench.askonce.error(asked)
    assert bench.counted == {"calls": 1, "failed": 1}
    assert (await bench.enter(bench.flow())).response is None


async def test_an_aborted_answer_is_not_kept(bench: "Bench") -> None:
    asked = await bench.enter(bench.flow())
    asked.response = tutils.tresp(headers=http.Headers([(b"content-type", b"application/json")]), content=None)
    bench.askonce.responseheaders(asked)
    asked.error = Error("peer closed connection")
    bench.askonce.error(asked)
    await bench.until(1)
    assert (await bench.enter(bench.flow())).response is None


@pytest.mark.parametrize(("body", "kept"), [(json.dumps({}).encode(), False), (None, True)])
async def test_a_client_that_hangs_up_at_the_end_mark_loses_nothing(
    bench: "Bench", body: bytes | None, kept: bool
) -> None:
    asked = await bench.enter(bench.flow())
    asked.response = tutils.tresp(headers=http.Headers([(b"content-type", b"application/json")]), content=None)
    bench.askonce.responseheaders(asked)
    assert callable(asked.response.stream)
    asked.response.stream(body or json.dumps(PARIS).encode())
    asked.error = Error("stream reset by client (CANCEL)")
    bench.askonce.error(asked)
    await bench.until(1)
    assert bool((await bench.enter(bench.flow())).response) is kept


@pytest.mark.parametrize("message", ["Client disconnected.", "stream reset by client (CANCEL)"])
async def test_when_the_client_of_the_first_leaves_one_other_goes_on(
    bench: "Bench", message: str, followed: Followed
) -> None:
    first = await bench.enter(bench.flow())
    others = [asyncio.ensure_future(bench.enter(bench.flow())) for _ in range(2)]
    await followed(2)
    first.error = Error(message)
    if "client (" not in message:
        first.client_conn.state = connection.ConnectionState.CLOSED
    bench.askonce.error(first)
    done, waiting = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
    assert (len(done), len(waiting)) == (1, 1)
    bench.answer(done.pop().result(), json.dumps({**PARIS}).encode())
    assert (await waiting.pop()).response


async def test_when_the_provider_fails_the_first_all_others_go_on(bench: "Bench", followed: Followed) -> None:
    first = await bench.enter(bench.flow())
    others = [asyncio.ensure_future(bench.enter(bench.flow())) for _ in range(3)]
    await followed(3)
    first.error = Error("Connect call failed")
    bench.askonce.error(first)
    assert [one.response for one in await asyncio.wait_for(asyncio.gather(*others), PATIENCE)] == [None] * 3


PARIS = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}],
    "model": "gpt",
}


# Hook guards


async def test_what_another_addon_has_answered_is_left_alone(bench: "Bench") -> None:
    await bench.call(bench.flow())
    answered = bench.flow()
    answered.response = theirs = tutils.tresp()
    await bench.enter(answered)
    assert answered.response is theirs


async def test_a_flow_with_an_error_is_left_alone(bench: "Bench") -> None:
    await bench.call(bench.flow())
    failed = bench.flow()
    failed.error = Error("invalid")
    assert (await bench.enter(failed)).response is None


async def test_a_header_that_a_signature_covers_reaches_the_provider(bench: "Bench") -> None:
    flow = bench.flow(headers=[("cache-control", "no-cache"), ("x-cache-namespace", "a")])
    signature = "AWS4-HMAC-SHA256 Credential=A, SignedHeaders=cache-control;host, Signature=1"
    flow.request.headers["authorization"] = signature
    await bench.enter(flow)
    assert flow.response is None
    assert flow.request.headers["cache-control"] == "no-cache"
    assert "x-cache-namespace" not in flow.request.headers


async def test_a_replayed_flow_goes_to_the_provider(bench: "Bench") -> None:
    await bench.call(bench.flow())
    again = bench.flow()
    again.is_replay = "request"
    await bench.enter(again)
    assert again.response is None
    assert bench.answer(again, b"x") == [b"x", b""]
    assert bench.calls == 1


async def test_hooks_of_a_flow_that_was_never_seen_do_nothing(bench: "Bench") -> None:
    unseen = bench.flow()
    await bench.askonce.request(unseen)
    unseen.response = tutils.tresp()
    bench.askonce.responseheaders(unseen)
    assert unseen.response.stream is False
    bench.askonce.response(unseen)
    bench.askonce.error(unseen)
    assert bench.calls == 0


async def test_a_change_of_protocol_is_not_streamed(bench: "Bench") -> None:
    upgrade = await bench.enter(bench.flow(host="foreign.example", scheme="http", port=80, method="GET"))
    upgrade.response = tutils.tresp(status_code=101, content=None)
    bench.askonce.responseheaders(upgrade)
    assert upgrade.response.stream is False


# What streams


async def test_the_tee_passes_every_byte_and_never_sends_an_empty_chunk(bench: "Bench") -> None:
    asked = await bench.enter(bench.flow())
    body = json.dumps(PARIS).encode()
    cuts = sorted(random.Random(1).choices(range(len(body)), k=9))  # some pieces are empty
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert b"" in [*pieces, body[3:3]]
    sent = bench.answer(asked, pieces[0], b"", *pieces[1:])
    assert b"" not in sent
    assert b"".join(sent) == body
    await bench.until(1)
    assert (await bench.enter(bench.flow())).response


async def test_a_stream_past_the_limit_passes_and_is_not_kept(bench: "Bench") -> None:
    asked = await bench.enter(bench.flow(host="small.example.com"))
    chunk = b"x" * 1000
    assert bench.answer(asked, *[chunk] * 5) == [chunk] * 5
    await bench.until(1)
    assert bench.counted == {"calls": 1}


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("br", brotli.compress),
        ("zstd", zstandard.compress),
        ("gzip, br", lambda data: brotli.compress(gzip.compress(data))),
        ("Identity", bytes),
    ],
)
async def test_an_encoded_answer_passes_as_it_is_and_is_kept_decoded(
    bench: "Bench", coding: str, encode: Callable[[bytes], bytes]
) -> None:
    asked = await bench.enter(bench.flow())
    body = encode(json.dumps(PARIS).encode())
    headers = [("content-type", "application/json"), ("content-encoding", coding)]
    assert b"".join(bench.answer(asked, body, headers=headers)) == body
    await bench.until(1)
    hit = await bench.call(bench.flow())
    assert "content-encoding" not in hit.headers
    assert json.loads(hit.raw_content or b"")["choices"] == PARIS["choices"]


@pytest.mark.parametrize(("coding", "body"), [("gzip", b"not gzip"), ("compress", b"{}"), ("gzip", b"")])
async def test_an_answer_that_does_not_decode_passes_and_is_not_kept(bench: "Bench", coding: str, body: bytes) -> None:
    asked = await bench.enter(bench.flow())
    sent = bench.answer(asked, body, headers=[("content-type", "application/json"), ("content-encoding", coding)])
    assert b"".join(sent) == body
    await bench.until(1)
    assert bench.counted == {"calls": 1}


@pytest.mark.parametrize(
    ("coding", "encode"), [("gzip", gzip.compress), ("br", brotli.compress), ("zstd", zstandard.compress)]
)
async def test_an_encoded_request_is_read_and_passes_as_it_is(
    bench: "Bench", coding: str, encode: Callable[[bytes], bytes]
) -> None:
    await bench.call(bench.flow())
    content = encode(bench.flow().request.content or b"")
    asked = bench.flow(content=content, headers=[("content-encoding", coding)])
    await bench.enter(asked)
    assert asked.response  # the same call
    assert asked.request.raw_content == content


async def test_a_request_that_does_not_decode_passes_as_it_is(bench: "Bench") -> None:
    asked = await bench.enter(bench.flow(content=b"not gzip", headers=[("content-encoding", "gzip")]))
    assert asked.response is None
    assert asked.request.raw_content == b"not gzip"


# Whose call it is


@pytest.mark.parametrize(
    "foreign",
    [
        {"host": "foreign.example", "scheme": "http", "port": 80},
        {"host": "foreign.example", "scheme": "http", "port": 80, "path": "/v1/cache/stats", "method": "GET"},
        {"path": "/v1/models"},
        {"path": "/v1/chat/completions/more"},
        {"method": "GET"},
        {"method": "DELETE"},
        {"port": 8443},
        {"scheme": "http", "port": 80},
        {"host_header": "evil.example"},
        {"host_header": "askonce.internal"},
        {"host": "evil.example", "sni": "evil.example", "host_header": "api.example.com"},
        {"sni": "evil.example"},
        {"host": "evil.example", "sni": "api.example.com", "host_header": "api.example.com"},
        {"host": "askonce.internal", "sni": "evil.example"},
        {"host": "10.0.0.1", "sni": "evil.example", "host_header": "api.example.com"},
        {"host": "10.0.0.1", "sni": None, "host_header": "api.example.com"},
        {"host": "127.0.0.1", "port": 9999, "scheme": "http", "path": "/health", "method": "GET"},
        {"host": "cachebox", "port": 80, "scheme": "http", "path": "/health", "method": "GET"},
    ],
)
async def test_what_is_not_ours_is_not_touched(bench: "Bench", foreign: dict[str, Any]) -> None:
    asked = bench.flow(**foreign, headers=OURS)
    await bench.enter(asked)
    untouched(bench, asked)


async def test_what_is_too_large_to_hold_passes(bench: "Bench") -> None:
    elsewhere = bench.flow(host="foreign.example", headers=[("content-length", str(100 << 20))])
    await bench.enter(elsewhere)
    untouched(bench, elsewhere)
    asked = bench.flow(host="api.example.com", headers=[("content-length", str(100 << 20))])
    await bench.enter(asked)
    assert bench.answer(asked, b"a", b"b") == [b"a", b"b", b""]
    assert asked.response
    assert (asked.request.stream, status_of(asked.response)) == (True, "askonce; fwd=bypass; detail=large")


async def test_what_is_too_large_for_management_is_refused(bench: "Bench") -> None:
    asked = bench.flow(host="askonce.internal", headers=[("content-length", str(100 << 20))])
    asked.live = True
    bench.askonce.requestheaders(asked)
    assert asked.response
    assert (asked.response.status_code, asked.request.stream) == (413, False)
    bench.askonce.error(asked)


@pytest.mark.parametrize(
    "ours",
    [
        {},
        {"host_header": "api.example.com:443"},
        {"host_header": "API.example.com"},
        {"host": "API.Example.com", "sni": "api.example.com"},
        {"host": "a.b.wild.example.com"},
        {"host": "10.0.0.1", "sni": "api.example.com", "host_header": "api.example.com"},
        {"scheme": "http", "port": 8000},
        {"path": "/v1/chat/completions?api-version=1"},
    ],
)
async def test_a_rule_is_found_by_the_name_that_tls_verifies(bench: "Bench", ours: dict[str, Any]) -> None:
    assert status_of(await bench.call(bench.flow(**ours))) == "askonce; fwd=miss; stored"


async def test_misses_of_a_rule_with_an_upstream_go_there(bench: "Bench") -> None:
    asked = bench.flow(host="house.example.com")
    await bench.call(asked)
    assert asked.request.url == "http://10.0.0.5:8000/v1/chat/completions"
    assert asked.request.host_header == "10.0.0.5:8000"
    again = bench.flow(host="house.example.com")
    assert "; hit;" in status_of(await bench.call(again))
    assert again.request.host == "house.example.com"


# Management


@pytest.mark.parametrize(
    "place",
    [
        {"host": "askonce.internal", "scheme": "http", "port": 80},
        {"host": "askonce.internal"},
        {"host": "127.0.0.1", "scheme": "http", "port": 8080, "host_header": "127.0.0.1:8080"},
        {"host": "localhost", "scheme": "http", "port": 8080, "host_header": "localhost:8080"},
        {"host": "cachebox", "scheme": "http", "port": 8080, "host_header": "cachebox:8080"},
    ],
)
async def test_management_answers_at_its_own_addresses(bench: "Bench", place: dict[str, Any]) -> None:
    asked = bench.flow(**place, method="GET", path="/health/live", content=b"")
    await bench.enter(asked)
    assert asked.response
    assert (asked.response.status_code, asked.response.json()["status"]) == (200, "alive")
    bench.askonce.responseheaders(asked)
    assert asked.response.stream is False
    bench.askonce.response(asked)
    assert bench.calls == 0


async def test_a_management_path_is_decoded_once(bench: "Bench") -> None:
    def ask(path: str) -> http.HTTPFlow:
        return bench.flow(host="askonce.internal", method="GET", path=path, content=b"")

    once, twice = await bench.enter(ask("/v1/cache/a%2Fb")), await bench.enter(ask("/v1/cache/a%252Fb"))
    assert once.response
    assert twice.response
    assert once.response.json()["error"].startswith("There is nothing at /v1/cache/a/b;")
    assert twice.response.json() == {"error": "Entry not found"}


async def test_management_is_told_who_asks_and_what(bench: "Bench") -> None:
    refused = await bench.enter(
        bench.flow(
            host="askonce.internal", path="/v1/reload", content=b"", headers=[("origin", "https://evil.example")]
        )
    )
    assert refused.response
    assert refused.response.status_code == 403
    reloaded = await bench.enter(bench.flow(host="askonce.internal", path="/v1/reload", content=b""))
    assert reloaded.response
    assert (reloaded.response.status_code, reloaded.response.json()) == (200, {"message": "Rules reloaded"})


# Life of the process


@pytest.mark.parametrize("text", ["version: 1\nupstreams: []\n", "{"])
async def test_rules_that_cannot_be_used_stop_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    settings = Settings("127.0.0.1", 8080, rules=tmp_path / "rules.yaml", data=tmp_path / "d", certs=tmp_path / "c")
    with pytest.raises(exceptions.OptionsError, match=r"rules\.yaml:[12]: "), taddons.context(Askonce(settings)):
        pass


async def test_mitmproxy_is_told_which_hosts_to_decrypt(own_bench: "Bench") -> None:
    askonce = own_bench.askonce
    rules = askonce.runtime.settings.rules
    await askonce.running()
    assert ctx.options.connection_strategy == "lazy"

    def decrypted(place: str) -> bool:
        return any(re.search(pattern, place) for pattern in ctx.options.allow_hosts)

    assert decrypted("api.example.com:443")
    assert decrypted("askonce.internal:443")
    assert not decrypted("foreign.example:443")
    rules.write_text(rules.read_text().replace("house.example.com", "foreign.example"))
    await askonce.reload()
    assert decrypted("foreign.example:443")
    assert not decrypted("house.example.com:443")
    rules.write_text("version: 1\n")
    with pytest.raises(ConfigError):
        await askonce.reload()
    assert decrypted("foreign.example:443")


async def test_a_stop_waits_for_calls_that_are_under_way_and_keeps_their_answers(own_bench: "Bench") -> None:
    asked = await own_bench.enter(own_bench.flow())
    done = asyncio.ensure_future(own_bench.askonce.done())
    await asyncio.sleep(0.05)
    assert not done.done()
    assert own_bench.askonce.runtime.not_ready == "stopping"
    assert ctx.options.server is False
    own_bench.answer(asked, json.dumps(PARIS).encode())
    await asyncio.wait_for(done, PATIENCE)
    assert own_bench.counted == {"calls": 1, "stored": 1}
    own_bench.askonce.error(asked)  # mitmproxy closes its connections after this; a hook that comes then is harmless


async def test_one_client_may_use_many_upstream_connections() -> None:
    """mitmproxy's own limit of five makes the sixth stream of an HTTP/2 client wait until another ends."""

    limits = collections.defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(5))
    server, client, handler = Proxyserver(), tflow.tclient_conn(), types.SimpleNamespace(max_conns=limits)
    with taddons.context(server):
        server.connections[client.id] = handler  # type: ignore[assignment]
        Askonce().client_connected(client)
        Askonce().client_connected(tflow.tclient_conn())  # one that is gone already
    assert limits["upstream"]._value == 100
