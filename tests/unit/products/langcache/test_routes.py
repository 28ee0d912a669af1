"""LangCache's document, endpoint by endpoint; what its SDKs make of it is in the conformance tests."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from tests.support.clock import Clock

from askonce.accounting import Accounting
from askonce.api.app import create_app
from askonce.cache import Cache, NamedStores
from askonce.products.langcache.routes import langcache
from askonce.products.langcache.section import LangCacheSpec

PROMPT = "What is the capital of France?"
REWORDED = "what's the capital city of France"
OLD_SDK, NEW_SDK = "speakeasy-sdk/python 0.11.1 2.755.9 langcache", "speakeasy-sdk/python 0.14.0 2.932.9 langcache"
NPM_SDK = "speakeasy-sdk/typescript 0.11.1 2.760.2 @redis-ai/langcache"

Langcache = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def serve(cache: Cache, accounting: Accounting, named_stores: NamedStores) -> AsyncIterator[Langcache]:
    """A client of the caches under a section of rules.yaml."""
    clients = []

    def serve(
        section: dict[str, Any] | None = None,
        *,
        token: str | None = None,
        key: str | None = None,
        agent: str = "curl/8",
    ) -> httpx.AsyncClient:
        spec = LangCacheSpec.model_validate(section or {})
        app = create_app(
            cache,
            accounting,
            token=token,
            version="1",
            ready=lambda: None,
            reload=None,
            products=[lambda shared: langcache(named_stores, lambda: spec, shared.accounting, token=shared.token)],
        )
        headers = {"user-agent": agent} | ({"authorization": f"Bearer {key}"} if key else {})
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="http://askonce.internal/v1/caches/c", headers=headers)
        clients.append(client)
        return client

    yield serve
    for client in clients:
        await client.aclose()


@pytest.fixture
def client(serve: Langcache) -> httpx.AsyncClient:
    return serve()


async def put(client: httpx.AsyncClient, prompt: str = PROMPT, response: str = "Paris", **more: Any) -> str:
    answer = await client.post("entries", json={"prompt": prompt, "response": response, **more})
    assert answer.status_code == 201, answer.text
    entry_id = answer.json()["entryId"]
    assert answer.json() == {"entryId": entry_id, "created": True}
    return str(entry_id)


async def search(client: httpx.AsyncClient, prompt: str = PROMPT, **more: Any) -> Any:
    answer = await client.post("entries/search", json={"prompt": prompt, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_hit_has_the_fields_of_the_document_and_of_the_service(client: httpx.AsyncClient) -> None:
    entry_id = await put(client, attributes={"model": "gpt-5"})
    assert len(entry_id) == 32
    fields = {"prompt": PROMPT, "response": "Paris", "similarity": 1.0, "attributes": {"model": "gpt-5"}}
    assert await search(client, attributes={"model": "gpt-5"}) == {
        "hit": True,
        "entryId": entry_id,
        **fields,
        "data": [{"id": entry_id, **fields, "searchStrategy": "semantic"}],
    }


async def test_a_miss(client: httpx.AsyncClient) -> None:
    assert await search(client) == {"hit": False, "data": []}


async def test_similarity_and_threshold_are_on_the_services_scale(
    client: httpx.AsyncClient, named_stores: NamedStores
) -> None:
    await put(client)
    [near] = await named_stores.search("langcache:c", REWORDED)
    similarity = (await search(client, REWORDED))["similarity"]
    assert similarity == pytest.approx((1 + near.similarity) / 2, abs=1e-6)
    assert 0.85 < similarity < 0.95
    assert (await search(client, REWORDED, similarityThreshold=similarity - 0.001))["hit"]
    assert not (await search(client, REWORDED, similarityThreshold=similarity + 0.001))["hit"]
    assert not (await search(client, REWORDED, similarityThreshold=1))["hit"]
    assert (await search(client, PROMPT, similarityThreshold=1.0))["hit"]


async def test_the_threshold_of_a_search_that_names_none(serve: Langcache) -> None:
    await put(serve())
    assert (await search(serve({"threshold": 0.95}), REWORDED))["hit"] is False
    assert (await search(serve({"threshold": 0.95, "caches": {"c": {"threshold": 0.8}}}), REWORDED))["hit"] is True


async def test_exact_passes_over_case_and_comes_in_the_order_asked_for(client: httpx.AsyncClient) -> None:
    await put(client)
    await put(client, REWORDED, "It is Paris")
    upper = await search(client, PROMPT.upper(), searchStrategies=["exact"])
    assert [(hit["prompt"], hit["searchStrategy"]) for hit in upper["data"]] == [(PROMPT, "exact")]
    assert not (await search(client, PROMPT[:-1], searchStrategies=["exact"]))["hit"]
    both = await search(client, PROMPT[:-1], searchStrategies=["exact", "semantic"], maxResults=9)
    assert [(hit["prompt"], hit["searchStrategy"]) for hit in both["data"]] == [
        (PROMPT, "semantic"),
        (REWORDED, "semantic"),
    ]
    first = await search(client, searchStrategies=["exact", "semantic"], maxResults=9)
    assert [hit["searchStrategy"] for hit in first["data"]] == ["exact"]


async def test_attributes_partition_and_filter(client: httpx.AsyncClient) -> None:
    one = await put(client, response="1", attributes={"user_id": "1", "model": "m"})
    two = await put(client, response="2", attributes={"user_id": "2", "model": "m"})
    assert one != two
    for strategy in ("exact", "semantic"):

        async def ids(*, strategy: str = strategy, **attributes: str) -> list[str]:
            found = await search(client, attributes=attributes, searchStrategies=[strategy], maxResults=10)
            return sorted(hit["id"] for hit in found["data"])

        assert await ids(user_id="1") == [one]
        assert await ids(user_id="2", model="m") == [two]
        assert await ids(model="m") == await ids() == sorted([one, two])
        assert await ids(user_id="3") == []


async def test_caches_do_not_know_each_other(client: httpx.AsyncClient) -> None:
    entry_id = await put(client)
    other = "http://askonce.internal/v1/caches/d/"
    assert (await client.post(other + "entries/search", json={"prompt": PROMPT})).json()["hit"] is False
    assert (await client.delete(f"{other}entries/{entry_id}")).status_code == 404
    assert (await client.post(other + "flush")).status_code == 200
    assert (await search(client))["hit"]


async def test_the_same_prompt_with_the_same_attributes_is_replaced(client: httpx.AsyncClient) -> None:
    assert await put(client, response="Lyon") == await put(client, response="Paris")
    found = await search(client, maxResults=10)
    assert [hit["response"] for hit in found["data"]] == ["Paris"]


@pytest.mark.parametrize(
    ("section", "more", "seconds"),
    [({}, {"ttlMillis": 1500}, 1.5), ({"ttl": "1m"}, {}, 60), ({"ttl": "1m"}, {"ttlMillis": 120_000}, 120)],
)
async def test_an_entry_lives_for_its_ttl(
    serve: Langcache, clock: Clock, section: dict[str, Any], more: dict[str, Any], seconds: float
) -> None:
    client = serve(section)
    entry_id = await put(client, **more)
    clock.now += seconds - 0.01
    assert (await search(client))["hit"]
    clock.now += 0.02
    assert not (await search(client))["hit"]
    assert (await client.delete(f"entries/{entry_id}")).status_code == 404


async def test_an_entry_without_ttl_stays(client: httpx.AsyncClient, clock: Clock) -> None:
    await put(client)
    clock.now += 5 * 365 * 86400
    assert (await search(client))["hit"]


@pytest.mark.parametrize("agent", [OLD_SDK, NEW_SDK, NPM_SDK])
async def test_sdks_are_told_of_a_deletion_without_a_body(serve: Langcache, agent: str) -> None:
    client = serve(agent=agent)
    entry_id = await put(client)
    for answer in (await client.delete(f"entries/{entry_id}"), await client.post("flush")):
        assert (answer.status_code, answer.content) == (204, b"")


async def test_others_are_told_of_a_deletion_as_the_document_says(client: httpx.AsyncClient) -> None:
    entry_id = await put(client)
    answer = await client.delete(f"entries/{entry_id}")
    assert (answer.status_code, answer.json()) == (200, {"deleted": True})
    assert not (await search(client))["hit"]
    await put(client)
    answer = await client.post("flush")
    assert (answer.status_code, answer.json()) == (200, {"flushed": True})
    assert not (await search(client))["hit"]


async def test_who_is_told_without_a_body_can_be_set(serve: Langcache) -> None:
    assert (await serve({"empty_replies": "always"}).post("flush")).status_code == 204
    assert (await serve({"empty_replies": "never"}, agent=NEW_SDK).post("flush")).json() == {"flushed": True}


async def test_delete_by_attributes(client: httpx.AsyncClient) -> None:
    for number in range(4):
        await put(client, f"{PROMPT} {number}", attributes={"user_id": str(number % 2)})
    answer = await client.request("DELETE", "entries", json={"attributes": {"user_id": "1"}})
    assert (answer.status_code, answer.json()) == (200, {"deletedCount": 2, "deletedEntriesCount": 2})
    assert len((await search(client, maxResults=10, similarityThreshold=0))["data"]) == 2


@pytest.mark.parametrize("body", [{"attributes": {}}, {}, {"attributes": None}])
async def test_delete_without_attributes_deletes_nothing(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    await put(client)
    answer = await client.request("DELETE", "entries", json=body)
    assert (answer.status_code, answer.json()["type"]) == (400, "/errors/invalid-data")
    assert (await search(client))["hit"]


async def test_a_conversation_is_searched_as_a_whole(client: httpx.AsyncClient) -> None:
    france = {"prompt": "And its capital?", "context": ["Where is France?"]}
    italy = {"prompt": "And its capital?", "context": ["Where is Italy?"]}

    async def ask(body: dict[str, Any]) -> Any:
        answer = await client.post("conversations/search", json=body)
        assert answer.status_code == 200
        return answer.json()

    missed = await ask(france)
    assert missed == {"hit": False, "data": [], "actualPrompt": "Where is France?\nAnd its capital?"}
    entry_id = await put(client, missed["actualPrompt"])
    assert (await ask(france))["data"][0]["id"] == entry_id
    assert (await ask(italy | {"similarityThreshold": 0.5}))["hit"] is False
    await put(client)
    alone = await ask({"prompt": REWORDED})
    assert (alone["hit"], alone["actualPrompt"]) == (True, REWORDED)


async def test_guards_are_the_operators_choice(serve: Langcache) -> None:
    miles, kilometres = "Convert 10 miles to km", "Convert 10 km to miles"
    await put(serve(), miles)
    assert (await search(serve(), kilometres, similarityThreshold=0.95))["hit"]
    assert not (await search(serve({"guards": True}), kilometres, similarityThreshold=0.95))["hit"]
    assert not (await search(serve({"caches": {"c": {"guards": True}}}), kilometres))["hit"]


# Errors


def error(answer: httpx.Response) -> tuple[int, str, str]:
    body = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["error"]["message"] == body["detail"]
    return answer.status_code, body["type"], body["error"]["code"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("entries/search", {}, "prompt"),
        ("entries/search", {"prompt": ""}, "prompt"),
        ("entries/search", {"prompt": 7}, "prompt"),
        ("entries/search", {"prompt": "p", "similarityThreshold": 1.01}, "similarityThreshold"),
        ("entries/search", {"prompt": "p", "similarityThreshold": -0.1}, "similarityThreshold"),
        ("entries/search", {"prompt": "p", "similarityThreshold": "0.9"}, "similarityThreshold"),
        ("entries/search", {"prompt": "p", "searchStrategies": ["fuzzy"]}, "searchStrategies.0"),
        ("entries/search", {"prompt": "p", "searchStrategies": []}, "searchStrategies"),
        ("entries/search", {"prompt": "p", "attributes": {"a": 1}}, "attributes.a"),
        ("entries/search", {"prompt": "p", "attributes": ["a"]}, "attributes"),
        ("entries/search", {"prompt": "p", "maxResults": 0}, "maxResults"),
        ("entries", {"prompt": "p"}, "response"),
        ("entries", {"response": "r"}, "prompt"),
        ("entries", {"prompt": "p", "response": "r", "ttlMillis": 0}, "ttlMillis"),
        ("entries", {"prompt": "p", "response": "r", "ttlMillis": 31_556_952_001}, "ttlMillis"),
        ("entries", {"prompt": "p", "response": "r", "attributes": {"": "x"}}, "attributes..[key]"),
        ("conversations/search", {"prompt": "p", "context": "before"}, "context"),
    ],
)
async def test_what_is_wrong_with_a_body_is_told(client: httpx.AsyncClient, path: str, body: Any, field: str) -> None:
    answer = await client.post(path, json=body)
    assert error(answer) == (400, "/errors/invalid-data", "INVALID_REQUEST")
    [mistake] = answer.json()["fields"]
    assert mistake["field"] == field
    assert field in answer.json()["detail"]


async def test_a_missing_field_is_told_in_the_words_of_the_document(client: httpx.AsyncClient) -> None:
    answer = await client.post("entries", json={"response": "r"})
    assert answer.json()["fields"] == [
        {"field": "prompt", "rule": "missing", "message": "Missing required field: prompt"}
    ]
    assert answer.json()["error"] == {"code": "INVALID_REQUEST", "message": "Missing required field: prompt"}
    both = await client.post("entries", json={"prompt": ""})
    assert both.json()["error"]["message"].startswith("prompt: ")
    assert both.json()["error"]["message"].endswith("; Missing required field: response")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b"\xff", b'{"prompt":"\\ud800","response":"r"}'])
@pytest.mark.parametrize("path", ["entries", "entries/search", "conversations/search"])
async def test_what_is_no_json_object_or_no_text_is_refused(client: httpx.AsyncClient, path: str, body: bytes) -> None:
    answer = await client.post(path, content=body, headers={"content-type": "application/json"})
    assert error(answer) == (400, "/errors/invalid-data", "INVALID_REQUEST")


async def test_null_stands_for_absent(client: httpx.AsyncClient) -> None:
    await put(client, attributes=None, ttlMillis=None)
    assert (await search(client, attributes=None, similarityThreshold=None, searchStrategies=None, maxResults=None))[
        "hit"
    ]


async def test_whole_numbers_may_be_written_with_a_fraction(client: httpx.AsyncClient) -> None:
    await put(client, ttlMillis=60000.0)
    assert (await search(client, maxResults=1.0))["hit"]
    for path, name in (("entries", "ttlMillis"), ("entries/search", "maxResults")):
        answer = await client.post(path, json={"prompt": "p", "response": "r", name: 1.5})
        assert answer.json()["fields"][0]["field"] == name


async def test_a_body_that_is_too_large_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("entries", json={"prompt": "p", "response": "r" * (1 << 20)})
    assert error(answer) == (413, "/errors/payload-too-large", "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(
    ("agent", "entry_type", "cache_type"),
    [
        ("curl/8", "/errors/resource-not-found", "/errors/resource-not-found"),
        (NEW_SDK, "/errors/resource-not-found", "/errors/resource-not-found"),
        ("speakeasy-sdk/python 1.0.0 3 langcache", "/errors/resource-not-found", "/errors/resource-not-found"),
        (OLD_SDK, "/errors/cache/entry/not-found", "/errors/cache/not-found"),
        (NPM_SDK, "/errors/cache/entry/not-found", "/errors/cache/not-found"),
    ],
)
async def test_a_404_has_the_type_that_the_caller_knows(
    serve: Langcache, agent: str, entry_type: str, cache_type: str
) -> None:
    answer = await serve(agent=agent).delete("entries/" + "0" * 32)
    assert error(answer) == (404, entry_type, "NOT_FOUND")
    strict = serve({"create_missing": False, "caches": {"other": {}}}, agent=agent)
    for answer in (await strict.post("flush"), await strict.post("entries/search", json={"prompt": "p"})):
        assert error(answer) == (404, cache_type, "NOT_FOUND")


async def test_a_cache_that_is_named_is_there(serve: Langcache) -> None:
    await put(serve({"create_missing": False, "caches": {"c": {}}}))


async def test_a_method_or_path_that_is_not_there(client: httpx.AsyncClient) -> None:
    assert error(await client.get("entries"))[0] == 405
    assert error(await client.get("nothing"))[:2] == (404, "/errors/resource-not-found")


async def test_a_key_opens_every_cache_or_one(serve: Langcache) -> None:
    section = {"api_keys": ["all"], "caches": {"c": {"api_keys": ["ours"]}, "d": {"api_keys": ["theirs"]}}}
    for key in ("all", "ours"):
        await put(serve(section, key=key))
    keys: tuple[str | None, ...] = (None, "wrong", "al", "ALL")
    for wrong in keys:
        answer = await serve(section, key=wrong).post("flush")
        assert error(answer) == (401, "/errors/authentication-failed", "UNAUTHORIZED")
        assert answer.headers["www-authenticate"] == "Bearer"
    answer = await serve(section, key="theirs").post("flush")
    assert error(answer) == (403, "/errors/insufficient-permissions", "FORBIDDEN")
    assert (await search(serve(section, key="ours")))["hit"]


async def test_the_key_comes_before_everything_else(serve: Langcache) -> None:
    client = serve({"api_keys": ["k"], "create_missing": False})
    assert (await client.post("entries", content=b"{")).status_code == 401
    assert (await serve({"api_keys": ["k"], "create_missing": False}, key="k").post("flush")).status_code == 404


async def test_without_keys_the_management_token_is_the_key(serve: Langcache) -> None:
    assert (await serve(token="secret").post("flush")).status_code == 401
    assert (await serve(token="secret", key="secret").post("flush")).status_code == 200
    assert (await serve({"api_keys": ["k"]}, token="secret", key="secret").post("flush")).status_code == 401


async def test_a_key_may_hold_any_character(serve: Langcache) -> None:
    client = serve({"api_keys": ["clé"]})
    answer = await client.post("flush", headers=[(b"authorization", "Bearer clé".encode())])
    assert answer.status_code == 200


async def test_strict_attributes(serve: Langcache) -> None:
    client = serve({"caches": {"c": {"attributes": ["user_id"]}}})
    await put(client, attributes={"user_id": "1"})
    for body in ({"prompt": "p", "response": "r", "attributes": {"x": "y"}},):
        answer = await client.post("entries", json=body)
        assert error(answer) == (400, "/errors/invalid-data", "INVALID_REQUEST")
        assert answer.json()["fields"][0]["field"] == "attributes.x"
    none = serve({"caches": {"c": {"attributes": []}}})
    answer = await none.post("entries/search", json={"prompt": "p", "attributes": {"x": "y"}})
    assert "no attributes are configured" in answer.json()["detail"]  # what redisvl looks for
    answer = await none.request("DELETE", "entries", json={"attributes": {"x": "y"}})
    assert answer.status_code == 400


async def test_a_prompt_may_be_limited(serve: Langcache) -> None:
    client = serve({"max_prompt": 10})
    await put(client, "p" * 10)
    for path in ("entries", "entries/search"):
        answer = await client.post(path, json={"prompt": "p" * 11, "response": "r"})
        assert error(answer)[:2] == (400, "/errors/invalid-data")
        assert answer.json()["fields"] == [
            {"field": "prompt", "rule": "max_length", "message": "at most 10 characters, got 11"}
        ]


async def test_a_rate_is_told_and_kept_for_each_key(serve: Langcache) -> None:
    section = {"rate": "2/hour", "api_keys": ["a", "b"]}
    client = serve(section, key="a")
    for left in ("1", "0"):
        answer = await client.post("entries/search", json={"prompt": "p"})
        assert answer.status_code == 200
        assert (answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]) == ("2", left)
        assert int(answer.headers["x-ratelimit-reset"]) > 1_700_000_000
    answer = await client.post("flush")
    assert error(answer) == (429, "/errors/too-many-requests", "RATE_LIMITED")
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert 0 < int(answer.headers["retry-after"]) <= 3600
    answer = await client.post("flush", headers={"authorization": "Bearer b"})
    assert answer.status_code == 200


async def test_a_failing_disk_is_a_500(client: httpx.AsyncClient, named_stores: NamedStores) -> None:
    await named_stores.close()
    answer = await client.post("entries/search", json={"prompt": "p", "searchStrategies": ["exact"]})
    assert error(answer) == (500, "/errors/unexpected-error", "INTERNAL_ERROR")


async def test_a_fault_is_a_500_that_says_nothing(
    client: httpx.AsyncClient, named_stores: NamedStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(named_stores, "search", fail)
    answer = await client.post("entries/search", json={"prompt": "p"})
    assert error(answer) == (500, "/errors/unexpected-error", "INTERNAL_ERROR")
    assert "secret" not in answer.text


async def test_the_view_serves_the_same(client: httpx.AsyncClient) -> None:
    await put(client)
    for url in ("http://askonce.internal/langcache/v1/caches/c/", "http://langcache.askonce.internal/v1/caches/c/"):
        assert (await client.post(url + "entries/search", json={"prompt": PROMPT})).json()["hit"]
        assert error(await client.delete(url + "entries/1"))[:2] == (404, "/errors/resource-not-found")


@pytest.mark.parametrize(
    "section", [{"rate": "often"}, {"threshold": 2}, {"caches": {"c": {"max_prompt": 0}}}, {"x": 1}, {"api_keys": [""]}]
)
def test_a_wrong_section_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        LangCacheSpec.model_validate(section)


async def test_searches_and_sets_are_counted(client: httpx.AsyncClient, accounting: Accounting) -> None:
    await search(client)
    await put(client)
    for prompt in (PROMPT, PROMPT.upper(), REWORDED):
        await search(client, prompt, searchStrategies=["exact", "semantic"])
    await client.post("entries/search", json={})
    await client.post("flush")
    assert accounting.stats()["stores"] == {
        "langcache": {
            "flush": {"done": 1},
            "search": {"error": 1, "exact": 2, "miss": 1, "semantic": 1},
            "set": {"done": 1},
        }
    }
    assert accounting.stats()["calls"] == 0
