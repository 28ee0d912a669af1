"""What is said of a call in each of its states."""

import pytest

from askonce.call import Call, Request
from askonce.calls.broadcast import Broadcast, Follower
from askonce.calls.state import Declined, Dividing, Exchange, Following, Hit, Leading, Passing, State
from askonce.rules import Document, Rules

(RULE,) = Rules(
    Document.parse(
        """\
version: 1
upstreams:
  - {name: chat, hosts: [api.example.com], paths: [/v1/chat], wire: openai-chat}
"""
    )
)
REQUEST = Request("POST", "api.example.com", "/v1/chat", "", {}, b"{}")
FOLLOWER = Follower(Broadcast(Call("openai-chat", "Hi", {}), 200, lambda: (), lambda: b""), b"")


@pytest.mark.parametrize(
    ("state", "answered", "why"),
    [
        (Passing(), False, ""),
        (Hit(), True, ""),
        (Declined(), True, ""),
        (Leading(), False, ""),
        (Following(FOLLOWER), False, ""),
        (Following(FOLLOWER, is_relayed=True), True, "collapsed"),
        (Dividing(b"{}"), False, ""),
        (Dividing(b"{}", leads=True), False, ""),
    ],
)
def test_who_is_answered_without_the_provider(state: State, answered: bool, why: str) -> None:
    exchange = Exchange(RULE, REQUEST, 0.0, state=state)
    assert (exchange.is_answered, exchange.why) == (answered, why)
    assert exchange.record(None, None, False, 1.0).forwarded is not answered
