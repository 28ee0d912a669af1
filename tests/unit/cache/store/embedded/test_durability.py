"""What was acknowledged is there after `kill -9`, and what is there is whole."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from askonce.cache.store.embedded.store import Store

WRITER = """
import os, sys, threading
from pathlib import Path
import numpy as np
from askonce.cache.store.entry import Entry
from askonce.cache.store.embedded.store import Store
from askonce.call import Answer, Turn

def write(directory, start):
    store = Store(directory)
    assert not store.path.with_name("askonce.db.damaged").exists()
    for number in range(start, start + 100_000):
        prompt = f"question {number}"
        vector = np.zeros(8, dtype=np.float32)
        vector[number % 8] = 1
        entry = Entry(
            key=f"{number:032x}", partition=bytes([number % 3]) * 16, parts={"model": "m"}, upstream="u", host="h",
            wire="w", model="m", namespace="", prompt=prompt, turns=(Turn("user", prompt),),
            answer=Answer(b"answer %d " % number * 300), created=0.0, expires=9e9, stale_until=9e9,
            upstream_seconds=1.0, embedder="e", vector=vector, labels={"rest": str(number % 3)},
        )
        future = store.put(entry)
        future.add_done_callback(lambda done: os.write(1, b"%s\\n" % done.result().key.encode()))
        if number % 20 == 0:
            future.result()
        if number % 7 == 0:
            store.touch(number)
        if number % 50 == 49:
            key = f"{number - 30:032x}"
            os.write(1, b"?%s\\n" % key.encode())
            store.delete(key).result()
            os.write(1, b"-%s\\n" % key.encode())

for line in sys.stdin:  # each line is a number to start from: one process a line, forked after the slow imports
    child = os.fork()
    if child == 0:
        write(Path(sys.argv[1]), int(line))
    os.write(1, b"pid %d\\n" % child)
    os.waitpid(child, 0)
    os.write(1, b"dead\\n")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs kill -9")
def test_kill_minus_nine_during_writes(tmp_path: Path) -> None:
    directory, chance = tmp_path / "data", random.Random(7)
    acknowledged, asked_to_delete, deleted = set[str](), set[str](), set[str]()
    command = [sys.executable, "-c", WRITER, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin and process.stdout
        lines = iter(process.stdout.readline, b"")
        for turn in range(20):
            process.stdin.write(b"%d\n" % (turn * 1_000_000 + 1))
            child, due = 0, 0.0
            before = len(acknowledged)
            for line in lines:
                match line.decode().split():
                    case ["pid", pid]:
                        child = int(pid)
                    case ["dead"]:
                        break
                    case [word] if word[0] == "?":
                        asked_to_delete.add(word[1:])
                    case [word] if word[0] == "-":
                        deleted.add(word[1:])
                    case [word]:
                        acknowledged.add(word)
                        due = due or time.monotonic() + chance.uniform(0, 0.1)
                if child and due and time.monotonic() >= due:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
            assert len(acknowledged) > before, f"turn {turn} wrote nothing"
        process.stdin.close()

    store = Store(directory)
    kept = {entry.key: entry for entry in store.list(limit=10**9)}
    assert acknowledged - asked_to_delete <= set(kept)
    assert deleted.isdisjoint(kept)
    for key, entry in kept.items():
        number = int(key, 16)
        assert (entry.prompt, entry.answer.body) == (f"question {number}", b"answer %d " % number * 300)
        assert entry.vector is not None and np.flatnonzero(entry.vector).tolist() == [number % 8]
    assert store.keys == {bytes.fromhex(key): entry.id for key, entry in kept.items()}
    for partition in range(3):
        ids = {entry.id for entry in kept.values() if entry.partition[0] == partition}
        assert set(store.vectors(bytes([partition]) * 16, "e", 8).ids.tolist()) == ids
    store.close()
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT sum(entries) FROM partition").fetchone() == (len(kept),)
        labels = connection.execute("SELECT id, name, value FROM label").fetchall()
        assert sorted(labels) == sorted((entry.id, "rest", str(int(key, 16) % 3)) for key, entry in kept.items())
    assert list(directory.glob("*.corrupt-*")) == []


@pytest.mark.skipif(sys.platform == "win32", reason="SQLite keeps it in a file there")
def test_no_file_is_mapped_that_a_disk_may_refuse_to_write(tmp_path: Path) -> None:
    """The log's index in a file of its own would be; a disk that becomes read-only would then end the process."""
    with contextlib.closing(Store(tmp_path)) as store:
        assert store.vectors(b"p" * 16, "e", 8).ids.size == 0  # by a reader's connection
        assert not list(tmp_path.glob("*-shm"))
