"""What is noise in a pair of texts or fields, and what is not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cli.suggest.noise import field_noise, header_noise, text_noise

UUIDS = "6f1c0c5e-8a52-4b3e-9d7a-0f6a1f2b3c4d", "aa2c0c5e-1152-4b3e-9d7a-0f6a1f2b3c99"


@pytest.mark.parametrize(
    ("one", "other", "kind", "pattern"),
    [
        (f"Run {UUIDS[0]}.", f"Run {UUIDS[1]}.", "id", "{hex}-{hex}-{hex}-{hex}-{hex}"),
        (
            "Now: 2026-11-29T10:05:13.5Z",
            "Now: 2027-01-02T11:15:14.123Z",
            "time",
            "{number}-{number}-{number}T{number}:{number}:{number}Z",
        ),
        ("It is 10:05:13 now", "It is 10:06:01 now", "time", "{number}:{number}:{number}"),
        ("since 1764410713", "since 1764410799", "time", "{number}"),
        ("Wall time: 0.4 seconds", "Wall time: 12.25 seconds", "wall time", "{number}"),
        ("took 4 attempts", "took 5 attempts", "wall time", "{number}"),
        ("on http://localhost:43121/v1", "on http://localhost:50233/v1", "port", "{number}"),
        ("pid 4121", "pid 97", "counter", "{number}"),
        ("In /tmp/tmpab12cd there", "In /tmp/tmpqqrrst there", "temporary path", "{word}"),
        ("file /var/folders/x1/abc/T/b", "file /var/folders/x1/abd/T/b", "temporary path", "{word}"),
        ("Chunk ID: 8f3a2c1d", "Chunk ID: 00a9b7e2", "id", "{hex}"),
        ("sha d41d8cd98f00b204e9800998ecf8427e", "sha 0cc175b9c0f1b6a831c399e269772661", "hash", "{hex}"),
        ("id call_Ab12Cd34", "id call_Zz98Yy76", "id", "call_{word}"),
        ('"chunk_id":"7b6d85"', '"chunk_id":"c02867"', "id", "{word}"),
        ('"wall_time_seconds":0.0052,', '"wall_time_seconds":0.013,', "wall time", "{number}"),
        ("v; cch=0f3a2;", "v; cch=9bc01;", "id", "{hex}"),
    ],
)
def test_noise_in_a_text(one: str, other: str, kind: str, pattern: str) -> None:
    found = text_noise(one, other)
    assert found and [(noise.kind, noise.pattern) for noise in found] == [(kind, pattern)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Answer in French.", "Answer in German."),
        ("You have 3 apples.", "You have 4 apples."),
        ("Today is 2026-11-29.", "Today is 2026-11-30."),
        ("In /home/ann/shop", "In /home/ann/blog"),
        ("The user is 34 years old, id 1", "The user is 35 years old, id 2"),
        ("Be brief.", "Be brief. Be kind."),
        ("a b", "b a"),
        ("gpt-4o", "gpt-4.1"),
        ("model gpt4o", "model gpt5x"),
        ("Now: 10:05", "Now: later"),
        ("Answer in French. Now: 10:05", "Answer in German. Now: 10:06"),
        ("x" * 9_000, "y " * 9_000),
        ("same", "same"),
    ],
)
def test_what_may_matter_is_no_noise(one: str, other: str) -> None:
    assert text_noise(one, other) is None


@given(st.text("ab1:-./ \n", max_size=30), st.text("ab1:-./ \n", max_size=30))
def test_all_but_the_noise_is_the_same(one: str, other: str) -> None:
    found = text_noise(one, other) or ()
    ends = [0, *(end for noise in found for end in (noise.start, noise.end)), len(one)]
    assert ends == sorted(ends)
    for start, end in zip(ends[::2], ends[1::2], strict=True):
        assert one[start:end] in other if found else True


@pytest.mark.parametrize(
    ("path", "one", "other", "kind"),
    [
        (("metadata", "request_id"), UUIDS[0], UUIDS[1], "id"),
        (("metadata", "requestId"), "zebra", "tiger", "id"),
        (("metadata", "nr"), UUIDS[0], UUIDS[1], "id"),
        (("metadata", "started_at"), "2026-11-29 10:05:13", "2026-11-29 10:06:13", "time"),
        (("client", "ts"), 1764410713, 1764410799, "time"),
        (("client", "seq"), 1, 2, "counter"),
        (("input", 3, "id"), "msg_1", "msg_2", "id"),
        (("metadata", "count"), 1, 2, ""),
        (("metadata", "city"), "Paris", "Berlin", ""),
        (("metadata", "id"), "ann@example.com", "bob@example.com", ""),
        (("messages", 0, "content"), UUIDS[0], UUIDS[1], ""),
        (("metadata", "id"), None, "a", ""),
        (("metadata", "id"), True, False, ""),
        (("metadata", "id"), ["a"], ["b"], ""),
        ((), "a", "b", ""),
    ],
)
def test_noise_that_is_a_whole_field(path: Any, one: Any, other: Any, kind: str) -> None:
    assert field_noise(path, one, other) == kind


def test_headers_are_known_by_their_names() -> None:
    assert [header_noise(name) for name in ("x-session-id", "x-sent-at", "x-region")] == ["id", "time", ""]
