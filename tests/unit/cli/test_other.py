import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from askonce.cli.stats import _watched
from askonce.settings import default_rules
from askonce.trust import ca_info, ensure_ca

type Askonce = Callable[..., Any]


def test_stats_is_a_table(askonce: Askonce, running: Callable[..., str]) -> None:
    lines = askonce("stats", "--listen", running()).out.splitlines()
    assert lines[0].endswith(": 1 calls, 100.0% of lookups hit")
    figures = ["1", "1", "0", "0", "0", "12", "0.8", "s", "0.0125"]
    assert [line.split() for line in lines[3:5]] == [["all", *figures], ["openai-chat", *figures]]


def test_what_would_have_been_served_is_told() -> None:
    calls = {"calls": 3, "agreed": 2, "differed": 0, "unclear": 1, "tokens": {"input": 9, "output": 3}}
    saved = {"seconds": 2.5, "usd": 0.0125, "tokens_unpriced": 4}
    assert [*_watched({"chat": {"semantic": calls | saved}})] == [
        ("chat", "semantic", "3", "2", "0", "1", "12", "2.5 s", "0.0125 and more")
    ]


def test_stats_as_json_is_the_api_s(askonce: Askonce, running: Callable[..., str]) -> None:
    found = json.loads(askonce("stats", "--json", "--listen", running()).out)
    assert (found["calls"], found["outcomes"]["exact"]) == (1, 1)


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


def test_certs_describe_the_authority(askonce: Askonce, tmp_path: Path) -> None:
    ensure_ca(tmp_path / "certs", ["api.openai.com"], environ={})
    info = ca_info(tmp_path / "certs")
    assert askonce("certs").out.splitlines() == [
        f"certificate  {tmp_path}/certs/mitmproxy-ca-cert.pem",
        f"    SHA-256  {info.fingerprint}",
        f"    expires  {info.not_after:%Y-%m-%d}",
        "vouches for  api.openai.com",
        "             askonce.internal",
    ]
    assert json.loads(askonce("certs", "--json").out)["hosts"] == ["api.openai.com", "askonce.internal"]
    assert askonce("certs", "path").out == f"{tmp_path}/certs/mitmproxy-ca-cert.pem\n"
    assert askonce("certs", "--certs", "certs", "path", "--bundle").out == f"{tmp_path}/certs/askonce-bundle.pem\n"


@pytest.mark.parametrize("shell", ["sh", "fish", "json"])
def test_env_prints_what_a_shell_reads(
    askonce: Askonce, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "it's")
    done = askonce("env", "--shell", shell)
    assert done.err == "askonce: no proxy listens at 127.0.0.1:1 yet; start it with `askonce serve`\n"
    if shell == "json":
        variables = json.loads(done.out)
    elif shell == "sh":
        words = shlex.split(done.out)
        assert words[::2] == ["export"] * (len(words) // 2)
        variables = dict(word.split("=", 1) for word in words[1::2])
    else:
        assert "set -gx NO_PROXY 'it\\'s'\n" in done.out
        return
    assert variables["HTTPS_PROXY"] == "http://127.0.0.1:1"
    assert variables["NO_PROXY"] == "it's"  # local names are in the shipped rules
    assert variables["SSL_CERT_FILE"] == f"{tmp_path}/certs/askonce-bundle.pem"
    assert "api.openai.com" in ca_info(tmp_path / "certs").hosts


def test_another_proxy_is_remarked_on_without_its_password(askonce: Askonce, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@corp.example:3128")
    done = askonce("env")
    assert "askonce: HTTPS_PROXY was corp.example:3128; Askonce takes its place, and goes through it\n" in done.err
    assert "secret" not in done.err + done.out
