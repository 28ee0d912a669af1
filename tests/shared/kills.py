"""A database, or one of two proxies, is killed while apps ask the other proxy and its answers are deleted.

One rule: an app hears what the provider said, whatever was killed; and only what was acknowledged is held against the
database afterwards.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
from tests.shared.trials import App
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.postgres import Postgres

_BETWEEN = 20
"""Answers that are acknowledged between two kills."""


@dataclass
class Tally:
    """What was acknowledged, and what became of it."""

    calls: int = 0
    errors: list[str] = field(default_factory=list)
    """What an app was told, which the provider had not said."""
    kept: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    back: set[str] = field(default_factory=set)


def run(app: App, other: App, postgres: Postgres, kills: int) -> Tally:
    """Kill the database so many times, and then `other`'s proxy."""
    tally, stop = Tally(), threading.Event()
    threads = [threading.Thread(target=_ask, args=(app, tally, stop)) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(2 * kills):
            before = len(tally.kept)
            until(lambda before=before: len(tally.kept) >= before + _BETWEEN)  # type: ignore[misc]
            if number < kills:
                postgres.kill()
                postgres.start()
            else:
                other.proxy.kill()
                other.proxy.restart()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    there = until(lambda: _keys(app))
    tally.lost, tally.back = tally.kept - there, tally.gone & there
    return tally


def _ask(app: App, tally: Tally, stop: threading.Event) -> None:
    """Ask, see that it is kept, and delete every third answer."""
    number = 0
    while not stop.is_set():
        number += 1
        key = f"sk-test-{uuid.uuid4().hex}"
        asked = app.ask(key, f"What is {number} plus 1?")
        tally.calls += 1
        if asked.status_code != 200:
            tally.errors.append(f"{asked.status_code} {asked.text[:200]}")
            continue
        found = app.cached(key, f"What is {number} plus 1?")
        if found is None:
            stop.wait(0.02)
            continue
        entry = found.headers["x-cache-key"]
        if number % 3:
            tally.kept.add(entry)
        elif app.delete(entry):
            tally.gone.add(entry)


def _keys(app: App) -> set[str]:
    """Of all that is there; empty while the database does not answer."""
    keys: set[str] = set()
    try:
        while page := app.proxy.get(f"/v1/cache?offset={len(keys)}&limit=1000")["keys"]:
            keys.update(page)
    except httpx.HTTPStatusError:
        return set()
    return keys
