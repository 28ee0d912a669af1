"""One response for many: what a follower is given, who may be one, and who is noticed to leave."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from askonce.call import Call
from askonce.calls.broadcast import Broadcast, Follower

CALL = Call("openai-chat", "Hi", {}, stream=True, framing="sse", echo={"user": "a"})
ANY: dict[str, str] = {}


class Leader:
    """A response that passes."""

    def __init__(self, *headers: tuple[str, str]) -> None:
        self.body: bytes | None = b""
        self.broadcast = Broadcast(CALL, 200, lambda: headers, lambda: self.body)

    def brings(self, chunk: bytes) -> None:
        if self.body is not None:
            self.body += chunk
        for follower in self.broadcast.followers:
            follower.put(chunk)

    def is_followed(self, call: Call = CALL, headers: dict[str, str] = ANY) -> Follower:
        follower = self.broadcast.follow(call, headers)
        assert follower
        return follower


async def has_news(follower: Follower) -> bool:
    news = asyncio.ensure_future(follower.news())
    await asyncio.sleep(0)
    news.cancel()
    return news.done() and not news.cancelled()


async def test_a_follower_is_given_what_was_and_then_what_comes() -> None:
    leader = Leader()
    early = leader.is_followed()
    assert not await has_news(early)
    leader.brings(b"a")
    leader.brings(b"b")
    late = leader.is_followed()
    for follower in (early, late):
        assert await has_news(follower)
        assert follower.take() == b"ab"
        assert not await has_news(follower)
    leader.brings(b"")
    assert not await has_news(early)
    leader.brings(b"c")
    leader.broadcast.end("whole")
    assert (early.take(), late.take()) == (b"c", b"c")
    assert late.broadcast.ending == "whole"
    assert await has_news(late)


async def test_an_end_is_news_and_the_first_one_counts() -> None:
    leader = Leader()
    follower = leader.is_followed()
    waiting = asyncio.ensure_future(follower.news())
    await asyncio.sleep(0)
    leader.broadcast.end("cut")
    leader.broadcast.end("whole")
    await waiting
    assert (follower.take(), leader.broadcast.ending) == (b"", "cut")
    assert leader.broadcast.follow(CALL, ANY) is None


@pytest.mark.parametrize(
    "other", [{"stream": False}, {"include_usage": True}, {"framing": "json-array"}, {"echo": {"user": "b"}}]
)
async def test_who_asked_for_another_stream_does_not_follow(other: dict[str, Any]) -> None:
    assert Leader().broadcast.follow(replace(CALL, **other), ANY) is None


@pytest.mark.parametrize(
    ("coding", "accepted", "follows"),
    [
        ("gzip", "gzip", True),
        ("gzip", "deflate, GZIP;q=0.5", True),
        ("gzip", "*", True),
        ("gzip", "gzip;q=0, *", False),
        ("gzip", "identity", False),
        ("gzip", None, False),
        ("gzip, br", "gzip", False),
        ("gzip, br", "gzip, br", True),
        ("", None, True),
    ],
)
async def test_who_does_not_accept_the_coding_does_not_follow(coding: str, accepted: str | None, follows: bool) -> None:
    leader = Leader(("Content-Encoding", coding)) if coding else Leader()
    headers = {} if accepted is None else {"accept-encoding": accepted}
    assert (leader.broadcast.follow(CALL, headers) is not None) == follows


async def test_past_the_limit_none_joins_and_the_others_go_on() -> None:
    leader = Leader()
    follower = leader.is_followed()
    leader.body = None
    leader.brings(b"a")
    assert leader.broadcast.follow(CALL, ANY) is None
    assert follower.take() == b"a"


async def test_it_is_over_when_all_have_left() -> None:
    leader = Leader()
    one, other = leader.is_followed(), leader.is_followed()
    over = asyncio.ensure_future(leader.broadcast.over())
    one.leave()
    one.leave()
    assert await has_news(one)
    assert leader.broadcast.leader_leaves()
    await asyncio.sleep(0)
    assert not over.done()
    other.leave()
    await over
    assert not leader.broadcast.is_wanted
    assert leader.broadcast.follow(CALL, ANY) is None


async def test_followers_that_leave_do_not_end_what_the_leader_hears() -> None:
    leader = Leader()
    leader.is_followed().leave()
    assert leader.broadcast.is_wanted
    leader.is_followed()
    leader.broadcast.end("whole")
    await leader.broadcast.over()


async def test_a_leader_without_followers_takes_its_response_along() -> None:
    leader = Leader()
    assert not leader.broadcast.leader_leaves()
    assert leader.broadcast.follow(CALL, ANY) is None
