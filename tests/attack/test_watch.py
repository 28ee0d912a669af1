"""What the figures of `python -m tests.attack` are worth: a process that stalls, eats and opens too much is seen."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.attack.__main__ import ATTACKS, judge
from tests.attack.attack import Attack
from tests.attack.watch import MIB, Figures, Watch, worst
from tests.support.processes import end
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SERVER = """
import http.server, os, resource, sys, time

resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if os.path.exists(sys.argv[1]):
            os.unlink(sys.argv[1])
            {does}
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_): pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""
WITHIN = Figures(stall=0.01, memory=MIB, descriptors=20, limit=1024, is_alive=True)


@contextmanager
def serving(flag: Path, does: str) -> Iterator[Watch]:
    """A server that answers one at a time; once the file `flag` is there it does something before it answers."""
    command = [sys.executable, "-c", SERVER.replace("{does}", does), str(flag)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield Watch(process.pid, int(process.stdout.readline())).start()
        finally:
            end(process)


@pytest.mark.parametrize(
    ("does", "broken"),
    [
        ("time.sleep(0.5)", "the loop stood for more than 100 ms"),
        ("Handler.kept = bytearray(b'x') * (96 << 20); time.sleep(0.05)", "more than 64 MiB above the steady state"),
        (
            "Handler.kept = [open(os.devnull) for _ in range(800)]; time.sleep(0.05)",
            "more than 50 % of 1024 descriptors",
        ),
        ("os._exit(0)", "the proxy ended"),
    ],
)
def test_what_an_attack_did_is_seen(tmp_path: Path, does: str, broken: str) -> None:
    flag = tmp_path / "flag"
    with serving(flag, does) as watch:
        flag.touch()
        until(lambda: not flag.exists())
        before = watch.probes
        until(lambda: watch.probes > before + 1 or not watch.is_alive)
        seen = watch.stop()
    assert broken in judge(Attack("", "", lambda _: 0), 0, seen)


def test_nothing_wrong_is_within_bounds_and_one_wrong_answer_is_not() -> None:
    attack = Attack("", "", lambda _: 0)
    assert judge(attack, 0, WITHIN) == []
    assert judge(attack, 1, WITHIN) == ["1 wrong"]


@pytest.mark.parametrize(
    "own",
    [{"stall": 0.2}, {"memory": 65 * MIB}, {"descriptors": 600}, {"is_alive": False}],
    ids=lambda own: next(iter(own)),
)
def test_a_bound_that_one_of_several_proxies_breaks_is_broken(own: dict[str, Any]) -> None:
    beyond = replace(WITHIN, **own)
    alone = judge(Attack("", "", lambda _: 0), 0, beyond)
    assert len(alone) == 1
    for seen in ([WITHIN, beyond], [beyond, WITHIN]):
        assert judge(Attack("", "", lambda _: 0), 0, worst(seen)) == alone


def test_each_attack_has_a_name_of_its_own() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
