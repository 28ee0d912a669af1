"""What the gate tells and sends on, with flows of its own; over sockets it is tried in tests/e2e/test_network.py."""

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from askonce.network import peers
from askonce.network.peers import Refused

if TYPE_CHECKING:
    from tests.unit.proxy.conftest import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")

WILD = "a.wild.example.com"
SELF = {"host": "127.0.0.1", "scheme": "http", "port": 8080, "host_header": "127.0.0.1:8080"}


async def test_a_product_s_destination_is_checked_again_where_it_is_connected_to(
    bench: "Bench", monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    peers.watch(loop)
    answers = ["93.184.216.34", "127.0.0.1"]  # public where it is checked, and then not

    async def resolve(_host: str, port: int, **_more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port))]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    asked = bench.flow(
        **SELF,
        headers=[
            ("content-type", "application/json"),
            ("x-llm-proxy-upstream", f"https://{WILD}/v1/chat/completions"),
        ],
    )
    await bench.enter(asked)
    assert (asked.response, asked.request.host, asked.request.port) == (None, WILD, 443)
    bench.askonce.runtime.peers.connecting(asked.client_conn, (WILD, 443))
    try:
        with pytest.raises(Refused, match="it leads to a private address"):
            await asyncio.open_connection(WILD, 443)
    finally:
        bench.askonce.runtime.peers.connected()
    assert answers == []
    bench.answer(asked, b"{}", status=500)


async def test_a_provider_over_tls_gets_nothing_that_its_caller_did_not_send(bench: "Bench") -> None:
    asked = bench.flow(headers=[("Proxy-Authorization", "Basic eDp5"), ("Via", "1.1 app")])
    await bench.enter(asked)
    assert sorted(name.lower() for name in asked.request.headers) == ["authorization", "host", "via"]
    assert asked.request.headers["via"] == "1.1 app"
    bench.answer(asked, b"{}", status=500)


@pytest.mark.parametrize("place", [{"scheme": "http", "port": 8000}, {"host": "house.example.com"}])
async def test_what_could_come_back_is_marked_and_known(bench: "Bench", place: dict[str, Any]) -> None:
    asked = bench.flow("Where does a loop end?", **place, headers=[("Via", "1.0 fred")])
    await bench.enter(asked)
    via = asked.request.headers["via"]
    assert via.startswith("1.0 fred, 1.1 askonce-")
    back = bench.flow("Where does a loop end?", **place, headers=[("Via", via), ("Via", "1.1 nginx")])
    await bench.enter(back)
    assert back.response
    assert back.response.status_code == 508
    bench.askonce.response(back)
    bench.answer(asked, b"{}", status=500)


async def test_the_proxy_s_own_words_reach_who_was_refused(bench: "Bench") -> None:
    text = str(Refused(("::1", 80), "for a reason"))
    assert text == "Askonce does not connect to [::1]:80: for a reason"
    gate = bench.askonce._gate
    answer = gate.refuse_connection(f"Connection killed: {text}")
    assert answer
    assert (answer.status_code, answer.text) == (403, f"{text}\n")
    assert gate.refuse_connection("Connection reset by peer") is None
