"""LangChain's and RedisVL's caches over LangCache, as they come from PyPI, against a real proxy.

LangChain keeps an answer under the conversation as it serialises it: one long wrapper with a short question in it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.conformance import conftest as apps
from tests.e2e.conftest import _clean_environment

if TYPE_CHECKING:
    from tests.conformance.conftest import App
    from tests.e2e.conftest import Provider, Proxy

FRANCE, REWORDED = "What is the capital of France?", "What's the capital city of France?"
RICE = "How do I cook rice?"
PARIS = "The capital of France is Paris."

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    command = [apps.other_python()[0], apps.HERE / "apps" / "langcache_clients.py"]
    app = apps.App(command, _clean_environment(), tmp_path_factory.mktemp("app") / "clients.log")
    yield app
    app.close()


@pytest.fixture
def ask(app: App, proxy: Proxy, local_provider: Provider) -> Ask:
    """Asks a client with a cache and a model of the test's own."""
    own = {"cache": uuid.uuid4().hex, "model": f"sample-{uuid.uuid4().hex}"}

    def ask(client: str, **more: Any) -> Any:
        # Past the proxy: what the provider is not asked, LangCache has answered.
        base_url = f"http://127.0.0.1:{local_provider.port}/v1"
        return app.ask(client=client, url=proxy.url, base_url=base_url, **(own | more))["said"]

    return ask


@pytest.mark.parametrize("client", ["chat", "text"])
def test_langchain_finds_the_question_and_no_other(ask: Ask, local_provider: Provider, client: str) -> None:
    assert PARIS in ask(client, question=FRANCE)
    rice = ask(client, question=RICE)
    assert "Paris" not in rice
    assert local_provider.calls() == 2
    assert PARIS in ask(client, question=FRANCE)
    assert ask(client, question=RICE) == rice
    assert PARIS in ask(client, question=REWORDED)
    assert local_provider.calls() == 2


@pytest.mark.parametrize("client", ["chat", "text"])
def test_langchain_is_asked_again_where_the_rest_differs(ask: Ask, local_provider: Provider, client: str) -> None:
    before: dict[str, list[tuple[str, str]]] = {
        "nothing": [],
        "a system prompt": [("system", "Be brief.")],
        "another": [("system", "Be verbose.")],
        "turns": [("human", "Where is Paris?"), ("ai", "In France.")],
    }
    for asked, said in enumerate(before.values(), 1):
        ask(client, question=FRANCE, before=said)
        ask(client, question=REWORDED, before=said)
        assert local_provider.calls() == asked
    ask(client, question=FRANCE, model="sample-other")
    assert local_provider.calls() == len(before) + 1


def test_langchain_with_tools(ask: Ask, local_provider: Provider) -> None:
    def tool(name: str) -> dict[str, Any]:
        city = {"type": "string", "description": "Where. " * 1000}
        parameters = {"type": "object", "properties": {"city": city}}
        return {"type": "function", "function": {"name": name, "parameters": parameters}}

    for tools in ([tool("weather")], [tool("weather"), tool("time")]):
        ask("chat", question=FRANCE, tools=tools)
        ask("chat", question=REWORDED, tools=tools)
    assert local_provider.calls() == 2


def test_redisvl_stores_and_checks(ask: Ask) -> None:
    attributes = {"user": "ann, of Köln/2"}
    assert ask("store", prompt=FRANCE, response=PARIS, attributes=attributes)
    assert ask("check", prompt=FRANCE) == ask("check", prompt=FRANCE.upper()) == [PARIS]
    assert ask("check", prompt=REWORDED, distance=0.2, attributes=attributes) == [PARIS]
    assert ask("check", prompt=REWORDED, distance=0.2, attributes={"user": "bob"}) == []
    assert ask("check", prompt=RICE, distance=0.2) == []


def test_redisvl_compares_no_wrapper(ask: Ask) -> None:
    def wrapped(question: str) -> str:
        return f'{{"tenant": "acme", "locale": "en-GB", "channel": "support-widget", "q": "{question}"}}'

    ask("store", prompt=wrapped(FRANCE), response=PARIS)
    assert ask("check", prompt=wrapped(FRANCE), distance=0.2) == [PARIS]
    assert ask("check", prompt=wrapped(RICE), distance=0.2) == []
