"""`askonce rules suggest` with agents as their makers ship them, and a rule that knows none of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.clients.conftest import CLAUDE_CODE, CODEX, PI
from tests.e2e.test_suggest import add
from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clients.conftest import Agent
    from tests.e2e.conftest import Provider

RULE = """
version: 1
upstreams: [{{name: agent, hosts: ["http://127.0.0.1:{port}"], paths: [{path}], wire: {wire}}}]
"""


@pytest.mark.parametrize(
    ("agent", "path", "wire"),
    [
        (CLAUDE_CODE, "/v1/messages", "anthropic-messages"),
        (CODEX, "/v1/responses", "openai-responses"),
        (PI, "/v1/responses", "openai-responses"),
    ],
    ids=str,
)
def test_with_the_lines_a_tool_loop_is_asked_once(
    agent: Agent,
    path: str,
    wire: str,
    programs: Path,
    local_provider: Provider,
    tmp_path: Path,
) -> None:
    rules, home, work = tmp_path / "rules.yaml", tmp_path / "home", tmp_path / "work"
    rules.write_text(RULE.format(port=local_provider.port, path=path, wire=wire))
    for place in (home / ".codex", home / ".pi" / "agent", work):
        place.mkdir(parents=True)
    url = local_provider.url
    at_house = {"providers": {"openai": {"baseUrl": f"{url}/v1"}}}
    (home / ".pi" / "agent" / "models.json").write_text(json.dumps(at_house))
    house = f'model_providers.house={{name="house",base_url="{url}/v1",env_key="OPENAI_API_KEY",wire_api="responses"}}'
    named = ["-c", house, "-c", 'model_provider="house"'] if agent is CODEX else []
    command = [str(programs / agent.name), *agent.command, *named, agent.tool_prompt]
    environ = {
        **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        **dict.fromkeys(agent.key_variables, "sk-house"),
        **agent.settings,
        "ANTHROPIC_BASE_URL": url,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "HOME": str(home),
        "CODEX_HOME": str(home / ".codex"),
        "ASKONCE_RULES": str(rules),
        "ASKONCE_DATA": str(tmp_path / "data"),
        "ASKONCE_CERTS": str(tmp_path / "certs"),
    }

    def askonce(*args: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "askonce", *args, "--", *command],
            env=environ,
            cwd=work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    lines: dict[str, Any] = yaml.safe_load(askonce("rules", "suggest"))
    add(rules, lines)
    asked = [local_provider.calls()]
    for _ in range(2):
        assert "hello" in askonce("exec")
        asked.append(local_provider.calls())
    assert (asked[1] - asked[0], asked[2] - asked[1]) == (2, 0)
