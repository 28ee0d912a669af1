"""LangCache's own SDKs, as they come from PyPI and npm, against a real proxy: at the root and in LangCache's view.

Two versions of the Python SDK, since they accept different errors and each rejects what the other wants.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.conformance import conftest as apps
from tests.e2e.conftest import REPOSITORY, _clean_environment

if TYPE_CHECKING:
    from tests.conformance.conftest import App
    from tests.e2e.conftest import Proxy, StartProxy

PROMPT = "What is the capital of France?"
REWORDED = "what's the capital city of France"

Sdk = Callable[..., Any]
COMMANDS: dict[str, Callable[[], list[str | Path]]] = {
    "python 0.14": lambda: [apps.python()[0], apps.HERE / "apps" / "langcache_sdk.py"],
    "python 0.11": lambda: [apps.older_python()[0], apps.HERE / "apps" / "langcache_sdk.py"],
    "node 0.11": lambda: [apps.node_of_the_machine()[0], apps.HERE / "node" / "langcache.mjs"],
}


@pytest.fixture(scope="module", params=COMMANDS)
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    log = tmp_path_factory.mktemp("app") / "langcache.log"
    app = apps.App(COMMANDS[request.param](), _clean_environment(), log)
    app.name = request.param  # type: ignore[attr-defined]
    yield app
    app.close()


@pytest.fixture(params=["", "/langcache"], ids=["root", "view"])
def sdk(request: pytest.FixtureRequest, app: App, proxy: Proxy) -> Sdk:
    """Calls a method of the SDK on a cache of the test's own; what the SDK parsed, or the error that it raised."""
    cache = uuid.uuid4().hex

    def call(method: str, *, url: str = proxy.url + request.param, key: str = "any", **arguments: Any) -> Any:
        answer = app.ask(url=url, key=key, cache=cache, method=method, arguments=arguments)
        return answer["error"] if "error" in answer else answer["said"]

    return call


@pytest.mark.both_stores
def test_set_and_search(sdk: Sdk) -> None:
    assert sdk("search", prompt=PROMPT) == {"data": []}
    entry_id = sdk("set", prompt=PROMPT, response="Paris", attributes={"model": "gpt-5"})["entryId"]
    entry = {"id": entry_id, "prompt": PROMPT, "response": "Paris", "attributes": {"model": "gpt-5"}}
    [found] = sdk("search", prompt=PROMPT)["data"]
    assert found == entry | {"similarity": 1.0, "searchStrategy": "semantic"}
    [found] = sdk("search", prompt=REWORDED, similarity_threshold=0.8, attributes={"model": "gpt-5"})["data"]
    assert found == entry | {"similarity": found["similarity"], "searchStrategy": "semantic"}
    assert 0.8 < found["similarity"] < 1
    assert sdk("search", prompt=REWORDED, attributes={"model": "other"}) == {"data": []}
    [found] = sdk("search", prompt=PROMPT.upper(), search_strategies=["exact"])["data"]
    assert found == entry | {"similarity": 1.0, "searchStrategy": "exact"}
    assert sdk("search", prompt=REWORDED, search_strategies=["exact"]) == {"data": []}


@pytest.mark.both_stores
def test_an_entry_ends(sdk: Sdk) -> None:
    sdk("set", prompt=PROMPT, response="Paris", ttl_millis=100)
    time.sleep(0.12)
    assert sdk("search", prompt=PROMPT) == {"data": []}


@pytest.mark.both_stores
def test_delete_by_id(sdk: Sdk) -> None:
    entry_id = sdk("set", prompt=PROMPT, response="Paris")["entryId"]
    assert sdk("delete_by_id", entry_id=entry_id) is None
    assert sdk("search", prompt=PROMPT) == {"data": []}
    assert sdk("delete_by_id", entry_id=entry_id)["type"] == "NotFoundErrorResponseContent"


@pytest.mark.both_stores
def test_delete_by_attributes(sdk: Sdk) -> None:
    for user in ("1", "2"):
        sdk("set", prompt=PROMPT, response=user, attributes={"user_id": user})
    assert sdk("delete_query", attributes={"user_id": "1"}) == {"deletedEntriesCount": 1}
    [found] = sdk("search", prompt=PROMPT)["data"]
    assert found["response"] == "2"
    refused = sdk("delete_query", attributes={})
    assert (refused["type"], refused["kind"]) == ("BadRequestErrorResponseContent", "/errors/invalid-data")


@pytest.mark.both_stores
def test_flush(sdk: Sdk) -> None:
    sdk("set", prompt=PROMPT, response="Paris")
    assert sdk("flush") is None
    assert sdk("search", prompt=PROMPT) == {"data": []}


def test_what_only_the_newest_sdk_can(sdk: Sdk, app: App) -> None:
    if app.name != "python 0.14":  # type: ignore[attr-defined]
        pytest.skip("this version has neither several results nor conversations")
    for prompt in (PROMPT, REWORDED):
        sdk("set", prompt=prompt, response="Paris")
    found = sdk("search", prompt=PROMPT, max_results=5, similarity_threshold=0.8)
    assert [entry["prompt"] for entry in found["data"]] == [PROMPT, REWORDED]
    missed = sdk("conversational_search", prompt="And of Italy?", context=[PROMPT])
    assert missed == {"actualPrompt": f"{PROMPT}\nAnd of Italy?", "data": []}
    sdk("set", prompt=missed["actualPrompt"], response="Rome")
    [entry] = sdk("conversational_search", prompt="And of Italy?", context=[PROMPT])["data"]
    assert entry["response"] == "Rome"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"prompt": ""}, "BadRequestErrorResponseContent"),
        ({"prompt": "p", "similarity_threshold": 1.5}, "BadRequestErrorResponseContent"),
    ],
)
def test_a_wrong_request_raises_the_sdks_own_error(sdk: Sdk, arguments: dict[str, Any], error: str) -> None:
    assert sdk("search", **arguments)["type"] == error


@pytest.fixture(scope="module")
def closed(start_module_proxy: StartProxy, tmp_path_factory: pytest.TempPathFactory) -> Proxy:
    """A proxy whose caches are named and locked."""
    rules = tmp_path_factory.mktemp("rules") / "rules.yaml"
    section = """
products:
  langcache:
    api_keys: [all, last]
    create_missing: false
    rate: 200/day
    caches: {other: {api_keys: [theirs]}}
"""
    shipped = (REPOSITORY / "rules.yaml").read_text("utf-8")
    rules.write_text(shipped + section, "utf-8")
    return start_module_proxy(rules=rules)


def test_refusals_raise_the_sdks_own_errors(sdk: Sdk, closed: Proxy) -> None:
    def error(key: str, **arguments: Any) -> str:
        return str(sdk("set", url=closed.url, key=key, **{"prompt": "p", "response": "r"} | arguments)["type"])

    assert error("wrong") == "AuthenticationErrorResponseContent"
    assert error("theirs") == "ForbiddenErrorResponseContent"
    assert error("all") == "NotFoundErrorResponseContent"
    assert error("all", response="r" * (1 << 20)) == "PayloadTooLargeErrorResponseContent"
    with httpx.Client(headers={"authorization": "Bearer last"}, trust_env=False) as client:
        while client.post(f"{closed.url}/v1/caches/other/flush").status_code != 429:
            pass
    assert error("last") == "TooManyRequestsErrorResponseContent"
