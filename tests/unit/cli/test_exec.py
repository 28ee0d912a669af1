"""`askonce env`: what a shell is told, so that its programs ask by way of the proxy."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from askonce.trust import ca_info

type Askonce = Callable[..., Any]


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
