"""Coding agents that are asked again, in a new process, ask nobody: what they add to each call is no question.

What counts is what the provider was asked; that an agent looks up its settings there (GET) costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.clients.conftest import Desk
    from tests.e2e.conftest import Provider, Proxy


def asked(provider: Provider) -> int:
    return sum(request["method"] == "POST" for request in provider.stats()["requests"])


def outcomes(proxy: Proxy, count: int) -> set[str]:
    proxy.settle()
    return {call["outcome"] for call in proxy.get("/v1/stats")["latest"][:count]}


def test_the_same_again_and_in_other_words_and_of_another_country(desk: Desk, proxy: Proxy, provider: Provider) -> None:
    assert "Paris" in desk.ask("What is the capital of France?")
    assert (first := asked(provider)) > 0
    assert "Paris" in desk.ask("What is the capital of France?")
    assert (asked(provider), outcomes(proxy, 1)) == (first, {"exact"})
    assert "Paris" in desk.ask("Tell me the capital city of France.")
    if desk.agent.looks_back:
        assert "semantic" in outcomes(proxy, first)
    else:
        assert (asked(provider), outcomes(proxy, 1)) == (first, {"semantic"})
    first = asked(provider)
    assert "Paris" not in desk.ask("What is the capital of Spain?")
    assert asked(provider) > first


def test_a_tool_loop_again(desk: Desk, proxy: Proxy, provider: Provider) -> None:
    if not desk.agent.tool_prompt:
        pytest.skip(f"{desk.agent} runs nothing")
    assert "hello" in desk.ask(desk.agent.tool_prompt)
    assert (first := asked(provider)) >= 2  # what to run, and what to make of what it printed
    assert "hello" in desk.ask(desk.agent.tool_prompt)
    assert (asked(provider), outcomes(proxy, first)) == (first, {"exact"})
