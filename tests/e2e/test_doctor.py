"""`askonce doctor -- COMMAND` and the line of `exec`, with real programs and each fault planted."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.conftest import FOREIGN, Proxy, StartProxy

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "What is the capital of France?"}]})
PATH = "/v1/chat/completions"
RULES = f"""\
version: 1
upstreams:
  - {{name: openai, hosts: [api.openai.com, nowhere.invalid], paths: [{PATH}], wire: openai-chat}}
"""
CURL = ("curl", "-sS", "-o", "/dev/null", "-H", "content-type: application/json", "-d", BODY)
BARE = ("env", "-u", "SSL_CERT_FILE", "-u", "CURL_CA_BUNDLE", "-u", "NODE_EXTRA_CA_CERTS")
NODE = f"fetch('https://api.openai.com{PATH}', {{ method: 'POST', body: '{BODY}' }}).catch(() => process.exit(3))"
DIRECT = ("env", "-u", "HTTPS_PROXY", "-u", "https_proxy", "-u", "ALL_PROXY", "-u", "all_proxy")

TRUST = (
    "trust: the command does not trust the proxy's certificate for api.openai.com:443; "
    "have it trust `askonce certs path --bundle`"
)
PLANTED = {
    "none": ([*CURL, f"https://api.openai.com{PATH}"], ""),
    "proxy ignored": (
        [*DIRECT, *CURL, f"https://nowhere.invalid{PATH}"],
        "proxy: nothing of the command came to the proxy; "
        "if it asks a provider, give it the proxy in its own settings: `askonce env` has it",
    ),
    "not trusted by curl": ([*BARE, *CURL, f"https://api.openai.com{PATH}"], TRUST),
    "not trusted by node": ([*BARE, "node", "-e", NODE], TRUST),
    "no rule for the path": (
        [*CURL, "https://api.openai.com/v2/chat?secret=1"],
        "rules: no rule takes POST /v2/chat of api.openai.com:443; if it is a call, add the path to the host's rule",
    ),
    "no rule for the host": (
        [*CURL, "-k", f"https://{FOREIGN}{PATH}"],
        f"rules: no rule names {FOREIGN}:443; if it is a provider, add a rule that has it in `hosts`",
    ),
    "upstream down": ([*CURL, f"https://nowhere.invalid{PATH}"], "providers: no connection to nowhere.invalid:443: [E"),
}


@pytest.fixture(scope="module")
def watched(start_module_proxy: StartProxy, tmp_path_factory: pytest.TempPathFactory) -> Proxy:
    rules = tmp_path_factory.mktemp("rules") / "rules.yaml"
    rules.write_text(RULES)
    return start_module_proxy(rules=rules)


def askonce(proxy: Proxy, name: str, command: list[str], *more: str) -> "subprocess.CompletedProcess[str]":
    arguments = ["--listen", f"127.0.0.1:{proxy.port}", "--rules", str(proxy.rules), "--data", str(proxy.data), *more]
    return subprocess.run(
        [sys.executable, "-m", "askonce", name, *arguments, "--", *command],
        env=proxy.environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("fault", PLANTED)
def test_a_command_and_what_keeps_it_from_being_answered(watched: Proxy, fault: str) -> None:
    command, said = PLANTED[fault]
    if any(program in command and not shutil.which(program) for program in ("curl", "node")):
        pytest.skip("the program is not on this machine")
    done = askonce(watched, "doctor", command)
    lines = done.stdout.splitlines()
    if not said:
        assert (done.returncode, lines[-1]) == (0, "calls: 1 miss"), done.stdout + done.stderr
        return
    (line,) = [line for line in lines if "; " in line]
    assert line.startswith(said), done.stdout + done.stderr
    assert done.returncode == 1
    assert "secret" not in done.stdout


def test_what_a_command_prints_is_beside_the_json(watched: Proxy) -> None:
    done = askonce(watched, "doctor", [sys.executable, "-c", "print('hello')"], "--json")
    assert {"name": "command", "fault": "", "cure": "", "note": "ended with 0"} in json.loads(done.stdout)
    assert "hello" in done.stderr


def test_exec_names_the_one_cause(watched: Proxy, tmp_path: Path) -> None:
    done = askonce(watched, "exec", [*CURL, "-k", f"https://{FOREIGN}{PATH}"])
    said = f"askonce: no call came through: no rule names {FOREIGN}:443; if it is a provider, add a rule that has it"
    assert done.stderr.splitlines()[-1].startswith(said)
    assert "no call" not in askonce(watched, "exec", [*CURL, f"https://api.openai.com{PATH}"]).stderr
