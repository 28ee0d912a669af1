"""What `rules suggest` prints and refuses; tests/e2e/test_suggest.py runs it for real."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from askonce.calls.kept_request import KeptRequest
from askonce.cli.suggest.command import _as_json, _yaml
from askonce.cli.suggest.suggestion import CallPair, Recorded, suggest
from askonce.rules import Document

type Askonce = Callable[..., Any]
CONFIG = Document.parse("""
version: 1
defaults: {ignore_headers: [x-old-id]}
upstreams: [{name: house, hosts: [llm.example.com], paths: [/v1/chat/completions], wire: openai-chat}]
""")


def call(number: int) -> Recorded:
    system = {"role": "system", "content": f'It is 10:0{number}, "pid" {number}1\n\x1b[31mred {{hex}} {number} apples'}
    name = {"role": "system", "content": f"Port: 80{number}1"}
    body = {
        "model": "m",
        "id": f"a{number}",
        "mood": f"{'glum' * number}\x1b[31m",
        "messages": [system, name, {"role": "user", "content": "Hi"}],
    }
    kept = KeptRequest("/v1/chat/completions", body, {"x-job-id": str(number), "x-region": str(number)})
    return Recorded("house", "llm.example.com", kept)


def test_all_but_the_lines_is_a_comment() -> None:
    [found] = suggest(CONFIG, [CallPair(1, call(1), call(2))])
    printed = "\n".join(_yaml(CONFIG, found))
    assert yaml.safe_load(printed) == {
        "ignore": ["$.id"],
        "normalise": [
            {"path": "$.messages[?@.role == 'system'].content", "pattern": "Port: {number}", "to": "Port: (port)"}
        ],
        "ignore_headers": ["x-old-id", "x-job-id"],
    }
    assert "\x1b" not in printed and "# call 1 differs at x-region: content, which is never proposed" in printed
    assert '$.id"  # id, in 2 places: "a1", "a2"' in printed
    told = _as_json(CONFIG, found)
    assert told["ignore"] == ["$.id"] and told["hits"] == {"same": [], "with_lines": [], "after_those": []}
    assert {one["path"] for one in told["content"]} == {"x-region", "$['mood']", "$['messages'][0]['content']"}


def test_a_command_or_the_last_calls(askonce: Askonce, tmp_path: Path) -> None:
    for arguments in ([], ["--last", "--", "true"]):
        done = askonce("rules", "suggest", *arguments)
        assert done.code == 2 and "expected a command after --, or --last" in done.err
    done = askonce("rules", "suggest", "--", str(tmp_path / "nothing"))
    assert done.code == 127 and "nothing" in done.err


def test_there_must_be_two_calls(askonce: Askonce, data: dict[str, str]) -> None:
    done = askonce("rules", "suggest", "--last")
    assert data and (done.code, done.out) == (1, "")
    assert done.err == "askonce: expected two recorded calls of the rule openai-chat with their requests; there are 0\n"
