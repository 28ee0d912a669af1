"""A cassette on disk."""

from collections import Counter
from pathlib import Path

import pytest

from askonce.cache import Cache, Record, load_embedder
from askonce.cache.cassette import Cassette, CassetteError
from askonce.cache.judge import load_judge
from askonce.call import Answer, Call, Turn

EMBEDDER = load_embedder("wordllama")


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def play(cassette: Cassette, *prompts: str, at: float = 1_800_000_000.7) -> None:
    """One run: what the file holds is taken in, answers to `prompts` are recorded, and all is saved."""
    asked = Counter[str]()
    with cassette.open_folder() as folder:
        cache = Cache.open(Path(folder), embedder=EMBEDDER, judge=load_judge(), clock=lambda: at)
        assert await cache.restore(cassette.records) == len(cassette.records)
        for prompt in prompts:
            call = Call("openai-chat", prompt, {"model": "m"}, model="m", turns=(Turn("user", prompt),))
            identity = cache.identify(call, host="api.example.com", scope="shared")
            asked[prompt] += 1
            await cache.remember(
                call,
                cache.repeated(identity, prompt, asked[prompt]) if asked[prompt] > 1 else identity,
                Answer(b'{"choices":[]}'),
                upstream="chat",
                host="api.example.com",
                ttl=1e9,
                upstream_seconds=0.5,
            )
        cassette.save(Record(entry, entry.vector is not None) for entry in await cache.list())
        await cache.close()


async def test_entries_stand_in_the_order_of_their_prompts_and_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    await play(Cassette(path, must_exist=False), "b", "c")
    before = path.read_bytes()
    first, *lines = before.splitlines()
    assert first.startswith(b'{"askonce":"cassette","version":1,"id":"')
    assert [record.entry.prompt for record in Cassette(path, must_exist=True).records] == ["b", "c"]

    stamp = path.stat().st_mtime_ns
    await play(Cassette(path, must_exist=False))
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, stamp)

    await play(Cassette(path, must_exist=False), "a")
    assert path.read_bytes().splitlines()[2:] == lines
    assert files(tmp_path) == [path.name]


async def test_what_is_asked_less_often_leaves_no_answers_behind(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"

    def times() -> list[tuple[str, str, float]]:
        entries = [record.entry for record in Cassette(path, must_exist=True).records]
        return [(entry.prompt, entry.parts.get("repeat", "")[-1:], entry.created - 1_800_000_000) for entry in entries]

    await play(Cassette(path, must_exist=False), "a", "a", "b", "a", "b")
    assert times() == [("a", "", 0), ("a", "2", 0), ("a", "3", 0), ("b", "", 0), ("b", "2", 0)]
    await play(Cassette(path, must_exist=False), "a", "a", at=1_800_000_060)
    assert times() == [("a", "", 60), ("a", "2", 60), ("b", "", 0), ("b", "2", 0)]


async def test_an_embedder_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    await play(Cassette(path, must_exist=False), "What is the capital of France?")
    before = path.read_bytes()
    assert b'"semantic":true' in before
    cassette = Cassette(path, must_exist=False)
    cassette.save(Record(record.entry, False) for record in cassette.records)  # without their vectors
    assert path.read_bytes() == before


async def test_two_that_record_side_by_side_keep_the_answers_of_both(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    one, other = Cassette(path, must_exist=False), Cassette(path, must_exist=False)
    await play(one, "a", "b")
    await play(other, "b", "c")
    assert [record.entry.prompt for record in Cassette(path, must_exist=True).records] == ["a", "b", "c"]


async def test_what_the_cache_forgot_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    await play(Cassette(path, must_exist=False), "a", "b")
    cassette = Cassette(path, must_exist=False)
    cassette.save([record for record in cassette.records if record.entry.prompt == "b"])
    assert [record.entry.prompt for record in Cassette(path, must_exist=True).records] == ["b"]


async def test_nothing_recorded_makes_no_file(tmp_path: Path) -> None:
    await play(Cassette(tmp_path / "c.jsonl", must_exist=False))
    assert files(tmp_path) == []


def test_the_secret_follows_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"askonce":"cassette","version":1,"id":"abc"}\n\n')
    one, other = Cassette(path, must_exist=True), Cassette(path, must_exist=True)
    assert one.secret == other.secret and len(one.secret) == 32
    path.write_text('{"askonce":"cassette","version":1,"id":"abd"}\n')
    assert Cassette(path, must_exist=True).secret != one.secret


async def test_a_cassette_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    with pytest.raises(CassetteError, match="there is no such cassette"):
        Cassette(path, must_exist=True)
    with pytest.raises(CassetteError, match="cannot be written"):
        Cassette(tmp_path / "no" / "c.jsonl", must_exist=False)
    with pytest.raises(CassetteError, match="cannot be read"):
        Cassette(tmp_path, must_exist=True)
    for text in ("{}", "hello", '{"askonce":"cache","version":1,"identity":"a"}', '{"askonce":"cassette","version":1}'):
        path.write_text(text)
        with pytest.raises(CassetteError, match=r'c\.jsonl:1: expected \{"askonce":"cassette"'):
            Cassette(path, must_exist=True)
    path.write_text('{"askonce":"cassette","version":2,"id":"a"}')
    with pytest.raises(CassetteError, match="version 2 is not known here"):
        Cassette(path, must_exist=True)
    path.unlink()

    await play(Cassette(path, must_exist=False), "alpha")
    path.write_bytes(path.read_bytes().replace(b"alpha", b"omega"))
    with pytest.raises(CassetteError, match=r"c\.jsonl:2: prompt: is not the one that was recorded"):
        Cassette(path, must_exist=True)
