"""Export and import through the management API."""

import threading

import orjson
import pytest

from askonce.api import transfer


async def exported(client, after=0):
    response = await client.get("/v1/cache/export", params={"after": after})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/jsonl")
    return response.content.split(b"\n")


async def test_what_was_exported_can_be_imported_again(client, remember, cache):
    entries = [await remember(f"What is the capital of {land}?") for land in ("France", "Peru")]
    first, *lines, rest = await exported(client)
    assert orjson.loads(first) == {"askonce": "cache", "version": 1, "identity": cache.fingerprint}
    assert [orjson.loads(line)["prompt"] for line in lines] == [entry.prompt for entry in entries]
    assert rest == b""

    await client.delete("/v1/cache")
    body = b"\n".join([first, *lines])
    assert (await client.post("/v1/cache/import", content=body)).json() == {"imported": 2, "skipped": 0}
    assert (await client.post("/v1/cache/import", content=body)).json() == {"imported": 0, "skipped": 2}
    back = await cache.get(entries[0].key)
    assert (back.answer, back.turns, dict(back.parts)) == (
        entries[0].answer,
        entries[0].turns,
        dict(entries[0].parts),
    )
    assert back.expires == pytest.approx(entries[0].expires, abs=1e-6)
    found = (await client.get("/v1/cache/search", params={"q": "the capital of France"})).json()
    assert found["results"][0]["entry"]["key"] == entries[0].key  # it has its vector again


async def test_a_large_export_comes_in_pages(client, remember, monkeypatch):
    monkeypatch.setattr(transfer, "_PAGE_BYTES", 1)
    for number in range(3):
        await remember(f"Question {number}")
    prompts, after = [], 0
    while after is not None:
        first, *lines = await exported(client, after)
        prompts += [orjson.loads(line)["prompt"] for line in lines if line]
        after = orjson.loads(first).get("next")
    assert prompts == ["Question 0", "Question 1", "Question 2"]


async def test_the_newer_answer_stays(client, remember):
    await remember("What is the capital of France?", body=b'{"old":1}')
    body = b"\n".join(await exported(client))
    newer = await remember("What is the capital of France?", body=b'{"new":1}')
    assert (await client.post("/v1/cache/import", content=body)).json() == {"imported": 0, "skipped": 1}
    assert (await client.get(f"/v1/cache/{newer.key}")).json()["answer"]["body"] == {"new": 1}


async def test_an_import_may_be_larger_than_other_requests(client, remember):
    await remember("What is the capital of France?", body=orjson.dumps({"content": "x" * (2 << 20)}))
    body = b"\n".join(await exported(client))
    assert (await client.post("/v1/cache/import", content=body)).json() == {"imported": 0, "skipped": 1}
    too_large = await client.post("/v1/cache/import", content=bytes(transfer.MAX_IMPORT + 1))
    assert too_large.status_code == 413


async def test_what_cannot_be_imported_changes_nothing(client, remember, cache):
    await remember("What is the capital of France?")
    await remember("What is the capital of Peru?")
    first, france, peru, _ = await exported(client)
    await client.delete("/v1/cache")

    async def refused(*lines):
        response = await client.post("/v1/cache/import", content=b"\n".join(lines))
        assert (response.status_code, await cache.count()) == (400, 0)
        return response.json()["error"]

    assert (await refused(b"")).startswith('line 1: expected {"askonce":"cache"')
    assert (await refused(france)).startswith('line 1: expected {"askonce":"cache"')
    assert (await refused(first.replace(b'"version":1', b'"version":2'), france)) == (
        "line 1: version 2 is not known here; update Askonce"
    )
    foreign = orjson.dumps(orjson.loads(first) | {"identity": "0" * 16})
    assert (await refused(foreign, france)).startswith("line 1: written by a cache with another secret")
    assert (await refused(first, france, b"", b"{}")).startswith("line 4: upstream: field required")
    assert "entry 2: the key is not that of the prompt" in (
        await refused(first, france, peru.replace(b"Peru", b"Iran"))
    )


@pytest.fixture
def apart(cache, monkeypatch):
    """The jobs that the cache's threads did: how many lines were read, written, checked and kept in each."""
    jobs, done, run = [], [], cache._threads._workers.run
    loop = threading.current_thread()

    def note(owner, name):
        step = getattr(owner, name)

        def noted(*arguments, **more):
            assert threading.current_thread() is not loop, f"{name} on the event loop"
            done.append(name)
            return step(*arguments, **more)

        monkeypatch.setattr(owner, name, noted)

    async def count(work):
        def counted():
            before = len(done)
            try:
                return work()
            finally:
                jobs.append(len(done) - before)

        return await run(counted)

    for owner, name in ((transfer, "read_record"), (transfer, "write_record"), (cache, "key"), (cache._store, "get")):
        note(owner, name)
    monkeypatch.setattr(cache._threads._workers, "run", count)
    return jobs, done


async def test_many_entries_are_read_and_kept_beside_the_event_loop_a_part_at_a_time(client, remember, apart):
    await remember("What is the capital of France?")
    first, line, _ = await exported(client)
    jobs, done = apart
    jobs.clear(), done.clear()
    body = b"\n".join([first, *[line] * 1000])
    assert (await client.post("/v1/cache/import", content=body)).json() == {"imported": 0, "skipped": 1000}
    assert {name: done.count(name) for name in done} == {"read_record": 2000, "key": 2000, "get": 1000}
    assert max(jobs) <= 256
    wrong = b"\n".join([first, *[line] * 700, line.replace(b"capital", b"Capital")])
    refused = await client.post("/v1/cache/import", content=wrong)
    assert refused.json()["error"].startswith("entry 701: the key is not that of the prompt")


async def test_more_entries_are_kept_than_may_wait_for_the_disk(client, remember, cache, monkeypatch):
    monkeypatch.setattr("askonce.cache.stored_entries.RESTORED_AT_ONCE", 8)
    entries = [await remember(f"What is {number} and {number}?") for number in range(40)]
    body = b"\n".join(await exported(client))
    await client.delete("/v1/cache")
    waiting, most, put = 0, 0, cache._store.put

    def counted(entry):
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        future = put(entry)
        future.add_done_callback(over)
        return future

    def over(_):
        nonlocal waiting
        waiting -= 1

    monkeypatch.setattr(cache._store, "put", counted)
    assert (await client.post("/v1/cache/import", content=body)).json() == {"imported": 40, "skipped": 0}
    assert most <= 8
    assert await cache.count() == len(entries)


async def test_an_export_is_written_beside_the_event_loop(client, remember, apart):
    for number in range(40):
        await remember(f"What is {number} and {number}?")
    jobs, done = apart
    jobs.clear(), done.clear()
    assert len(await exported(client)) == 42
    assert done.count("write_record") == 40
    assert max(jobs) <= 16
