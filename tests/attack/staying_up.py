"""What must not keep a proxy from running: damaged files, odd addresses, disks that are full, bad upstreams.

One rule: each attack has a proxy of its own, watched where it is left running, and counts how often that did not end in
a running one.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import httpx
import trustme
from tests.attack.attack import Attack
from tests.attack.target import CHAT, FRANCE, Target, body, is_hit
from tests.e2e.conftest import REPOSITORY, free_port
from tests.support.processes import end

_NOISE = bytes(range(256)) * 64


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _overwrite(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(_NOISE[: len(data) // 2] + data[len(data) // 2 :])


_DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut": _cut,
    "overwritten": _overwrite,
    "empty": lambda file: file.write_bytes(b""),
}


_DAMAGED = (
    *product(("data/askonce.db", "data/askonce.db-wal"), _DAMAGES),
    *product(
        ("data/named-stores/askonce.db", "data/history.db", "data/secret", "data/gateway-keys.json"), ["overwritten"]
    ),
    *product(("certs/mitmproxy-ca.pem", "certs/mitmproxy-ca-cert.pem", "certs/askonce-bundle.pem"), ["cut"]),
)
"""Which file is damaged, and how; tests/unit/test_damage.py has every one in every way."""


def damaged_files(target: Target) -> int:
    """How many starts on damaged data ended neither in a proxy that answers nor in one line that says why not; a
    file that is not there to be damaged counts, too."""
    whole = _used_folder(target)
    wrong = 0
    for number, (name, damage) in enumerate(_DAMAGED):
        folder = shutil.copytree(whole, target.folder / f"damaged-{number}")
        _DAMAGES[damage](folder / name)
        (folder / "askonce.log").unlink()
        try:
            proxy = target.start(folder.name)
        except AssertionError:
            said = (folder / "askonce.log").read_text().splitlines()
            wrong += not said or not said[-1].startswith("askonce: ") or "Traceback" in "".join(said)
        else:
            with _app(replace(target, proxy=proxy)) as client:
                wrong += not client.post(CHAT, json=body(FRANCE)).is_success
            proxy.kill()
    return wrong


def _used_folder(target: Target) -> Path:
    """That of a proxy that had a use for each of its files, and was killed."""
    proxy = target.start("used")
    used = replace(target, proxy=proxy)
    with _app(used) as client:
        client.post(CHAT, json=body(FRANCE)).raise_for_status()
    proxy.settle()
    entry = {"prompt": "What is new?", "response": "Much."}
    httpx.post(f"{proxy.url}/v1/caches/c/entries", json=entry, trust_env=False).raise_for_status()
    command = [sys.executable, "-m", "askonce", "keys", "create", "someone", "--data", str(proxy.data)]
    subprocess.run(command, env=proxy.environment, capture_output=True, check=True)
    proxy.stop()  # which writes what is only written now and then
    proxy.launch()
    proxy.wait_until_ready()
    with _app(used) as client:
        client.post(CHAT, json=body("What is new?")).raise_for_status()
    proxy.settle()
    proxy.kill()
    return target.folder / "used"


def _app(target: Target) -> httpx.Client:
    return target.client("sk-damaged")


def ipv6(target: Target) -> int:
    """1 where a proxy does not come up on [::1], or does not answer a call there."""
    try:
        proxy = target.start("ipv6", listen="[::1]")
    except AssertionError:
        return 1
    with target.watched(proxy) as there, there.client() as client:
        return int(not client.post(CHAT, json=body(FRANCE)).is_success)


def bad_certificates(target: Target) -> int:
    """A provider whose certificate nobody vouches for: an error to the app, and never an answer of its."""
    other = target.folder / "other-ca.pem"
    trustme.CA().cert_pem.write_to_path(other)
    proxy = target.start("untrusting", environment={"ASKONCE_UPSTREAM_CA": str(other)})
    with target.watched(proxy) as untrusting, untrusting.client() as client:
        answers = [client.post(CHAT, json=body(FRANCE)) for _ in range(3)]
    return sum(answer.is_success or is_hit(answer) for answer in answers)


def foreign_names(target: Target) -> int:
    """A TLS name that no rule names must not be given a certificate of ours."""
    opened = 0
    for name in ("bank.example", "xn--nothing-.example", "api.openai.com.attacker.example"):
        connection = target.tunnel()
        connection.set_tunnel(name, 443)
        with contextlib.suppress(OSError, ssl.SSLError):
            connection.connect()
            opened += 1
        connection.close()
    return opened


_CLOCK = """
import pathlib, time

_offset, _time = pathlib.Path(os.environ["ASKONCE_TEST_CLOCK"]), time.time
time.time = lambda: _time() + float(_offset.read_text())
"""
"""Makes a proxy's clock one that is set from outside; added to what leads names to the sample provider."""
_GUESS = "x" * 22
_YEAR = 365 * 86400


def clock_jumps(target: Target) -> int:
    """How often a clock that jumps, a year back and a year ahead, fails a call, serves what is over, or loses what
    is not."""
    folder = target.folder / "clock"
    folder.mkdir()
    route = REPOSITORY / "tests/e2e/route/sitecustomize.py"
    (folder / "sitecustomize.py").write_text(route.read_text() + _CLOCK)
    offset = folder / "offset"
    offset.write_text("0")
    proxy = target.start("jumps", environment={"PYTHONPATH": str(folder), "ASKONCE_TEST_CLOCK": str(offset)})
    key, wrong = target.key(), 0
    with target.watched(proxy) as at:
        at.ask(key)
        for jump, expected in ((0, True), (-_YEAR, False), (0, True), (_YEAR, False)):
            set_to = offset.with_suffix(".new")
            set_to.write_text(str(jump))
            set_to.replace(offset)
            wrong += _wrong_then(at, key, expected)
    return wrong


def _wrong_then(at: Target, key: str, expected: bool) -> int:
    """What is asked is not kept: an answer of the time that never was would be a wrong one later."""
    wrong = 0
    with at.client(key) as client:
        for control in ("only-if-cached", "no-store"):
            answer = client.post(CHAT, json=body(FRANCE), headers={"cache-control": control})
            wrong += answer.status_code >= 500 if control == "no-store" else is_hit(answer) != expected
    return wrong + (not at.proxy.get("/health/live"))


def web_password(target: Target) -> int:
    """How many doors of mitmweb stand open to one who does not know its password."""
    port = free_port()
    proxy = target.start("web", command="web", arguments=["--web-port", str(port)])
    with target.watched(proxy), httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        tries = [client.get(path) for path in ("/", "/flows", "/flows.json", "/state", "/options.json")]
        tries += [client.get("/flows", headers={"authorization": f"Bearer {word}"}) for word in ("password", _GUESS)]
        tries += [client.get("/flows", params={"token": _GUESS}), client.post("/clear"), client.delete("/flows/1")]
    password = re.search(r"mitmweb: \S+\?token=(\w+)", proxy.log())
    return sum(answer.is_success for answer in tries) + (not password or len(password[1]) < len(_GUESS))


def full_disk(target: Target) -> int:
    """How many of ten calls fail where nothing more can be written."""
    proxy = target.start("full")
    with target.watched(proxy) as full, full.client() as client:
        client.post(CHAT, json=body(FRANCE)).raise_for_status()
        proxy.settle()
        room = max(file.stat().st_size for file in (*proxy.data.rglob("*"), proxy.log_file) if file.is_file()) + 4096
        resource.prlimit(proxy.process.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        answers = [client.post(CHAT, json=body(f"What is {number} plus one?" + "x" * 1000)) for number in range(10)]
    return sum(not answer.is_success for answer in answers)


def read_only_disk(target: Target) -> int:
    """How many of ten calls fail, or are no hits, and the code that a stop ends with, where nobody may write to the
    data folder any more."""
    proxy = target.start("read-only")
    if not _may_change(proxy.data, "-i"):
        sys.stderr.write("a read-only disk: not tried, for only root can make one, on some file systems\n")
        return 0
    try:
        with target.watched(proxy) as read_only, read_only.client() as client:
            client.post(CHAT, json=body(FRANCE)).raise_for_status()
            proxy.settle()
            os.sync()  # a page of a map that is not written out yet may be written to all the same
            _may_change(proxy.data, "+i")
            hits = [client.post(CHAT, json=body(FRANCE)) for _ in range(5)]
            others = [client.post(CHAT, json=body(f"What is {number} plus one?")) for number in range(5)]
        ended = end(proxy.process)
    finally:
        _may_change(proxy.data, "-i")
    proxy.launch()
    proxy.wait_until_ready()
    return sum(not is_hit(answer) for answer in hits) + sum(not answer.is_success for answer in others) + abs(ended)


def _may_change(folder: Path, attribute: str) -> bool:
    """Whether an attribute of a folder's files can be changed; `+i` is for files that nobody may write to."""
    command = ["chattr", "-R", attribute, str(folder)]
    return bool(shutil.which("chattr")) and not subprocess.run(command, capture_output=True, check=False).returncode


ATTACKS = (
    Attack("damaged files", f"{len(_DAMAGED)} starts on ones that are cut, overwritten or empty", damaged_files),
    Attack("IPv6", "listening on [::1]", ipv6),
    Attack("bad certificates", "a provider that nobody vouches for", bad_certificates),
    Attack("foreign names", "TLS names that no rule names", foreign_names),
    Attack("clock jumps", "a year back, right again, and a year ahead", clock_jumps),
    Attack("mitmweb's password", "its pages and API without, and with guesses", web_password),
    Attack("a full disk", "nothing more can be written", full_disk),
    Attack("a read-only disk", "a data folder that nobody may write to any more", read_only_disk),
)
