"""Hosts, paths and JSONPaths as rules.yaml writes them."""

import re
import subprocess
import sys

import jsonpath_rfc9535
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.waiting import PATIENCE

from askonce.rules.patterns import HostPattern, parse_host, parse_jsonpath, parse_path, parse_text

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
        "$.messages[?@.content == 'b'].x",
        "$.messages[?length(@.x) == 2]",
        "$['messages'][0]['content']",
        '$["messages"][-2].content',
        "$.messages[0:1]",
        "$['user', '']",
    ],
)
def test_a_jsonpath_finds_what_the_library_finds(path: str) -> None:
    expected = [(node.location, node.value) for node in jsonpath_rfc9535.compile(path).finditer(BODY)]
    assert parse_jsonpath(path)(BODY) == expected


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda x: st.lists(x) | st.dictionaries(st.text("ab", max_size=1), x),
    )
)
def test_a_jsonpath_never_fails_on_any_value(value: object) -> None:
    for path in ("$.a[-1].b", "$.a", "$[0]"):
        assert parse_jsonpath(path)(value) == [
            (node.location, node.value) for node in jsonpath_rfc9535.compile(path).finditer(value)
        ]


@pytest.mark.parametrize("value", ["", "[", '{"a": 1}', "text"])
def test_a_text_has_nothing_to_find(value: str) -> None:
    assert parse_jsonpath("$.a")(value) == parse_jsonpath("$[0]")(value) == []


@pytest.mark.parametrize("text", ["", "a", "$.", "$.a | $.b", "$[?", "$.messages[-1"])
def test_what_is_no_jsonpath(text: str) -> None:
    with pytest.raises(ValueError, match="expected a"):
        parse_jsonpath(text)


@pytest.mark.parametrize(
    ("pattern", "text", "read"),
    [
        ("Wall time {number} seconds", "Wall time 0.3 seconds, Wall time -12e-7 seconds", "_, _"),
        ("Wall time {number} seconds", "Wall time 1.2.3 seconds", "Wall time 1.2.3 seconds"),
        ("Wall time {number} seconds", "wall time 1 seconds", "wall time 1 seconds"),
        ('"id":"{hex}"', '{"id":"feafbb","other":"feafbb"}', '{_,"other":"feafbb"}'),
        ('"id":"{hex}"', '"id":"xyz"', '"id":"xyz"'),
        ("on {number}-{number}-{number}", "on 2026-11-28.", "_."),
        ("for {word}.", "for näme_1. for a b.", "_ for a b."),
        ("n={number}", "n=" + "1" * 65, "n=" + "1" * 65),  # more than anything that a client would write
        ("{{number}}", "{1}", "_"),
        ("a.b|c", "a.b|c axb", "_ axb"),
    ],
)
def test_a_piece_of_text(pattern: str, text: str, read: str) -> None:
    assert parse_text(pattern).sub("_", text) == read


@pytest.mark.parametrize("text", ["", "{number}", "{number} s", "a{hex}{number}"])
def test_what_says_too_little_is_no_piece_of_text(text: str) -> None:
    with pytest.raises(ValueError, match="other text before and between"):
        parse_text(text)


@given(st.lists(st.sampled_from(["{number}", "{hex}", "{word}", "a", "1", "-", ".", "+"]), max_size=12))
def test_a_piece_of_text_never_tries_one_place_twice(parts: list[str]) -> None:
    """All its repetitions have a bound and give nothing back."""
    try:
        compiled = parse_text("".join(parts)).pattern
    except ValueError:
        return
    plain = re.sub(r"\\.|\(\?[:!]", "", re.sub(r"\[[^]]*\]", "c", compiled.replace(r"\w", "c")))
    assert not re.search(r"[*|]|(?<![}?])\+|[}?](?!\+)", plain)


def test_jsonpaths_are_read_without_the_module_that_two_packages_write() -> None:
    """`jsonpath` is python-jsonpath's and jsonpath-python's; mistralai 3 asks for the second, and `pip` is silent."""
    program = "import sys; sys.modules['jsonpath'] = None; from askonce.rules.patterns import parse_jsonpath as read; "
    subprocess.run([sys.executable, "-c", program + "read('$.a[-1]')"], check=True, timeout=PATIENCE)
