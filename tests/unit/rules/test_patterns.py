"""Hosts, paths and JSONPaths as rules.yaml writes them."""

import sys
from pathlib import Path

import jsonpath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cli import main
from askonce.rules.patterns import HostPattern, parse_host, parse_jsonpath, parse_path

BODY = {"messages": [{"content": "a"}, {"content": "b", "x": [1, 2]}], "user": None, "": 1}


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("api.openai.com", HostPattern("https", "api.openai.com", 443)),
        ("API.OpenAI.com:8443", HostPattern("https", "api.openai.com", 8443)),
        ("http://localhost:11434", HostPattern("http", "localhost", 11434)),
        ("*.openai.azure.com", HostPattern("https", "*.openai.azure.com", 443)),
        ("http://[::1]:8000", HostPattern("http", "::1", 8000)),
        ("http://[0:0::1]", HostPattern("http", "::1", 80)),
    ],
)
def test_hosts(text: str, pattern: HostPattern) -> None:
    assert parse_host(text) == pattern


@pytest.mark.parametrize(
    "text", ["", "*", "*.com", "a b", "ftp://x", "http://x/y", "x:0", "x:65536", "a.*.b", "x:http"]
)
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_host(text)


def test_a_wildcard_stands_for_names_below_and_not_for_lookalikes() -> None:
    pattern = parse_host("*.openai.azure.com")
    assert pattern.matches("a.openai.azure.com")
    assert pattern.matches("a.b.openai.azure.com")
    assert not pattern.matches("openai.azure.com")
    assert not pattern.matches("evilopenai.azure.com")


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/v1/chat/completions", "/v1/chat/completions", True),
        ("/v1/chat/completions", "/v1/chat/completions/", False),
        ("/openai/deployments/*/chat/completions", "/openai/deployments/gpt/chat/completions", True),
        ("/openai/deployments/*/chat/completions", "/openai/deployments/a/b/chat/completions", False),
        ("/v1beta/models/*:generateContent", "/v1beta/models/gemini-2.5-pro:generateContent", True),
        ("/model/**", "/model/a/b/c", True),
        ("/a.b", "/aXb", False),
    ],
)
def test_paths(pattern: str, path: str, matches: bool) -> None:
    assert bool(parse_path(pattern).fullmatch(path)) is matches


@pytest.mark.parametrize("text", ["v1", "", "/a?b=c", "/a#b"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match="begins with /"):
        parse_path(text)


@pytest.mark.parametrize(
    "path",
    [
        "$.messages[-1].content",
        "$.messages[0].content",
        "$.user",
        "$.none",
        "$.messages[9]",
        "$['']",
        "$",
        "$..content",
        "$.messages[*].content",
        "$.messages[-1].x[1]",
        "$.messages.content",
        "$.messages[?@.x].content",
    ],
)
def test_a_jsonpath_finds_what_the_library_finds(path: str) -> None:
    expected = [(match.parts, match.obj) for match in jsonpath.compile(path, strict=True).finditer(BODY)]
    assert parse_jsonpath(path)(BODY) == expected


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda x: st.lists(x) | st.dictionaries(st.text("ab", max_size=1), x),
    ).filter(lambda value: not isinstance(value, str))  # which the library takes for JSON to be read
)
def test_a_jsonpath_never_fails_on_any_value(value: object) -> None:
    for path in ("$.a[-1].b", "$.a", "$[0]"):
        assert parse_jsonpath(path)(value) == [(m.parts, m.obj) for m in jsonpath.compile(path).finditer(value)]  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["", "[", '{"a": 1}', "text"])
def test_a_text_has_nothing_to_find(value: str) -> None:
    assert parse_jsonpath("$.a")(value) == parse_jsonpath("$[0]")(value) == []


def test_a_library_that_was_overwritten_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """jsonpath-python, which mistralai 3 needs, installs a module of the same name over python-jsonpath's."""
    parse_jsonpath.cache_clear()
    monkeypatch.setattr(jsonpath, "compile", lambda path: path)
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "version: 1\nupstreams:\n  - {name: a, hosts: [a.test], paths: [/v1], wire: generic, prompt: $.overwritten}\n"
    )
    monkeypatch.setattr(sys, "argv", ["askonce", "rules", "check", str(rules)])
    with pytest.raises(SystemExit, match="1"):
        main()
    said = capsys.readouterr().err
    assert said.startswith(
        "askonce: the package python-jsonpath was overwritten by another, jsonpath-python most likely"
    )
    assert "internal error" not in said


@pytest.mark.parametrize("text", ["", "a", "$.", "$.a | $.b", "$[?", "$.messages[-1"])
def test_what_is_no_jsonpath(text: str) -> None:
    with pytest.raises(ValueError, match="expected a"):
        parse_jsonpath(text)
