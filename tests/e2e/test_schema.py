"""schemathesis over the OpenAPI documents of the root and of every view, against a real proxy: no 5xx, and no response
whose status, type or body the document does not allow.

A short run is one of the tests; `ASKONCE_SCHEMA_EXAMPLES=200 ./run.sh test tests/e2e/test_schema.py` is a long one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import REPOSITORY

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy, StartProxy

HERE = Path(__file__).parent
TOKEN = "the-management-token"
EXAMPLES = int(os.environ.get("ASKONCE_SCHEMA_EXAMPLES", "3"))
LONG = EXAMPLES > 3
PLACES = ["", "/promptcache", "/semcache-app", "/gateway", "/cachecore", "/langcache"]


@pytest.fixture(scope="module")
def served(start_module_proxy: StartProxy, _provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Proxy:
    """A proxy with a token, whose embedding providers are the sample's: one that cannot be reached is a 500."""
    url = f"{_provider.url}/v1"
    spec = f"{{verify_url: {url!r}, verify_model: m, embed_url: {url!r}, embed_model: text-embedding-3-small}}"
    rules = tmp_path_factory.mktemp("rules") / "rules.yaml"
    rules.write_text(
        (REPOSITORY / "rules.yaml").read_text("utf-8")
        + f"""
products:
  provider_keys: {{openai: k, mistral: k, anthropic: k, voyage: k, google: k}}
  promptcache: {{verify_timeout: 1s, openai: {spec}, mistral: {spec}, claude: {spec}}}
""",
        "utf-8",
    )
    return start_module_proxy(rules=rules, environment={"ASKONCE_TOKEN": TOKEN})


@pytest.mark.timeout(300 + 60 * EXAMPLES)
@pytest.mark.parametrize("place", PLACES, ids=[place.strip("/") or "root" for place in PLACES])
def test_every_response_is_one_that_the_document_allows(served: Proxy, tmp_path: Path, place: str) -> None:
    # A view's routes are those of the root; what is its own is found without fuzzing.
    phases = (
        "examples,coverage,stateful,fuzzing" if LONG else "examples,coverage" if place else "examples,coverage,fuzzing"
    )
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "--no-color"]
    command += ["run", f"{served.url}{place}/openapi.json", "--phases", phases, "--max-examples", str(EXAMPLES)]
    served.load_api(f"{place}/openapi.json")
    environment = {**os.environ, "ASKONCE_TOKEN": TOKEN, "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(HERE)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    assert "generated" in done.stdout, done.stdout
