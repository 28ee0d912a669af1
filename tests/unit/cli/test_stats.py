"""`askonce stats`."""

import json
from collections.abc import Callable
from typing import Any

from askonce.cli.stats import _watched

type Askonce = Callable[..., Any]


def test_stats_is_a_table(askonce: Askonce, running: Callable[..., str]) -> None:
    lines = askonce("stats", "--listen", running()).out.splitlines()
    assert lines[0].endswith(": 1 calls, 100.0% of lookups hit")
    figures = ["1", "1", "0", "0", "0", "12", "0.8", "s", "0.0125"]
    assert [line.split() for line in lines[3:5]] == [["all", *figures], ["openai-chat", *figures]]


def test_what_would_have_been_served_is_told() -> None:
    calls = {"calls": 3, "agreed": 2, "differed": 0, "unclear": 1, "tokens": {"input": 9, "output": 3}}
    saved = {"seconds": 2.5, "usd": 0.0125, "tokens_unpriced": 4}
    assert [*_watched({"chat": {"semantic": calls | saved}})] == [
        ("chat", "semantic", "3", "2", "0", "1", "12", "2.5 s", "0.0125 and more")
    ]


def test_stats_as_json_is_the_api_s(askonce: Askonce, running: Callable[..., str]) -> None:
    found = json.loads(askonce("stats", "--json", "--listen", running()).out)
    assert (found["calls"], found["outcomes"]["exact"]) == (1, 1)
