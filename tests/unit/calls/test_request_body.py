"""A request's body before anybody reads it: what is decoded, what is left alone, and by which limit."""

import gzip
import json
from collections.abc import Iterator

import pytest
from tests.support.lives import at_once

from askonce.calls.held_bodies import held_bodies
from askonce.calls.limits import SMALL, Limits
from askonce.calls.request_body import Measured, Unread, read_body
from askonce.rules import LimitsSpec

TEXT = b'{"model": "m"}'
KEYS = b"{" + b'"k": {},' * SMALL + b'"k": {}}'


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Limits, "in_force", LimitsSpec(max_decoded=1 << 20, max_values=10_000))
    held_bodies.begin("flow")
    yield
    held_bodies.end("flow")


async def test_a_body_is_decoded_and_held() -> None:
    before = held_bodies.total
    assert await read_body("flow", gzip.compress(TEXT), "gzip", at_once) == TEXT
    assert held_bodies.total - before == len(TEXT)
    assert await read_body("flow", TEXT, "", at_once) == TEXT


async def test_what_does_not_decode_is_empty() -> None:
    assert await read_body("flow", TEXT, "gzip", at_once) == b""


async def test_what_decodes_to_too_much_is_not_read() -> None:
    found = await read_body("flow", gzip.compress(bytes(2 << 20)), "gzip", at_once)
    assert isinstance(found, Unread)
    assert (found.why, found.refusal.status) == ("large", 413)
    assert "limits.max_decoded" in json.loads(found.refusal.body)["error"]["message"]


async def test_what_there_is_no_room_for_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Limits, "in_force", LimitsSpec.model_construct(max_held=0))
    found = await read_body("flow", gzip.compress(TEXT), "gzip", at_once)
    assert isinstance(found, Unread)
    assert (found.why, found.refusal.status) == ("full", 503)


@pytest.mark.parametrize(
    ("body", "measured", "read"),
    [
        (KEYS, None, True),
        (KEYS, "whole", False),
        (KEYS, "by line", False),
        (b'{"k": {}}\n' * SMALL, "whole", False),
        (b'{"k": {}}\n' * SMALL, "by line", True),
        (KEYS[: SMALL // 2], "whole", True),
    ],
)
async def test_what_would_hold_up_other_calls_is_not_read(body: bytes, measured: Measured, read: bool) -> None:
    found = await read_body("flow", body, "", at_once, measured=measured)
    assert (found == body) is read
    assert read or (isinstance(found, Unread) and found.refusal.status == 413)
