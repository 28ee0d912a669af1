import asyncio
import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = Path(__file__).with_name("killed.py")
_spec = importlib.util.spec_from_file_location("killed", SCRIPT)
assert _spec and _spec.loader
killed = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(killed)


def kill_while_writing(process: subprocess.Popen[str], pause: float) -> dict[str, list[str]]:
    """Let a child write, kill it `pause` seconds after its first acknowledgement; keys by what was acknowledged."""
    assert process.stdin
    assert process.stdout
    acknowledged: dict[str, list[str]] = {"kept": [], "gone": []}
    process.stdin.write("go\n")
    process.stdin.flush()
    child, deadline = 0, 0.0
    for line in process.stdout:
        word, _, rest = line.strip().partition(" ")
        if word == "dead":
            return acknowledged
        if word == "child":
            child = int(rest)
        else:
            acknowledged[word].append(rest)
            deadline = deadline or time.monotonic() + pause
        if child and deadline and time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            deadline = float("inf")
    raise AssertionError("the writing process ended by itself")


async def listed(folder: Path) -> set[str]:
    """The keys that the management API of a cache opened anew lists."""
    cache = killed.open_cache(folder)
    keys: set[str] = set()
    try:
        async with killed.connect(cache) as client:
            while page := (await client.get("/v1/cache", params={"offset": len(keys), "limit": 1000})).json()["keys"]:
                keys.update(page)
    finally:
        await cache.close()
    return keys


def test_after_20_kills_every_acknowledged_entry_is_there_and_no_deleted_one(tmp_path):
    pauses = random.Random(20)
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    kept: list[str] = []
    gone: list[str] = []
    with subprocess.Popen(
        [sys.executable, SCRIPT, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        for _ in range(20):
            acknowledged = kill_while_writing(process, pauses.uniform(0, 0.1))
            assert acknowledged["kept"] or acknowledged["gone"]
            kept += acknowledged["kept"]
            gone += acknowledged["gone"]
            there = asyncio.run(listed(tmp_path))
            assert there.issuperset(kept)
            assert there.isdisjoint(gone)
        process.stdin.close()
    assert process.returncode == 0
    assert len(kept) > 100
    assert len(gone) > 20
