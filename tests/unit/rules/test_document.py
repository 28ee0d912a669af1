"""rules.yaml: what is accepted, and that every mistake is named with its line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.rules import ConfigError, Document

MINIMAL = """\
version: 1
upstreams:
  - name: chat
    hosts: [api.example.com]
    paths: [/v1/chat]
    wire: openai-chat
"""


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Document.parse(text)
    return str(caught.value).splitlines()


def test_the_smallest_file_takes_every_default() -> None:
    config = Document.parse(MINIMAL)
    assert config.upstreams[0].behaviour(config.defaults) == config.defaults
    assert (config.defaults.match, config.defaults.max_error, config.defaults.ttl) == ("semantic", 0.02, 604800)
    assert (config.embedder, config.cache.max_entries, config.manage.host) == ("wordllama", 100_000, "askonce.internal")


def test_a_rule_lays_its_own_settings_over_the_defaults() -> None:
    config = Document.parse(MINIMAL + "    ttl: 90m\n    match: exact\ndefaults: {ttl: 1d, max_error: 0.05}\n")
    behaviour = config.upstreams[0].behaviour(config.defaults)
    assert (behaviour.ttl, behaviour.match, behaviour.max_error) == (5400, "exact", 0.05)


def test_usage_and_staleness_of_a_rule() -> None:
    config = Document.parse(MINIMAL + "    usage: zero\ndefaults: {stale_while_revalidate: 1h}\n")
    behaviour = config.upstreams[0].behaviour(config.defaults)
    assert (behaviour.usage, behaviour.stale_while_revalidate) == ("zero", 3600)
    assert (config.defaults.usage, Document.parse(MINIMAL).defaults.stale_while_revalidate) == ("original", 0)
    assert mistakes(MINIMAL + "    usage: none\n") == [
        "rules.yaml:7: upstreams[0].usage: input should be 'original' or 'zero'; got 'none'"
    ]


@pytest.mark.parametrize("word", ["off", "'off'", "OFF"])
def test_off_is_a_word_here(word: str) -> None:
    config = Document.parse(MINIMAL + f"    match: {word}\n")
    assert config.upstreams[0].behaviour(config.defaults).match == "off"


def test_the_shipped_rules_are_accepted() -> None:
    config = Document.load(Path(__file__).parents[3] / "rules.yaml")
    assert {"openai-chat", "azure-openai-chat", "groq-chat", "cerebras-chat"} <= {
        rule.name for rule in config.upstreams
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "rules.yaml:1: expected a mapping with version, upstreams, …"),
        ("- a\n", "rules.yaml:1: expected a mapping with version, upstreams, …"),
        (
            MINIMAL.replace("openai-chat", "opnai"),
            "rules.yaml:6: upstreams[0].wire: expected one of ",
        ),
        (MINIMAL.replace("version: 1", "version: 2"), "rules.yaml:1: version: input should be 1; got 2"),
        (MINIMAL + "    bogus: 1\n", "rules.yaml:7: upstreams[0].bogus: unknown setting"),
        (MINIMAL + "    aprove: true\n", "rules.yaml:7: upstreams[0].aprove: unknown setting; did you mean approve?"),
        (MINIMAL + "    ttl: soon\n", "rules.yaml:7: upstreams[0].ttl: expected a duration such as 30m or 7d"),
        (MINIMAL + "    prompt: messages\n", "rules.yaml:7: upstreams[0].prompt: expected a JSONPath (RFC 9535)"),
        (MINIMAL + "    prompt: [$.q, q]\n", "rules.yaml:7: upstreams[0].prompt[1]: expected a JSONPath (RFC 9535)"),
        (MINIMAL + "    prompt: 5\n", "rules.yaml:7: upstreams[0].prompt: input should be a valid tuple; got 5"),
        (
            MINIMAL + "    max_error: 1.5\n",
            "rules.yaml:7: upstreams[0].max_error: input should be less than 1; got 1.5",
        ),
        (MINIMAL.replace("[api.example.com]", "[]"), "rules.yaml:4: upstreams[0].hosts: expected at least one"),
        (MINIMAL.replace("/v1/chat", "v1/chat"), "rules.yaml:5: upstreams[0].paths[0]: expected a path that begins"),
        (MINIMAL.replace("api.example.com", "'*'"), "rules.yaml:4: upstreams[0].hosts[0]: expected a host such as"),
        (MINIMAL + "version: 1\n", "rules.yaml:7: version: written twice in the same mapping"),
        (MINIMAL + "cache: {max_bytes: 2 gigs}\n", "rules.yaml:7: cache.max_bytes: expected a size such as 512MiB"),
        (MINIMAL + "  bad\n", "rules.yaml:8: not valid YAML: "),
        (MINIMAL + "manage: {host: 5}\n", "rules.yaml:7: manage.host: input should be a valid string; got 5"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, expected: str) -> None:
    (line,) = mistakes(text)
    assert line.startswith(expected)


def test_all_mistakes_are_named_at_once() -> None:
    text = MINIMAL.replace("wire: openai-chat", "wire: x") + "    ttl: never\nembedder: 5\n"
    assert [line.split(": ")[0] for line in mistakes(text)] == ["rules.yaml:6", "rules.yaml:7", "rules.yaml:8"]


def test_two_rules_of_one_name_are_refused() -> None:
    twice = MINIMAL + MINIMAL.partition("upstreams:\n")[2]
    assert "the name 'chat' is used by more than one entry" in mistakes(twice)[0]


def test_a_whole_value_may_come_from_the_environment() -> None:
    text = MINIMAL + "manage: {token: '${T}'}\n"
    assert Document.parse(text, environ={"T": "s3cret"}).manage.token == "s3cret"
    assert Document.parse(text, environ={}).manage.token is None


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        Document.load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"\xe9")
    with pytest.raises(ConfigError, match="expected UTF-8 text"):
        Document.load(tmp_path / "latin.yaml")


@given(st.text(alphabet=st.characters(codec="utf-8")) | st.text(alphabet="{}[]:-&*!|>'\"%@ \nab1", max_size=60))
def test_any_text_is_accepted_or_refused_with_a_config_error(text: str) -> None:
    try:
        assert isinstance(Document.parse(text), Document)
    except ConfigError as error:
        assert str(error).startswith("rules.yaml:")


def test_mistakes_come_in_the_order_of_their_lines_with_what_was_meant() -> None:
    assert mistakes(MINIMAL + "    reuse: {volatil: exact}\ndefaults: {tttl: 1h, zzz: 1}\n") == [
        "rules.yaml:7: upstreams[0].reuse.volatil: unknown setting; did you mean volatile?",
        "rules.yaml:8: defaults.tttl: unknown setting; did you mean ttl?",
        "rules.yaml:8: defaults.zzz: unknown setting",
    ]
