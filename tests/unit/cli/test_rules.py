"""`askonce rules`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from askonce.settings import default_rules

type Askonce = Callable[..., Any]


def test_the_rules_that_ship_have_no_mistakes(askonce: Askonce) -> None:
    done = askonce("rules", "check")
    assert done.code == 0
    assert f"{default_rules()}: " in done.out and "api.openai.com" in done.out


def test_rules_beside_the_user_come_first(askonce: Askonce, tmp_path: Path) -> None:
    rule = "{name: mine, hosts: [llm.example, two.example], paths: [/v1/chat/completions], wire: openai-chat}"
    (tmp_path / "rules.yaml").write_text(f"version: 1\nupstreams: [{rule}]\n")
    lines = askonce("rules", "check").out.splitlines()
    assert lines[1].split() == ["mine", "llm.example", "/v1/chat/completions", "openai-chat", "semantic"]
    assert lines[2].split() == ["two.example"]
    assert lines[-1] == f"{tmp_path}/rules.yaml: 1 rules, no mistakes"


def test_what_is_hardly_meant_is_said(askonce: Askonce, tmp_path: Path) -> None:
    rule = "{name: NAME, hosts: [a.example], paths: [/x], wire: openai-chat}"
    rules = ", ".join(rule.replace("NAME", name) for name in ("one", "two"))
    (tmp_path / "rules.yaml").write_text(f"version: 1\nupstreams: [{rules}]\nmanage: {{token: '${{NOT_SET}}'}}\n")
    out = askonce("rules", "check").out
    assert "warning: two is never reached: one takes all of its calls" in out
    assert "warning: line 3: NOT_SET is not set" in out


def test_a_url_is_explained_by_the_rules_that_ship(askonce: Askonce) -> None:
    done = askonce("rules", "explain", "https://api.openai.com/v1/chat/completions")
    assert done.code == 0
    assert "takes it\n  read as openai-chat" in done.out
    nobody = askonce("rules", "explain", "https://example.com/")
    assert nobody.code == 1
    assert "no rule names example.com:443" in nobody.out


def test_mistakes_in_rules_are_listed_by_line(askonce: Askonce, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("version: 2\nupstreams: []\n")
    done = askonce("rules", "check", "bad.yaml")
    assert done.code == 2
    assert [line.split("bad.yaml:")[1].split(":")[0] for line in done.err.splitlines()] == ["1", "2"]
