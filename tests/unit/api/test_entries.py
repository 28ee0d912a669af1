import pytest

from askonce.cache import Cache


async def test_entries_are_listed_newest_first_with_promptcaches_fields(client, remember):
    first = await remember("What is the capital of France?")
    second = await remember("How tall is Everest?", model="gpt-4o-mini")

    listing = (await client.get("/v1/cache")).json()
    assert listing["count"] == 2
    assert listing["keys"] == [second.key, first.key]
    assert [entry["prompt"] for entry in listing["entries"]] == [
        "How tall is Everest?",
        "What is the capital of France?",
    ]
    entry = listing["entries"][1]
    assert {name: entry[name] for name in ("upstream", "host", "wire", "model", "input_tokens", "output_tokens")} == {
        "upstream": "openai-chat",
        "host": "api.openai.com",
        "wire": "openai-chat",
        "model": "gpt-4o",
        "input_tokens": 9,
        "output_tokens": 3,
    }
    assert entry["upstream_seconds"] == 0.8
    assert "answer" not in entry


async def test_a_page_of_the_list(client, remember):
    keys = [(await remember(f"Question {number}")).key for number in range(5)]
    page = (await client.get("/v1/cache", params={"offset": 1, "limit": 2})).json()
    assert (page["count"], page["keys"]) == (5, [keys[3], keys[2]])


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ({"model": "gpt-4o-mini"}, ["How tall is Everest?"]),
        ({"namespace": "blue"}, ["What is the capital of Peru?"]),
        ({"namespace": ""}, ["How tall is Everest?", "What is the capital of France?"]),
        ({"upstream": "nobody"}, []),
        ({"prompt": "CAPITAL"}, ["What is the capital of Peru?", "What is the capital of France?"]),
        ({"prompt": "capital", "namespace": "blue"}, ["What is the capital of Peru?"]),
        ({"since": "253402300799"}, []),
    ],
)
async def test_filters_narrow_the_list_and_the_clearing_alike(client, remember, which, expected):
    await remember("What is the capital of France?")
    await remember("How tall is Everest?", model="gpt-4o-mini")
    await remember("What is the capital of Peru?", namespace="blue")

    listing = (await client.get("/v1/cache", params=which)).json()
    assert [entry["prompt"] for entry in listing["entries"]] == expected
    assert listing["count"] == len(expected)

    cleared = await client.delete("/v1/cache", params=which)
    assert cleared.json() == {"message": "Cache cleared successfully", "deleted_count": len(expected)}
    assert (await client.get("/v1/cache")).json()["count"] == 3 - len(expected)


async def test_a_misspelt_filter_clears_nothing(client, remember):
    await remember("What is the capital of France?")
    refused = await client.delete("/v1/cache", params={"modle": "gpt-4o"})
    assert (refused.status_code, refused.json()) == (400, {"error": "query parameter modle: is not known here"})
    assert (await client.get("/v1/cache")).json()["count"] == 1


async def test_one_entry_is_shown_whole(client, remember):
    stored = await remember("What is the capital of France?")
    shown = (await client.get(f"/v1/cache/{stored.key}")).json()
    assert shown["key"] == stored.key
    assert shown["turns"] == [{"role": "user", "text": "What is the capital of France?"}]
    assert shown["partition"] == stored.partition.hex()
    assert shown["parts"] == dict(stored.parts)
    assert shown["answer"] == {
        "content_type": "application/json",
        "encoding": "json",
        "body": {"choices": [{"message": {"content": "Paris"}}]},
    }
    assert shown["created"] < shown["expires"] <= shown["stale_until"]


async def test_an_answer_that_is_no_json_is_shown_as_what_it_is(client, remember):
    for body, content_type, encoding, shown in (
        (b"Paris \xe2\x9c\x93", "text/plain", "text", "Paris ✓"),
        (b"\x89PNG\xff", "image/png", "base64", "iVBOR/8="),
        (b"not JSON", "application/json", "text", "not JSON"),
    ):
        stored = await remember("Draw Paris", body=body, content_type=content_type)
        answer = (await client.get(f"/v1/cache/{stored.key}")).json()["answer"]
        assert answer == {"content_type": content_type, "encoding": encoding, "body": shown}


async def test_an_answer_whose_numbers_json_readers_would_round_is_shown_as_text(client, remember):
    body = b'{"wei":123456789012345678901}'
    stored = await remember("How much?", body=body, content_type="application/json")
    shown = (await client.get(f"/v1/cache/{stored.key}")).json()["answer"]
    assert shown == {"content_type": "application/json", "encoding": "text", "body": body.decode()}


async def test_deleting_one_entry(client, remember):
    stored = await remember("What is the capital of France?")
    other = await remember("How tall is Everest?")
    deleted = await client.delete(f"/v1/cache/{stored.key}")
    assert (deleted.status_code, deleted.json()) == (200, {"message": "Entry deleted successfully", "key": stored.key})
    again = await client.delete(f"/v1/cache/{stored.key}")
    assert (again.status_code, again.json()) == (404, {"error": "Entry not found"})
    gone = await client.get(f"/v1/cache/{stored.key}")
    assert (gone.status_code, gone.json()) == (404, {"error": "Entry not found"})
    assert (await client.get("/v1/cache")).json()["keys"] == [other.key]


async def test_a_beginning_of_a_key_will_do(client, remember):
    stored, other = await remember("What is the capital of France?"), await remember("How tall is Everest?")
    for length in (8, 9, 63, 64):
        assert (await client.get(f"/v1/cache/{stored.key[:length]}")).json()["key"] == stored.key
    assert (await client.get(f"/v1/cache/{stored.key[:3]}")).status_code == 404
    assert (await client.delete(f"/v1/cache/{stored.key[:8]}")).json()["key"] == stored.key
    assert (await client.get("/v1/cache")).json()["keys"] == [other.key]


async def test_a_beginning_of_several_keys_names_them_and_deletes_none(client, remember, monkeypatch):
    keys = [(await remember(f"Question {number}")).key for number in range(2)]

    async def both(_: Cache, beginning: str) -> list[str]:
        return keys

    monkeypatch.setattr(Cache, "keys", both)
    refused = await client.delete(f"/v1/cache/{keys[0][:4]}")
    said = f"Several keys begin with {keys[0][:4]}, such as {keys[0]} and {keys[1]}"
    assert (refused.status_code, refused.json()) == (409, {"error": said})
    assert (await client.get("/v1/cache")).json()["count"] == 2


async def test_a_key_that_cannot_be_one_is_not_found(client, remember):
    await remember("What is the capital of France?")
    for key in ("nonsense", "stats", "search", "%00", "' OR 1=1 --", "0" * 5000, "é"):
        response = await client.delete(f"/v1/cache/{key}")
        assert (response.status_code, response.json()) == (404, {"error": "Entry not found"})
    assert (await client.get("/v1/cache")).json()["count"] == 1


async def test_search_finds_by_meaning_across_partitions(client, remember):
    near = await remember("What is the capital of France?")
    other = await remember("What is the capital city of France?", namespace="blue")
    await remember("How do I sort a list in Python?")
    results = (await client.get("/v1/cache/search", params={"q": "capital of France", "limit": 2})).json()["results"]
    assert {found["entry"]["key"] for found in results} == {near.key, other.key}
    assert 1 >= results[0]["similarity"] >= results[1]["similarity"] > 0.5


async def test_how_full_the_cache_is(client, remember):
    await remember("What is the capital of France?")
    stats = (await client.get("/v1/cache/stats")).json()
    assert (stats["entry_count"], stats["max_entries"], stats["ttl_hours"]) == (1, 100_000, 168)
    assert (stats["partitions"], stats["embedder"], stats["evicted"]) == (1, "wordllama", 0)
    assert 0 < stats["bytes"] <= stats["max_bytes"] == 2 << 30


async def test_a_mistake_is_named_with_its_place_and_what_was_expected(client):
    integer = "input should be a valid integer, unable to parse string as an integer"
    for query, error in {
        "?limit=0": "query parameter limit: input should be greater than or equal to 1, got '0'",
        "?offset=-1": "query parameter offset: input should be greater than or equal to 0, got '-1'",
        "?since=nan": "query parameter since: input should be less than or equal to 253402300799, got 'nan'",
        "?limit=x&offset=y": f"query parameter offset: {integer}, got 'y'; query parameter limit: {integer}, got 'x'",
        f"?limit={'x' * 500}": f"query parameter limit: {integer}, got '{'x' * 78}…",
        "/search": "query parameter q: is required",
        "/search?q=": "query parameter q: string should have at least 1 character, got ''",
        "/search?q=x&k=3": "query parameter k: is not known here",
    }.items():
        response = await client.get(f"/v1/cache{query}")
        assert (response.status_code, response.json()) == (400, {"error": error})
