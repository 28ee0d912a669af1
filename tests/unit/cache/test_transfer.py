"""An entry as a line of JSON, there and back."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cache import Entry
from askonce.cache.store.entry import from_row, to_row
from askonce.cache.transfer import FOREVER, Record, TransferError, read_record, write_record
from askonce.call import Answer, Turn, Usage

ENTRY = Entry(
    key="0" * 31 + "a",
    partition=bytes(16),
    parts={"model": "00" * 8, "host": "11" * 8},
    upstream="openai-chat",
    host="api.openai.com",
    wire="openai-chat",
    model="gpt-4o",
    namespace="",
    prompt="Où est Paris ?",
    turns=(Turn("user", "Où est Paris ?"),),
    answer=Answer(b'{"id":"chatcmpl-1","choices":[]}', usage=Usage(9, 3)),
    created=1_800_000_000.25,
    expires=1_800_003_600.25,
    stale_until=1_800_007_200.25,
    upstream_seconds=0.8125,
)
LINE = (
    '{"upstream":"openai-chat","host":"api.openai.com","wire":"openai-chat","model":"gpt-4o",'
    '"prompt":"Où est Paris ?","answer":{"content_type":"application/json","body":{"id":"chatcmpl-1","choices":[]}},'
    '"usage":{"input":9,"output":3},"semantic":true,"recorded":"2027-01-15T08:00:00.250000Z",'
    '"expires":"2027-01-15T09:00:00.250000Z","stale_until":"2027-01-15T10:00:00.250000Z","upstream_seconds":0.812,'
    '"key":"0000000000000000000000000000000a","partition":"00000000000000000000000000000000",'
    '"parts":{"host":"1111111111111111","model":"0000000000000000"}}\n'
)


def without(*names: str, **more: Any) -> bytes:
    line = {name: value for name, value in orjson.loads(LINE).items() if name not in names}
    return orjson.dumps(line | more)


def test_a_line_is_readable_and_says_all() -> None:
    assert write_record(Record(ENTRY, True)).decode() == LINE
    assert read_record(LINE.encode()) == (replace(ENTRY, upstream_seconds=0.812), True)


def test_a_lasting_line_has_whole_seconds_and_no_end() -> None:
    line = write_record(Record(ENTRY, False), lasting=True)
    assert orjson.loads(line)["recorded"] == "2027-01-15T08:00:00Z"
    entry, semantic = read_record(line)
    assert (entry.created, entry.expires, entry.stale_until, semantic) == (1_800_000_000, FOREVER, FOREVER, False)
    assert write_record(Record(entry, False), lasting=True) == line


def test_an_error_says_its_status() -> None:
    error = replace(ENTRY, answer=Answer(b'{"error":{}}', headers=(("retry-after", "1"),), status=429))
    line = write_record(Record(error, False))
    assert orjson.loads(line)["answer"]["status"] == 429
    assert read_record(line).entry.answer == error.answer
    assert from_row((*to_row(error), 1, 0, 0.0, None)).answer == error.answer
    with pytest.raises(TransferError, match=r"answer\.status: input should be less than or equal to 599"):
        read_record(line.replace(b"429", b"900"))


@pytest.mark.parametrize(
    ("wire", "body", "encoding"),
    [
        ("openai-chat", b'{\n "a": 1.50\n}', "json"),
        ("generic", b'{"a":[1,2]}', "json"),
        ("generic", b'{\n "a": 1\n}', "text"),  # replayed byte for byte
        ("generic", "Grüße".encode(), "text"),
        ("generic", b"\xff\x00", "base64"),
    ],
)
def test_bodies(wire: str, body: bytes, encoding: str) -> None:
    entry = replace(ENTRY, wire=wire, answer=Answer(body, "application/json", headers=(("x-a", "1"), ("x-a", "2"))))
    line = write_record(Record(entry, False))
    assert orjson.loads(line)["answer"].get("encoding", "json") == encoding
    back = read_record(line).entry.answer
    assert back.headers == entry.answer.headers
    assert back.body == body or (wire != "generic" and orjson.loads(back.body) == orjson.loads(body))


def test_a_body_s_numbers_are_written_and_read_as_they_are() -> None:
    for wire in ("openai-chat", "generic"):
        body = b'{"wei":123456789012345678901,"x":[0.10,1e-07]}'
        line = write_record(Record(replace(ENTRY, wire=wire, answer=Answer(body)), False))
        assert b'"body":' + body in line
        assert read_record(line).entry.answer.body == body


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"", "expected a JSON object: "),
        (b"[]", "expected a JSON object"),
        (b"nul", "expected a JSON object: "),
        (without("key"), "key: field required"),
        (without(key="0A" * 16), "key: string should match pattern"),
        (without(recorded="2027-01-15T08:00:00"), "recorded: input should have timezone info"),
        (without(hits=1), "hits: is not known here"),
        (without(turns=[["user"]]), "turns.0.1: field required"),
        (without(answer={"content_type": "a", "encoding": "text", "body": 5}), "answer.body: expected a string"),
        (without(answer={"content_type": "a", "encoding": "base64", "body": "é"}), "answer.body: expected base64"),
        (without(answer={"content_type": "a", "encoding": "base64", "body": "a"}), "answer.body: expected base64"),
    ],
)
def test_what_is_no_entry_is_refused(line: bytes, expected: str) -> None:
    with pytest.raises(TransferError) as caught:
        read_record(line)
    assert str(caught.value).startswith(expected)


@given(st.binary() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(str).map(str.encode))
def test_any_bytes_are_an_entry_or_refused(line: bytes) -> None:
    with pytest.raises(TransferError):
        read_record(line)


_texts = st.text(st.characters(codec="utf-8"))


@given(_texts, _texts, _texts, st.binary(), st.floats(0, 4e9), st.floats(0, 1e9), st.booleans())
def test_there_and_back(
    prompt: str, model: str, role: str, body: bytes, created: float, lives: float, semantic: bool
) -> None:
    entry = replace(
        ENTRY,
        wire="generic",
        prompt=prompt,
        model=model,
        namespace=role,
        turns=(Turn(role, prompt), Turn("user", model)),
        answer=Answer(body, "text/plain", Usage(0, 7)),
        created=round(created, 3),
        expires=round(min(created + lives, FOREVER), 3),
        stale_until=round(min(created + lives, FOREVER), 3),
        upstream_seconds=round(lives, 3),
        labels={role: model} if role else {},
    )
    back, kept = read_record(write_record(Record(entry, semantic)))
    assert (replace(back, created=0, expires=0, stale_until=0), kept) == (
        replace(entry, created=0, expires=0, stale_until=0),
        semantic,
    )
    for name in ("created", "expires", "stale_until"):
        assert getattr(back, name) == pytest.approx(getattr(entry, name), abs=1e-6)
