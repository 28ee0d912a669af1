"""What a connection of a caller's may lead to, asked of real sockets at the moment that they connect."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from askonce.network import peers
from askonce.network.peers import Peers, Refused
from askonce.rules import Document, Rules

NAME = "x.apps.example.com"


class Client:
    """Stands for a client's connection."""


@pytest.fixture
async def port() -> AsyncIterator[int]:
    peers.watch(asyncio.get_running_loop())
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def allowed(port: int, *, everywhere: bool, access: str = "{}", rule: str = "*.apps.example.com") -> Peers:
    text = f"""\
version: 1
upstreams:
  - {{name: wild, hosts: ["http://{rule}:{port}"], paths: ["/**"], wire: generic}}
  - {{name: house, hosts: [house.example], paths: ["/**"], wire: generic, upstream: "http://127.0.0.2:{port}"}}
access: {access}
"""
    rules = Rules(Document.parse(text))
    return Peers(lambda: rules, everywhere=everywhere)


async def connects(to: Peers, host: str, port: int, client: Client) -> str:
    """Why not; empty where it does."""
    to.connecting(client, (host, port))
    try:
        _, writer = await asyncio.open_connection(host, port)
    except Refused as refused:
        return str(refused)
    finally:
        to.connected()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return ""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "::ffff:127.0.0.1"])
async def test_off_loopback_a_private_address_is_refused_however_it_is_written(port: int, host: str) -> None:
    client = Client()
    assert "it leads to a private address" in await connects(allowed(port, everywhere=False), host, port, client)
    assert await connects(allowed(port, everywhere=True), host, port, client) == ""
    access = "{destinations: [127.0.0.0/8]}"
    assert await connects(allowed(port, everywhere=False, access=access), host, port, client) == ""


async def test_what_a_rule_spells_out_may_be_private(port: int) -> None:
    assert await connects(allowed(port, everywhere=False, rule="127.0.0.1"), "127.0.0.1", port, Client()) == ""
    there = allowed(port, everywhere=False)
    assert await there.why_not(("127.0.0.2", port)) == ""
    assert await there.why_not(("127.0.0.2", port + 1)) != ""


async def test_what_was_checked_is_what_is_connected_to(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is asked about first, and leads here when it is connected to."""
    answers = [["93.184.216.34"], ["127.0.0.1"]]

    async def resolve(_host: str, port: int, **_more: Any) -> list[Any]:
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    to = allowed(port, everywhere=False)
    assert await to.why_not((NAME, port)) == ""
    assert "private address" in await connects(to, NAME, port, Client())


async def test_a_product_s_destination_must_be_public_on_loopback_too(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(_host: str, port: int, **_more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    to, client = allowed(port, everywhere=True), Client()
    assert await connects(to, NAME, port, client) == ""
    to.only_public(client, (NAME, port))
    assert "private address" in await connects(to, NAME, port, client)
    assert await connects(to, NAME, port, Client()) == ""


@pytest.mark.parametrize("listening", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "0.0.0.0", "::ffff:127.0.0.1"])
async def test_itself_is_refused_even_where_a_rule_names_it(port: int, listening: str, host: str) -> None:
    to = allowed(port, everywhere=True, rule="127.0.0.1")
    to.listening = lambda: [(listening, port)]
    assert "that is Askonce itself" in await connects(to, host, port, Client())
    assert "that is Askonce itself" in await to.why_not((host, port))


async def test_another_server_on_the_same_port_is_not_itself(port: int) -> None:
    to = allowed(port, everywhere=True)
    for elsewhere in ("127.0.0.2", "::"):
        to.listening = lambda elsewhere=elsewhere: [(elsewhere, port)]
        assert await connects(to, "127.0.0.1", port, Client()) == ""


async def test_connections_of_our_own_are_not_asked_about(port: int) -> None:
    to = allowed(port, everywhere=False)
    to.listening = lambda: [("127.0.0.1", port)]
    assert await connects(to, "127.0.0.1", port, Client()) != ""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def test_a_loop_is_watched_once() -> None:
    loop = asyncio.get_running_loop()
    peers.watch(loop)
    before = loop.sock_connect
    peers.watch(loop)
    assert loop.sock_connect is before
