"""The process that forks workers: what they have in common, what each has for itself, and how they end.

The workers here serve nothing: each says a line, and waits for the end of its input.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.processes import end
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone shares a port's connections out")

_PROGRAM = """
import json, logging, os, random, secrets, signal, ssl, sys, threading, time, uuid
from askonce.accounting.workmates import socket_of
from askonce.exec import worker_processes
from askonce.settings import Settings

logging.basicConfig(level=logging.INFO)
loaded = []

def load():
    random.random(), secrets.token_hex(), uuid.uuid4(), ssl.RAND_bytes(16)
    loaded.append(os.getpid())

def say():
    chance = [random.random(), secrets.token_hex(), str(uuid.uuid4()), ssl.RAND_bytes(16).hex()]
    print(json.dumps({"pid": os.getpid(), "parent": os.getppid(), "loaded": loaded, "chance": chance}), flush=True)

def serve(settings):
    say()
    socket_of(settings.worker.folder, settings.worker.number).touch()
    sys.stdin.read()
    return 0

CHANGED
sys.exit(worker_processes.run_workers(Settings.from_env(listen="127.0.0.1:0", environ={}), 2, load, serve))
"""


class Workers:
    """Those of one program."""

    def __init__(self, changed: str, folder: Path) -> None:
        self._out, self._log = folder / "out", folder / "log"
        with self._out.open("w") as out, self._log.open("w") as log:
            command = [sys.executable, "-c", _PROGRAM.replace("CHANGED", changed)]
            self.process = subprocess.Popen(command, stdout=out, stderr=log, env={"TMPDIR": str(folder)})

    def said(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._out.read_text().splitlines()]

    def log(self) -> str:
        return self._log.read_text()

    def until_said(self, lines: int) -> list[dict[str, Any]]:
        until(lambda: len(self.said()) >= lines)
        return self.said()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Workers]]:
    begun: list[Workers] = []

    def begin(changed: str = "") -> Workers:
        begun.append(Workers(changed, tmp_path))
        return begun[-1]

    yield begin
    for workers in begun:
        end(workers.process)


def test_they_share_what_was_loaded_and_nothing_that_is_left_to_chance(begin: Callable[..., Workers]) -> None:
    workers = begin()
    one, other = workers.until_said(2)
    assert one["loaded"] == other["loaded"] == [one["parent"]] == [workers.process.pid]
    assert not {*map(str, one["chance"])} & {*map(str, other["chance"])}
    assert workers.end() == 0
    assert not any(Path(workers._out).parent.glob("askonce-*"))  # its folder


def test_one_that_crashed_is_forked_anew(begin: Callable[..., Workers]) -> None:
    workers = begin("worker_processes._FIRST_PAUSE = 0.01")
    one, other = workers.until_said(2)
    psutil.Process(other["pid"]).kill()
    third = workers.until_said(3)[2]
    assert third["loaded"] == one["loaded"] and third["chance"] != other["chance"]
    assert "worker 2 ended (signal 9); another takes its place" in workers.log()
    assert workers.end() == 0


def test_they_end_with_the_one_that_they_come_from(begin: Callable[..., Workers]) -> None:
    workers = begin()
    left = [psutil.Process(said["pid"]) for said in workers.until_said(2)]
    workers.end(signal.SIGKILL)
    assert not psutil.wait_procs(left, PATIENCE)[1]


def test_where_the_first_cannot_start_nobody_does(begin: Callable[..., Workers]) -> None:
    workers = begin("serve = lambda settings: (say(), 7)[1]")
    assert workers.process.wait(PATIENCE) == 7 and len(workers.said()) == 1


def test_a_fault_of_a_worker_is_told(begin: Callable[..., Workers]) -> None:
    workers = begin("serve = lambda settings: 1 / 0")
    assert workers.process.wait(PATIENCE) == 1 and "ZeroDivisionError" in workers.log()


def test_nothing_is_forked_beside_a_thread(begin: Callable[..., Workers]) -> None:
    workers = begin("load = lambda: threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()")
    assert workers.process.wait(PATIENCE) == 1 and "AssertionError" in workers.log() and not workers.said()


def test_one_that_does_not_stop_is_killed(begin: Callable[..., Workers]) -> None:
    workers = begin("signal.signal(signal.SIGTERM, signal.SIG_IGN); worker_processes._STOP_TIME = 0.1")
    left = [psutil.Process(said["pid"]) for said in workers.until_said(2)]
    assert workers.end() == 0 and not psutil.wait_procs(left, PATIENCE)[1]


def test_a_stop_before_there_is_any_is_none_that_failed(begin: Callable[..., Workers]) -> None:
    """Nor does a change of the rules end one that does not know yet what to do then."""
    workers = begin("serve = lambda settings: (say(), sys.stdin.read())[0]")
    workers.until_said(1)
    workers.process.send_signal(signal.SIGHUP)
    assert workers.end() == 0 and len(workers.said()) == 1
