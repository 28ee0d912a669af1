"""The setting `reuse`: its forms, what a rule lays over the defaults, and what is refused."""

import pytest
from tests.unit.rules.test_document import MINIMAL

from askonce.cache.uses import USES, Use
from askonce.rules import ConfigError, Document, Rules


def uses(text: str) -> dict[str, Use]:
    (rule,) = Rules(Document.parse(text))
    return dict(rule.uses)


def test_the_defaults_are_the_cache_s_own() -> None:
    assert uses(MINIMAL) == USES


def test_each_form_of_a_use() -> None:
    told = "{volatile: {semantic: off, ttl: 5m}, act: exact, state: semantic, conversation: off, variety: {exact: on}}"
    assert uses(MINIMAL + f"    reuse: {told}\n") == {
        "volatile": Use(ttl=300),
        "act": Use(),
        "state": Use(semantic=True),
        "conversation": Use(exact=False),
        "variety": Use(),
    }


def test_a_rule_names_only_the_kinds_that_it_changes() -> None:
    told = uses(MINIMAL + "    reuse: {act: semantic}\ndefaults: {reuse: {act: off, state: semantic}}\n")
    assert told == {**USES, "act": Use(semantic=True), "state": Use(semantic=True)}


@pytest.mark.parametrize(
    ("reuse", "expected"),
    [
        ("{lasting: exact}", "upstreams[0].reuse.lasting: unknown setting"),
        (
            "{act: never}",
            "reuse.act: expected exact, semantic or off, or a mapping with semantic, exact and ttl; got 'never'",
        ),
        (
            "{act: on}",
            "reuse.act: expected exact, semantic or off, or a mapping with semantic, exact and ttl; got True",
        ),
        ("{act: [exact]}", "reuse.act: expected exact, semantic or off"),
        ("{volatile: {ttl: soon}}", "reuse.volatile.ttl: expected a duration such as 30m or 7d"),
        ("{volatile: {stale: 5m}}", "reuse.volatile.stale: unknown setting"),
    ],
)
def test_a_mistake_is_named_with_its_line(reuse: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Document.parse(MINIMAL + f"    reuse: {reuse}\n")
    assert "rules.yaml:7: " in str(caught.value) and expected in str(caught.value)
