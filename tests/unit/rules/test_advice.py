from pathlib import Path

import pytest

from askonce.rules import Document, describe, explain, review
from askonce.rules.advice import never_reached, unset_variables

CHAT = "wire: openai-chat"
RULES = f"""
version: 1
upstreams:
  - {{name: agent, hosts: [api.x.com], paths: [/v1/chat], {CHAT}, when: {{user-agent: "agent/*"}}}}
  - {{name: chat, hosts: [api.x.com], paths: [/v1/*], {CHAT}, max_error: 0.05, ttl: 1h}}
  - {{name: late, hosts: [api.x.com], paths: [/v1/chat], {CHAT}, match: exact}}
  - {{name: wide, hosts: ["*.x.com", "http://localhost:9"], paths: [/v1/**], {CHAT}, upstream: "http://10.0.0.1:8"}}
"""


def test_a_rule_whose_every_call_another_takes_is_never_reached() -> None:
    assert list(never_reached(Document.parse(RULES))) == [("late", "chat")]


def test_variables_that_are_not_set_are_named_with_their_line() -> None:
    text = "version: 1\nupstreams: []\nmanage:\n  token: ${GONE}\n  host: ${SET}\nsaid: '${not whole} x'\n"
    assert unset_variables(text, {"SET": "x", "GONE": ""}) == [(4, "GONE")]


@pytest.mark.parametrize(
    ("url", "headers", "taken", "said"),
    [
        ("https://api.x.com/v1/chat", {}, True, ["agent asks for headers", "chat takes it", "5.00%", "3600 seconds"]),
        ("https://api.x.com/v1/chat", {"User-Agent": "agent/2"}, True, ["agent takes it", "credential"]),
        ("https://API.x.com:443/v2", {}, False, ["agent, chat, late, wide name the host, and other paths"]),
        ("http://localhost:9/v1/a/b", {}, True, ["wide takes it", "misses go to http://10.0.0.1:8"]),
        ("https://y.com/v1/chat", {}, False, ["no rule names y.com:443", "blind tunnel"]),
    ],
)
def test_a_url_is_explained(url: str, headers: dict[str, str], taken: bool, said: list[str]) -> None:
    is_taken, lines = explain(Document.parse(RULES), url, headers)
    assert is_taken is taken
    for text in said:
        assert text in "\n".join(lines)


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a URL such as"):
        explain(Document.parse(RULES), "api.x.com/v1", {})


def test_a_file_is_reviewed_with_the_lines_of_its_mistakes(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES)
    assert review(file, Document.load) == ([], ["late is never reached: chat takes all of its calls"])
    file.write_text(RULES + "defaults: {match: guessed}\n")
    (mistake,), warnings = review(file, Document.load)
    assert f"rules.yaml:{RULES.count(chr(10)) + 1}: defaults.match" in mistake and warnings == []
    file.unlink()
    assert "rules.yaml" in review(file, Document.load)[0][0]


def test_rules_are_described_with_their_defaults() -> None:
    told = describe(Document.parse(RULES))[0]
    assert (told["name"], told["match"], told["scope"], told["max_error"]) == ("agent", "semantic", "credential", 0.02)
