"""What a proxy that has started has loaded, and how much memory that takes."""

import json
import subprocess
import sys
from typing import Any

import pytest
from tests.e2e.conftest import REPOSITORY, _clean_environment
from tests.support.plain import IS_PLAIN
from tests.support.waiting import PATIENCE

from askonce.exec.proxy_process import free_port
from askonce.proxy.stand_ins import NAMES

LOADED = frozenset(
    """
    OpenSSL aioquic annotated_types anyio askonce askonce_deep backports bcrypt brotli certifi cryptography
    cython_runtime h11 h2 hpack hyperframe idna iregexp_check jsonpath_rfc9535 jwt kaitaistruct
    mitmproxy mitmproxy_linux mitmproxy_macos mitmproxy_rs numpy orjson platformdirs
    pydantic pydantic_core pyparsing regex ruamel sniffio threadpoolctl
    tokenizers typing_extensions typing_inspection watchfiles wsproto yaml zstandard
    """.split()  # noqa: SIM905  # reads better than forty quoted names
)
"""Packages of others, by the names of their modules. What is new here costs every proxy its memory and its start.
mitmproxy 12.3 has `backports.zstd` in place of `zstandard`."""
UNTOUCHED = frozenset({"jwt", "regex", "ruamel.yaml"} | NAMES.keys())
"""Of these the name alone is there (`askonce.proxy.deferred` and `stand_ins`)."""
RESIDENT = 127
"""MiB; 111 on the machine where this was written, where it was 250 once; 9 more on another, and some run by run."""

_SERVE = """
import gc, json, os, signal, sys, threading, time
from http.client import HTTPConnection

from askonce.api.vital_signs import resident_kilobytes
from askonce.cli import main

def ask(port, path):
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    return response.status

def packages():
    names = {name.partition(".")[0] for name in list(sys.modules)} - sys.stdlib_module_names
    return sorted(name for name in names if not name.startswith("_"))

def look(port, untouched):
    try:
        while True:
            try:
                if ask(port, "/health/live") == 200 == ask(port, "/health/ready"):
                    break
            except OSError:
                pass
            time.sleep(0.05)
        resident = resident_kilobytes()
        untouched = [name for name in untouched if type(sys.modules.get(name, os)) is not type(os)]
        told = {"packages": packages(), "untouched": untouched, "resident": resident, "stats": ask(port, "/v1/stats")}
        told["later"], told["collects"] = packages(), gc.isenabled()
        print(json.dumps(told), flush=True)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)

listen = f"127.0.0.1:{sys.argv[1]}"
threading.Thread(target=look, args=(int(sys.argv[1]), sys.argv[2:])).start()
sys.argv[1:] = ["serve", "--listen", listen]
main()
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a proxy says of itself as soon as it is ready, and after its API was asked."""
    folder = tmp_path_factory.mktemp("start")
    own = {"ASKONCE_DATA": str(folder / "data"), "ASKONCE_CERTS": str(folder / "certs")}
    done = subprocess.run(
        [sys.executable, "-c", _SERVE, str(free_port("127.0.0.1")), *UNTOUCHED],
        capture_output=True,
        text=True,
        env=_clean_environment() | own,
        cwd=REPOSITORY,
        timeout=PATIENCE,
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(IS_PLAIN, reason="mitmproxy as it is loads all of its own at the start")
def test_nothing_is_loaded_that_a_start_does_not_need(started: Any) -> None:
    assert set(started["packages"]) - LOADED == set()
    assert set(started["untouched"]) == UNTOUCHED


def test_the_api_is_loaded_when_it_is_asked(started: Any) -> None:
    assert started["stats"] == 200
    assert set(started["later"]) >= {"fastapi", "starlette", "httpx", "prometheus_client"}
    assert not {"openai", "scipy", "sklearn"} & set(started["later"])


def test_the_collector_rests_no_longer_than_it_loads(started: Any) -> None:
    assert started["collects"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_is_small(started: Any) -> None:
    assert started["resident"] < RESIDENT << 10
