"""What two runs differ in, and the lines after which they do not."""

from typing import Any

from askonce.calls.kept_request import KeptRequest
from askonce.cli.suggest.lines import Ignore, Normalise
from askonce.cli.suggest.suggestion import CallPair, Recorded, Suggestion, overlooked, pair, suggest
from askonce.rules import Document

RULES = """
version: 1
upstreams:
  - {name: house, hosts: [llm.example.com], paths: [/v1/chat/completions], wire: openai-chat, headers: [x-mode-id]}
"""


def call(user: str = "Hi", system: str = "", answer: str = "", headers: Any = (), model: str = "m", **more: Any) -> Any:
    messages = [{"role": "system", "content": system}] if system else []
    messages = [*messages, *more.pop("history", ()), {"role": "user", "content": user}]
    body = {"model": model, "messages": messages, **more}
    return Recorded("house", "llm.example.com", KeptRequest("/v1/chat/completions", body, dict(headers)), answer)


def suggested(first: list[Recorded], second: list[Recorded]) -> Suggestion:
    pairs, _ = pair(first, second)
    [found] = suggest(Document.parse(RULES), pairs)
    return found


def test_noise_in_a_field_and_in_a_text() -> None:
    runs = [[call(system=f"Be kind.\nNow: 10:0{n}:13\n", metadata={"request_id": f"req_0{n}ab12cd"})] for n in (1, 2)]
    found = suggested(*runs)
    assert found.lines == [
        Normalise(
            "$.messages[?@.role == 'system'].content",
            "time",
            "Now: {number}:{number}:{number}",
            "Now: (time)",
        ),
        Ignore("$.metadata.request_id", "id"),
    ]
    assert (found.same, found.hits, found.content) == ([], [1], [])
    assert overlooked(found.lines[0], found.pairs).examples == ("Now: 10:01:13", "Now: 10:02:13")
    assert overlooked(found.lines[1], found.pairs).places == 2


def test_equal_runs_need_nothing() -> None:
    found = suggested([call()], [call()])
    assert (found.same, found.lines, found.content, found.hits) == ([1], [], [], [])


def test_the_prompt_is_never_overlooked() -> None:
    found = suggested([call("It is 10:05:13. Hi")], [call("It is 10:06:14. Hi")])
    assert (found.lines, found.hits, [one.why for one in found.content]) == ([], [], ["prompt"])


def test_a_path_that_would_reach_the_prompt_is_narrowed() -> None:
    runs = [
        [call("It is 10:05:13 in Rome", history=[{"role": "user", "content": f"It is 10:0{n}:13 in Oslo"}])]
        for n in (1, 2)
    ]
    found = suggested(*runs)
    assert [line.path for line in found.lines] == ["$.messages[0].content"] and found.hits == [1]


def test_content_is_shown_and_not_proposed() -> None:
    found = suggested([call(system="Answer in French.", seed=17)], [call(system="Answer in German.", seed=18)])
    assert found.lines == [] and found.hits == []
    assert [(one.path, one.one, one.why) for one in found.content] == [
        ("$['messages'][0]['content']", "Answer in French.", "content"),
        ("$['seed']", "17", "content"),
    ]


def test_what_an_answer_said_follows_from_it() -> None:
    runs = []
    for said, ident in (("It is sunny.", "call_ab12cd34"), ("The sun shines.", "call_zy98xw76")):
        uses = [{"id": ident, "type": "function", "function": {"name": "f", "arguments": "{}"}}]
        history = [
            {"role": "assistant", "content": said, "tool_calls": uses},
            {"role": "tool", "tool_call_id": ident, "content": "ok"},
        ]
        first = call(metadata={"request_id": ident[5:]}, answer=f'{{"content": "{said}", "id": "{ident}"}}')
        runs.append([first, call(history=history)])
    found = suggested(*runs)
    assert found.lines == [Ignore("$.metadata.request_id", "id")]
    assert (found.hits, found.after, {one.why for one in found.content}) == ([1], [2], {"answer"})


def test_ids_of_all_items_are_one_line() -> None:
    history = [[{"role": "assistant", "content": text, "id": f"{text}_{n}"} for text in ("a", "b")] for n in (1, 2)]
    found = suggested(*([call(history=one)] for one in history))
    assert found.lines == [Ignore("$.messages[*].id", "id")] and found.hits == [1]


def test_headers_that_are_called_like_ids() -> None:
    one, other = ({"x-session-id": n, "x-region": n, "x-mode-id": n} for n in ("1", "2"))
    found = suggested([call(headers=one)], [call(headers=other)])
    assert (found.headers, sorted(c.path for c in found.content)) == (["x-session-id"], ["x-mode-id", "x-region"])
    assert found.hits == []
    found = suggested([call(headers={"x-session-id": "1"})], [call(headers={"x-session-id": "2"})])
    assert (found.headers, found.hits) == (["x-session-id"], [1])


def test_calls_are_paired_by_what_they_ask() -> None:
    first = [call("A"), call("B"), call("C", model="n")]
    second = [call("B"), call("A"), call("D"), call("E")]
    pairs, alone = pair(first, second)
    assert [(one.number, one.one.kept.body["messages"][0]["content"]) for one in pairs] == [(1, "B"), (2, "A")]
    assert alone == 3


def test_rules_that_are_not_there_are_left_out() -> None:
    other = Recorded("theirs", "h", KeptRequest("/", {}, {}))
    assert suggest(Document.parse(RULES), [CallPair(1, other, other)]) == []


def test_no_more_texts_than_a_rule_may_have() -> None:
    runs = [[call(system="\n".join(f"Line {chr(65 + i)}: 10:0{n}" for i in range(17)))] for n in (1, 2)]
    found = suggested(*runs)
    assert (found.lines, [one.why for one in found.content]) == ([], ["content"])
