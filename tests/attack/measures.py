"""What Askonce does of its own accord, and how long it takes: look-ups, checks of hits, and refusals of guesses.

One rule: each attack has a proxy of its own, and that is watched.
"""

from __future__ import annotations

import base64
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import quantiles

from tests.attack.attack import Attack
from tests.attack.target import CHAT, Target, body, rules
from tests.e2e.conftest import REPOSITORY, Proxy

_SLOWLY = 20.0
"""Seconds."""
_SLOW = f"""
import time

from askonce.cache.finder import Finder

def _is_slow(call):
    return call.prompt.endswith("plus one?")

def _slow(self, call, *arguments, look_up=Finder.look_up, **more):
    if _is_slow(call):
        time.sleep({_SLOWLY})
    return look_up(self, call, *arguments, **more)

def _at_once(self, call, *arguments, look_up=Finder.look_up_at_once):
    return None if _is_slow(call) else look_up(self, call, *arguments)

Finder.look_up, Finder.look_up_at_once = _slow, _at_once
"""
"""Has look-ups of some take long in their threads, as beside an index that is being built."""


def slow_look_ups(target: Target) -> int:
    """How many of six calls wait for a look-up that takes 20 s, or are not counted, where the deadline is 50 ms."""
    folder = target.folder / "slow"
    folder.mkdir()
    route = (REPOSITORY / "tests/e2e/route/sitecustomize.py").read_text()
    (folder / "sitecustomize.py").write_text(route + _SLOW)
    text = rules(cache="{lookup_deadline: 50ms}")
    proxy = target.start("slow-look-ups", environment={"PYTHONPATH": str(folder)}, rules=text)
    waited, asked = 0, 6
    with target.watched(proxy) as at, at.client() as client:
        before = _given_up(proxy)  # on a busy machine the warm-up's look-ups may take as long
        for number in range(asked):
            begun = time.monotonic()
            client.post(CHAT, json=body(f"What is {number} plus one?")).raise_for_status()
            waited += time.monotonic() - begun > _SLOWLY / 2
        return waited + abs(asked - (_given_up(proxy) - before))


def _given_up(proxy: Proxy) -> int:
    """How many look-ups their deadline has ended."""
    return int(proxy.get("/v1/stats")["faults"].get("look-up deadline", 0))


_COUNTRIES = ("France", "Peru", "Norway", "Chile", "Kenya", "Japan", "Greece", "Cuba", "Egypt", "Iran", "Spain")
_CHECKS = 8
"""An hour, of a rule; one caller may cause a fourth of them."""


def checks(target: Target) -> int:
    """How many more checks two callers cause than they may, each of whose hits would be checked; 1 more for one who
    causes none."""
    text = rules().replace("audit: 0\n", f"audit: 1\n  audits_per_hour: {_CHECKS}\n")
    with target.watched(target.start("checks", rules=text)) as at:
        made = [_checks_made(at, key) for key in (target.key(), target.key())]
    target.provider.reset()
    return sum(max(0, number - _CHECKS // 4) + (not number) for number in made)


def _checks_made(at: Target, key: str) -> int:
    for country in _COUNTRIES:
        at.ask(key, question=f"What is the capital of {country}?")
    at.provider.reset()
    asked = [at.ask(key, question=f"Tell me what the capital of {country} is.") for country in _COUNTRIES]
    time.sleep(1)  # a check begins a moment after its hit
    at.proxy.settle()
    return at.provider.calls() - asked.count(False)


_ROUNDS, _APART = 400, 0.05
"""Of guesses; the share of the time by which two may differ. It is for what a look-up would take that ends early:
`compare_digest` keeps the nanoseconds of a comparison itself."""


def guesses(target: Target) -> int:
    """At how many of two doors a guess that is almost right is refused sooner, or later, than one that is not."""
    token = "t" * 43
    proxy = target.start("guesses", environment={"ASKONCE_TOKEN": token}, rules=rules(access="{authenticate: true}"))
    command = [sys.executable, "-m", "askonce", "keys", "create", "someone", "--data", str(proxy.data)]
    made = subprocess.run(command, env=proxy.environment, capture_output=True, text=True, check=True).stdout
    key = re.search(r"sk-[\w-]+", made)
    assert key, made
    doors = {token: _refused_token, key[0]: _refused_key}
    with replace(target, login=("someone", key[0])).watched(proxy):
        return sum(_differ(secret, partial(refused, proxy.port)) for secret, refused in doors.items())


def _differ(secret: str, refused: Callable[[str], float]) -> bool:
    near, far, seconds = secret[:-1] + "!", "!" + secret[1:], dict[str, list[float]]()
    for _ in range(_ROUNDS):
        for guess in (near, far):
            seconds.setdefault(guess, []).append(refused(guess))
    one, other = (quantiles(seconds[guess], n=10)[0] for guess in (near, far))  # what a busy machine adds is left out
    sys.stderr.write(f"a near guess is refused in {one * 1e6:.0f} µs, one far off in {other * 1e6:.0f} µs\n")
    return abs(one - other) > _APART * max(one, other)


def _refused_token(port: int, guess: str) -> float:
    head = f"GET /v1/stats HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {guess}\r\n\r\n"
    return _refused(port, head, b" 401 ")


def _refused_key(port: int, guess: str) -> float:
    said = base64.b64encode(f"me:{guess}".encode()).decode()
    head = "CONNECT bank.example:443 HTTP/1.1\r\nHost: bank.example:443\r\n"
    return _refused(port, f"{head}Proxy-Authorization: Basic {said}\r\n\r\n", b" 407 ")


def _refused(port: int, head: str, status: bytes) -> float:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        begun = time.perf_counter()
        connection.sendall(head.encode())
        assert status in connection.recv(65536)
        return time.perf_counter() - begun


ATTACKS = (
    Attack("slow look-ups", "six that take 20 s, where 50 ms are allowed", slow_look_ups),
    Attack("checks", f"{len(_COUNTRIES)} hits of each of two callers, all to be checked", checks),
    Attack("guesses", "of a token and of a key, near and far off: how long it takes to refuse them", guesses),
)
