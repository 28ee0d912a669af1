"""What is taken out of recorded answers."""

from dataclasses import replace

import pytest
import yaml
from tests.support.entries import entry

from askonce.cache import Record
from askonce.call import Answer, Turn
from askonce.calls.scrubbing import scrubbed
from askonce.rules import ConfigError, Document

RULES = """\
version: 1
upstreams: [{name: chat, hosts: [api.example.com], paths: [/v1/chat], wire: openai-chat}]
cassette:
  scrub: SPECS
"""
BODY = b'{"id":"ann","user":{"name":"Ann","age":1.50},"choices":[{"message":{"content":"Dear Ann, ann@example.com"}}]}'
RECORD = Record(
    entry(
        prompt="I am Ann.",
        turns=(Turn("system", "Ann asks."), Turn("user", "I am Ann.")),
        answer=Answer(BODY, headers=(("x-team", "blue"), ("x-trace", "Ann 7"))),
    ),
    True,
)


def clean(specs: str, record: Record = RECORD) -> Record:
    return scrubbed(record, Document.parse(RULES.replace("SPECS", specs), environ={}).cassette.scrub)


def test_nothing_is_scrubbed_where_nothing_is_said() -> None:
    assert clean("[]") is RECORD


def test_a_pattern_is_scrubbed_everywhere_but_in_the_prompt() -> None:
    found = clean(r"[{pattern: '\bAnn\b', to: Somebody}, {pattern: '[\w.]+@[\w.]+'}]").entry
    assert found.answer.body == (
        b'{"id":"ann","user":{"name":"Somebody","age":1.50},'
        b'"choices":[{"message":{"content":"Dear Somebody, scrubbed"}}]}'
    )
    assert found.answer.headers == (("x-team", "blue"), ("x-trace", "Somebody 7"))
    assert (found.prompt, found.key) == ("I am Ann.", RECORD.entry.key)
    assert [turn.text for turn in found.turns] == ["Somebody asks.", "I am Ann."]


def test_places_and_headers() -> None:
    found = clean("[{path: $.user}, {path: '$.choices[*].message.content', to: '…'}, {header: X-Team}]").entry.answer
    assert found.body.decode() == '{"id":"ann","user":"scrubbed","choices":[{"message":{"content":"…"}}]}'
    assert found.headers == (("x-trace", "Ann 7"),)


@pytest.mark.parametrize(("body", "after"), [(b"no JSON, Ann", b"no JSON, scrubbed"), (b"\xff Ann", b"\xff Ann")])
def test_what_is_no_json(body: bytes, after: bytes) -> None:
    record = Record(replace(RECORD.entry, answer=Answer(body, "text/plain")), False)
    assert clean("[{pattern: Ann}, {path: $.user}]", record).entry.answer.body == after


def test_scrubbing_twice_changes_nothing() -> None:
    specs = "[{pattern: Ann}, {path: $.user}, {header: x-trace}]"
    assert clean(specs, clean(specs)) == clean(specs)
    assert clean("[{pattern: Bob}]").entry.answer.body is BODY


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        ("[{to: x}]", r"rules\.yaml:4: cassette\.scrub\[0\]: expected one of pattern, path and header"),
        ("[{pattern: x, path: $.a}]", "expected one of pattern, path and header"),
        ("[{pattern: '('}]", r"cassette\.scrub\[0\]\.pattern: expected a regular expression; got '\('"),
        ("[{path: a}]", r"expected a JSONPath \(RFC 9535\)"),
    ],
)
def test_a_mistake_is_told(specs: str, expected: str) -> None:
    assert yaml.safe_load(RULES.replace("SPECS", specs))
    with pytest.raises(ConfigError, match=expected):
        clean(specs)
