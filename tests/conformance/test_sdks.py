"""Every official SDK, as it is, through the real proxy: what it parses from a hit is what it parsed from the miss.

One table of SDKs, one list of behaviours. What is asserted of the provider, the provider has counted itself.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conformance.conftest import App
    from tests.e2e.conftest import Provider, Proxy

FRANCE = "What is the capital of France?"
REWORDED = "Tell me what the capital of France is."
GERMANY = "What is the capital of Germany?"
WEATHER = "What is the weather in Paris?"

IDS = frozenset({"id", "item_id", "call_id", "tool_call_id", "responseId"})
PADDING = frozenset({"obfuscation"})
"""Random by design."""
TIMES = frozenset({"created", "created_at", "createTime", "completed_at"})


@dataclass(frozen=True)
class Sdk:
    """One SDK in one app, and what it can do."""

    name: str
    app: str = "python"
    path: str = "/v1/chat/completions"
    """What the provider's path ends in, without the version where SDKs differ in it."""
    id: tuple[str, ...] = ("id",)
    """Where the parsed answer has its identifier; empty where it has none."""
    keeps_id: bool = False
    rewords: bool = True
    streams: bool = True
    tools: bool = True
    local: bool = False
    """Asks the provider on this machine."""

    def __str__(self) -> str:
        return f"{self.name}@{self.app}"


GEMINI = "/models/MODEL:generateContent"
VERTEX = "/publishers/google/models/MODEL:generateContent"
VERTEX_ANTHROPIC = "/v1/projects/p/locations/us-central1/publishers/anthropic/models/MODEL:rawPredict"
SDKS = [
    Sdk("openai-chat"),
    Sdk("openai-chat-async"),
    Sdk("openai-chat-structured", tools=False),
    Sdk("azure-chat", path="/openai/deployments/MODEL/chat/completions"),
    Sdk("openai-responses", path="/v1/responses", keeps_id=True),
    Sdk("openai-responses-structured", path="/v1/responses", keeps_id=True, tools=False),
    Sdk("openai-completions", path="/v1/completions", tools=False),
    Sdk("openai-embeddings", path="/v1/embeddings", id=(), rewords=False, streams=False, tools=False),
    Sdk("anthropic", path="/v1/messages"),
    Sdk("anthropic-async", path="/v1/messages"),
    Sdk("anthropic-vertex", path=VERTEX_ANTHROPIC),
    Sdk("google-genai", path=GEMINI, id=("responseId",)),
    Sdk("google-genai-async", path=GEMINI, id=("responseId",)),
    Sdk("google-genai-vertex", path=VERTEX, id=("responseId",)),
    Sdk("cohere", path="/v2/chat"),
    Sdk("ollama-chat", path="/api/chat", id=()),
    Sdk("ollama-generate", path="/api/generate", id=(), tools=False),
    Sdk("ollama-local", path="/api/chat", id=(), local=True),
    Sdk("curl"),
    Sdk("mistral", "venv"),
    Sdk("mistral-embeddings", "venv", path="/v1/embeddings", rewords=False, streams=False, tools=False),
    Sdk("langchain", "venv", id=()),
    *(
        dataclasses.replace(sdk, app="older")
        for sdk in (
            Sdk("openai-chat"),
            Sdk("openai-chat-async", tools=False),  # its asynchronous stream takes strict functions alone
            Sdk("openai-chat-structured", tools=False),
            Sdk("azure-chat", path="/openai/deployments/MODEL/chat/completions"),
            Sdk("openai-responses", path="/v1/responses", keeps_id=True),
            Sdk("openai-completions", path="/v1/completions", tools=False),
            Sdk("openai-embeddings", path="/v1/embeddings", id=(), rewords=False, streams=False, tools=False),
            Sdk("anthropic", path="/v1/messages"),
            Sdk("anthropic-async", path="/v1/messages"),
        )
    ),
    *(
        dataclasses.replace(sdk, app=app)
        for app in ("node", "node-of-npm")
        for sdk in (
            Sdk("node-openai-chat"),
            Sdk("node-openai-responses", path="/v1/responses", keeps_id=True),
            Sdk("node-openai-embeddings", path="/v1/embeddings", id=(), rewords=False, streams=False, tools=False),
            Sdk("node-anthropic", path="/v1/messages"),
            Sdk("node-google-genai", path=GEMINI, id=("responseId",)),
        )
    ),
]


class Case:
    """One SDK asking on behalf of one test."""

    def __init__(self, sdk: Sdk, app: App, provider: Provider) -> None:
        self.sdk, self._app, self._provider = sdk, app, provider
        # A model of the test's own is a partition of its own; the key stays, because a new client takes SDKs long.
        self._key, self.model = f"sk-{sdk}", f"sample-{uuid.uuid4().hex}"

    def ask(self, question: str, *, stream: bool = False, tools: bool = False, **more: Any) -> dict[str, Any]:
        """Ask; more: key, model."""
        ask = {"key": self._key, "model": self.model} | more
        return self._app.ask(sdk=self.sdk.name, question=question, stream=stream, tools=tools, **ask)

    def elsewhere(self, question: str, **more: Any) -> dict[str, Any]:
        """What the provider itself answers, to another caller's key."""
        said = self.ask(question, key=self._key + "-other", **more)
        self._provider.reset()
        return said

    def calls(self) -> int:
        """Calls that the provider has seen."""
        return self._provider.calls()

    def identifier(self, said: dict[str, Any]) -> Any:
        found = said["whole"]
        for step in self.sdk.id:
            found = found[step]
        return found

    def same(self, miss: dict[str, Any], *hits: dict[str, Any]) -> None:
        """The hits are the miss but for time and identifier, and each has an identifier of its own."""
        for hit in hits:
            assert without_own(hit) == without_own(miss)
        if self.sdk.id:
            identifiers = {self.identifier(said) for said in (miss, *hits)}
            assert len(identifiers) == (1 if self.sdk.keeps_id else 1 + len(hits))


def without_own(said: dict[str, Any]) -> dict[str, Any]:
    """Without the time and the answer's own identifier; those of tool calls stay."""
    whole = without(said["whole"], TIMES | PADDING)
    for holder in (whole, whole.get("response_metadata", {})):
        for name in IDS:
            holder.pop(name, None)
    return said | {"whole": whole}


def without(value: Any, names: frozenset[str], *, nulls: bool = True) -> Any:
    if isinstance(value, dict):
        items = [(name, item) for name, item in value.items() if name not in names and (nulls or item is not None)]
        return {name: without(item, names, nulls=nulls) for name, item in items}
    return [without(item, names, nulls=nulls) for item in value] if isinstance(value, list) else value


def alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two answers that the provider gave at two times say the same; what a stream does not say it says with null."""
    own = IDS | TIMES | PADDING
    assert without(one, own, nulls=False) == without(other, own, nulls=False)


# Behaviours


def json_miss_hit_reworded(case: Case) -> None:
    miss, hit = case.ask(FRANCE), case.ask(FRANCE)
    case.same(miss, hit)
    if case.sdk.rewords:
        case.same(miss, hit, case.ask(REWORDED))
    assert case.calls() == 1


def streamed_miss_hit_reworded(case: Case) -> None:
    miss, hit, reworded = (case.ask(question, stream=True) for question in (FRANCE, FRANCE, REWORDED))
    case.same(miss, hit, reworded)
    assert "Paris" in miss["text"]
    assert case.calls() == 1


def json_hit_from_streamed_miss(case: Case) -> None:
    expected = case.elsewhere(FRANCE)
    case.ask(FRANCE, stream=True)
    alike(case.ask(FRANCE), expected)
    assert case.calls() == 1


def streamed_hit_from_json_miss(case: Case) -> None:
    expected = case.elsewhere(FRANCE, stream=True)
    case.ask(FRANCE)
    alike(case.ask(FRANCE, stream=True), expected)
    assert case.calls() == 1


def another_question_is_asked(case: Case) -> None:
    france, germany = case.ask(FRANCE), case.ask(GERMANY)
    assert without_own(france) != without_own(germany)
    if not case.sdk.rewords:
        case.ask(REWORDED)
    assert case.calls() == (2 if case.sdk.rewords else 3)


def tool_call(case: Case) -> None:
    miss, hit = case.ask(WEATHER, tools=True), case.ask(WEATHER, tools=True)
    assert miss["calls"] == [["get_weather", {"city": "Paris"}]]
    case.same(miss, hit)
    assert case.calls() == 1


def streamed_tool_call(case: Case) -> None:
    expected = case.elsewhere(WEATHER, tools=True)
    miss, hit = case.ask(WEATHER, tools=True, stream=True), case.ask(WEATHER, tools=True, stream=True)
    assert miss["calls"] == [["get_weather", {"city": "Paris"}]]
    case.same(miss, hit)
    alike(case.ask(WEATHER, tools=True), expected)
    assert case.calls() == 1


def errors_are_never_kept(case: Case) -> None:
    streams = (False, False, True, True) if case.sdk.streams else (False, False)
    errors = [case.ask(FRANCE, model="no-such-model", stream=stream)["error"] for stream in streams]
    assert {error["status"] for error in errors} == {404}
    assert case.calls() == len(streams)


STREAMED = (
    streamed_miss_hit_reworded,
    json_hit_from_streamed_miss,
    streamed_hit_from_json_miss,
    streamed_tool_call,
)
TOOLS = (tool_call, streamed_tool_call)
BEHAVIOURS: tuple[Callable[[Case], None], ...] = (
    json_miss_hit_reworded,
    *STREAMED,
    another_question_is_asked,
    tool_call,
    errors_are_never_kept,
)
CASES = [
    pytest.param(sdk, behaviour, id=f"{sdk}-{behaviour.__name__}")
    for sdk in SDKS
    for behaviour in BEHAVIOURS
    if (sdk.streams or behaviour not in STREAMED) and (sdk.tools or behaviour not in TOOLS)
]


@pytest.mark.parametrize(("sdk", "behaviour"), CASES)
def test_sdk(
    sdk: Sdk,
    behaviour: Callable[[Case], None],
    apps: Callable[[str], App],
    proxy: Proxy,
    provider: Provider,
    local_provider: Provider,
) -> None:
    provider = local_provider if sdk.local else provider
    case = Case(sdk, apps(sdk.app), provider)
    behaviour(case)
    for path in provider.stats()["paths"]:
        method = path.rpartition(":")[2].replace("streamG", "g").replace("streamR", "r")
        place = path.rpartition(":")[0] + ":" + method if ":" in path else path
        assert place.replace("no-such-model", "MODEL").replace(case.model, "MODEL").endswith(sdk.path)
