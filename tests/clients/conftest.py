"""Coding agents as their makers ship them, behind the real proxy; the sample provider is their model.

One rule: nothing of an agent is replaced or patched; it gets a folder, a home, a key and the environment that
`askonce exec` gives. They are large, so they are installed and asked only by a run with `--clients`.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.conformance.conftest import REPOSITORY, _installed
from tests.e2e.conftest import (  # noqa: F401  # fixtures
    Provider,
    Proxy,
    _clean_environment,
    _provider,
    _proxy,
    api_key,
    local_provider,
    provider,
    proxy,
    pytest_runtest_makereport,
    routes,
)
from tests.e2e.test_wheel import find_uv
from tests.support.waiting import PATIENCE

from askonce.exec import child

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Agent:
    """How an agent is asked one thing by a command, and what has it use its shell; nothing where it has none."""

    name: str
    command: Sequence[str]
    tool_prompt: str
    key_variables: Sequence[str]
    settings: Mapping[str, str] = field(default_factory=dict)
    """More of the environment: what model it asks, and that it asks nobody for news."""
    is_python: bool = False
    """It comes from PyPI, not from npm."""
    looks_back: bool = False
    """It asks its model about the conversation as well, in which other words are another question."""

    def __str__(self) -> str:
        return self.name


CLAUDE_CODE = Agent(
    "claude",
    ("--allowedTools", "Bash", "-p"),
    "Use bash to run `echo hello`.",
    ("ANTHROPIC_API_KEY",),
)
CODEX = Agent(
    "codex",
    ("exec", "--skip-git-repo-check"),
    'Use exec to run `text(await tools.exec_command({cmd: "echo hello"}))`.',
    ("OPENAI_API_KEY", "CODEX_API_KEY"),
)
GEMINI = Agent(
    "gemini",
    ("--yolo", "--skip-trust", "-p"),
    "Use run_shell_command to run `echo hello`.",
    ("GEMINI_API_KEY",),
    {"GEMINI_MODEL": "gemini-2.5-flash"},
)
QWEN_CODE = Agent(
    "qwen",
    ("--yolo", "--auth-type", "openai", "-p"),
    "Use run_shell_command to run `echo hello`.",
    ("OPENAI_API_KEY",),
    {"OPENAI_MODEL": "gpt-4o-mini", "OPENAI_BASE_URL": "https://api.openai.com/v1"},
    looks_back=True,
)
OPENCODE = Agent(
    "opencode",
    ("run", "-m", "openai/gpt-4o-mini"),
    "Use bash to run `echo hello`.",
    ("OPENAI_API_KEY",),
    {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
)
PI = Agent(
    "pi",
    ("--provider", "openai", "--model", "gpt-4o-mini", "-p"),
    "Use bash to run `echo hello`.",
    ("OPENAI_API_KEY",),
    {"PI_OFFLINE": "1"},
)
COPILOT = Agent(
    "copilot",
    ("--allow-all-tools", "-p"),
    "Use bash to run `echo hello`.",
    ("COPILOT_PROVIDER_API_KEY",),
    {
        "COPILOT_PROVIDER_BASE_URL": "https://api.openai.com/v1",
        "COPILOT_MODEL": "gpt-4o-mini",
        "COPILOT_OFFLINE": "true",
    },
)
AIDER = Agent(
    "aider",
    [
        "--model",
        "openai/gpt-4o-mini",
        "--no-git",
        "--yes-always",
        "--no-check-update",
        "--analytics-disable",
        "--message",
    ],
    "",
    ("OPENAI_API_KEY",),
    is_python=True,
)
AGENTS = (CLAUDE_CODE, CODEX, GEMINI, QWEN_CODE, OPENCODE, PI, COPILOT, AIDER)


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder with the agents' commands."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not (npm and node):
        pytest.skip("there is no npm on this machine")
    modules = HERE / "node_modules"
    install = [npm, "install", "--prefix", HERE, "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
    # Where npm is told to run no package's own scripts, Claude Code's command would be missing.
    finish = [node, modules / "@anthropic-ai" / "claude-code" / "install.cjs"]
    _installed(modules, HERE / "package.json", install, finish)
    return modules / ".bin"


@pytest.fixture(scope="session")
def python_programs() -> Path:
    """The folder with the commands of those that come from PyPI."""
    uv, folder, wanted = find_uv(), REPOSITORY / ".venv-clients", HERE / "requirements.txt"
    made = [uv, "venv", "--quiet", "--clear", "--no-project", "--python", ">=3.10,<3.13", folder]  # what aider runs on
    _installed(folder, wanted, made, [uv, "pip", "install", "--quiet", "--python", folder, "-r", wanted])
    return folder / "bin"


@dataclass(frozen=True)
class Desk:
    """Where an agent works: each time it is asked it is a new process with the same home, folder and key."""

    agent: Agent
    program: Path
    environment: dict[str, str]
    folder: Path

    def ask(self, prompt: str) -> str:
        """What the agent says in the end."""
        done = subprocess.run(
            [self.program, *self.agent.command, prompt],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"{self.agent} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(params=AGENTS, ids=str)
def desk(
    request: pytest.FixtureRequest,
    proxy: Proxy,  # noqa: F811
    api_key: str,  # noqa: F811
    tmp_path: Path,
) -> Desk:
    agent: Agent = request.param
    programs: Path = request.getfixturevalue("python_programs" if agent.is_python else "programs")
    home, folder = tmp_path / "home", tmp_path / "work"
    for place in (home / ".codex", folder):
        place.mkdir(parents=True)
    base = _clean_environment()
    trusting = base | child.environment(proxy.url, proxy.bundle, proxy.certs / "mitmproxy-ca-cert.pem", base)
    own = {"HOME": str(home), "CODEX_HOME": str(home / ".codex")} | dict.fromkeys(agent.key_variables, api_key)
    quiet = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}
    return Desk(agent, programs / agent.name, trusting | own | quiet | dict(agent.settings), folder)
