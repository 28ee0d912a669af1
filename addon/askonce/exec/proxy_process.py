"""The proxy that listens at an address: whether there is one, and one for as long as somebody needs it.

One rule: a proxy that was started for a command is stopped when the last command that uses it has ended, and no other
proxy ever is.
"""

import base64
import enum
import fcntl
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from askonce.exec.last_words import last_words
from askonce.files import make_folder
from askonce.settings import Settings
from askonce.trust import RESERVED_HOST

__all__ = [
    "IN_USE",
    "ProxyError",
    "ProxyState",
    "borrowed",
    "check_address",
    "check_trust",
    "free_port",
    "hold_address",
    "holder",
    "note_holder",
    "probe",
    "serve_options",
]

IN_USE = os.EX_TEMPFAIL
"""The exit code of a proxy whose data folder another one holds."""

_START_TIME = 300.0
"""Seconds; a first start reads some 200 MB of libraries, and disk and processor may be slow or busy. One that ends, or
cannot listen, is noticed at once."""
_ANSWER_TIME = 60.0
"""Seconds that a proxy of somebody else's gets to become ready."""
_STOP_TIME = 60.0
"""Seconds before a proxy is killed: calls under way have 30 to end, and then all is written down."""


class ProxyError(Exception):
    """No proxy of Askonce answers, and none can be started; the message says why."""


class ProxyState(enum.Enum):
    """What answers at an address."""

    ABSENT = "nothing listens"
    FOREIGN = "something else than Askonce listens"
    STARTING = "not ready, or too busy to answer"
    READY = "Askonce is ready"


def probe(settings: Settings) -> ProxyState:
    """Ask whoever listens at the proxy's address, within two seconds."""
    connection = http.client.HTTPConnection(settings.client_host, settings.listen_port, timeout=2)
    try:
        connection.request("GET", "/health/ready")
        response = connection.getresponse()
        ready = json.loads(response.read(65536))
    except ConnectionRefusedError:
        return ProxyState.ABSENT
    except TimeoutError:
        return ProxyState.STARTING
    except (OSError, http.client.HTTPException, ValueError):
        return ProxyState.FOREIGN
    finally:
        connection.close()
    if not isinstance(ready, dict) or ready.get("status") not in ("ready", "not ready") or "checks" not in ready:
        return ProxyState.FOREIGN
    return ProxyState.READY if response.status == 200 else ProxyState.STARTING


def check_address(settings: Settings) -> None:
    """Raise `ProxyError` where nothing can listen at the proxy's address."""
    with _bound(settings):
        pass


@contextmanager
def hold_address(settings: Settings) -> Iterator[None]:
    """Keep it for processes of this user that share it, and nobody else. Raises `ProxyError`."""
    with _bound(settings, socket.SO_REUSEPORT):
        yield


@contextmanager
def _bound(settings: Settings, *options: int) -> Iterator[None]:
    """With sockets that have the address, and do not listen."""
    with ExitStack() as held:
        try:
            found = socket.getaddrinfo(
                settings.listen_host or None, settings.listen_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, kind, protocol, _, address in found:
                bound = held.enter_context(socket.socket(family, kind, protocol))
                for option in (socket.SO_REUSEADDR, *options):
                    bound.setsockopt(socket.SOL_SOCKET, option, 1)
                if family == socket.AF_INET6:
                    bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                bound.bind(address)
        except OSError as error:
            raise ProxyError(
                f"cannot listen on {settings.listen}: {error.strerror}; choose another address with --listen HOST:PORT"
            ) from error
        yield


def check_trust(settings: Settings, bundle: Path, user: str = "") -> None:
    """Raise `ProxyError` where programs that trust `bundle` would refuse the certificates of the proxy.

    `user` is `NAME:KEY`, for a proxy that asks for a key.
    """
    connection = http.client.HTTPSConnection(
        settings.client_host, settings.listen_port, timeout=5, context=ssl.create_default_context(cafile=str(bundle))
    )
    credentials = {"Proxy-Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"} if user else {}
    connection.set_tunnel(RESERVED_HOST, 443, credentials)
    try:
        connection.connect()
    except ssl.SSLCertVerificationError as error:
        raise ProxyError(
            f"the proxy at {settings.listen} has other certificates than those in {bundle.parent} "
            f"({error.verify_message}); give --certs the folder that it was started with"
        ) from error
    except OSError:
        pass  # the rules may give the reserved host another name; then there is nothing to compare
    finally:
        connection.close()


def note_holder(data: Path, listen: str) -> None:
    """Leave word in a data folder of where the proxy listens that holds it; on a full disk nobody is told."""
    with suppress(OSError):
        file = os.open(data / "address", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as address:
            address.write(f"{listen}\n")


def holder(data: Path) -> str:
    """Where the proxy listens, or listened, that was the last to hold a data folder; empty where that is not known."""
    try:
        return (data / "address").read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""


@contextmanager
def borrowed(settings: Settings, on_start: Callable[[Settings], object] = lambda _: None) -> Iterator[Settings]:
    """The settings of a proxy that is ready, one that listens already or a new one. Raises `ProxyError`.

    Port 0 asks for a proxy of one's own on a free port. Commands that run side by side share what one of them started.
    `on_start` is told before a proxy is started.
    """
    is_private = settings.listen_port == 0
    if is_private:
        settings = replace(settings, listen_port=free_port(settings.client_host))
    folder = settings.data / "exec"
    make_folder(settings.data)
    folder.mkdir(mode=0o700, exist_ok=True)
    files = _Files(folder, f"{settings.client_host}-{settings.listen_port}".replace(":", "."))
    # Shared by all that use a proxy. Whoever gets it for himself alone is the last, and nobody can come in meanwhile.
    with _opened(files.users) as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        process = None
        try:
            process = _ensure(settings, files, on_start)
            yield settings
        finally:
            if _try_lock(users, fcntl.LOCK_EX):
                _stop_started(files)
                if is_private:
                    if process:  # else it stays in the system's list for as long as we live
                        process.wait()
                    for file in (files.log, files.started, files.users):
                        file.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Files:
    folder: Path
    name: str

    @property
    def users(self) -> Path:
        return self.folder / f"{self.name}.users"

    @property
    def started(self) -> Path:
        """Locked by the proxy that a command started, as long as it lives; holds its process id."""
        return self.folder / f"{self.name}.started"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"


def _ensure(
    settings: Settings, files: _Files, on_start: Callable[[Settings], object]
) -> subprocess.Popen[bytes] | None:
    """Wait for a proxy that is ready; start one where nothing listens and nobody else is starting one. The one that was
    started here."""
    begin = time.monotonic()
    process = None
    is_told = False
    with _opened(files.started) as started:
        while (state := probe(settings)) is not ProxyState.READY:
            starting = process is not None or not _try_lock(started, fcntl.LOCK_EX)
            if process and process.poll() is not None and state is ProxyState.ABSENT:
                if process.returncode != IN_USE or not _is_coming(settings):
                    raise ProxyError(f"the proxy did not start: {_last_words(files.log)}{_way_out(settings, process)}")
                process = None  # somebody's own proxy has the folder, and is about to listen here
            if state is ProxyState.FOREIGN and (not starting or (process and process.returncode is not None)):
                raise ProxyError(
                    f"{settings.listen} is in use by something that is not Askonce; "
                    "stop it, or choose another address with --listen HOST:PORT"
                )
            patience = _START_TIME if starting else _ANSWER_TIME
            if time.monotonic() - begin > patience:
                raise ProxyError(f"what listens at {settings.listen} is not ready after {patience:.0f} s")
            if state is ProxyState.ABSENT and not starting:
                if not is_told:
                    on_start(settings)
                is_told, process = True, _start(settings, files, started)
            time.sleep(0.05)
    return process


def serve_options(settings: Settings) -> list[str]:
    """What the command line of a proxy with these settings says, besides what the environment does."""
    options: dict[str, object] = {
        "--listen": settings.listen,
        "--rules": settings.rules,
        "--data": settings.data,
        "--certs": settings.certs,
        "--mode": settings.mode,
        "--cassette": settings.cassette,
        "--log-format": settings.log_format,
    }
    given = [str(part) for option in options.items() if option[1] is not None for part in option]
    return given + ["--record-errors"] * settings.record_errors


def _start(settings: Settings, files: _Files, started: BinaryIO) -> subprocess.Popen[bytes]:
    with files.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "askonce", "serve", *serve_options(settings)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[started.fileno()],  # a lock belongs to the open file, so the proxy holds it from here on
            start_new_session=True,  # Ctrl-C is for the command, which may have calls to finish
        )
    started.truncate(0)
    started.write(str(process.pid).encode())
    started.flush()
    return process


def _stop_started(files: _Files) -> None:
    with _opened(files.started) as started:
        if _try_lock(started, fcntl.LOCK_EX):
            return  # it is gone, or none was started
        process = int(started.read() or 0)
        if not process:
            return
        for number, patience in ((signal.SIGTERM, _STOP_TIME), (signal.SIGKILL, 2.0)):
            try:
                os.kill(process, number)
            except ProcessLookupError:
                return
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                if _try_lock(started, fcntl.LOCK_EX):
                    return
                time.sleep(0.02)


def _opened(file: Path) -> BinaryIO:
    """To read and write, made where it is missing, never emptied."""
    return os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o600), "r+b")


def _try_lock(file: BinaryIO, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def free_port(host: str) -> int:
    """A port of `host` that nobody listens on."""
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as server:
        port: int = server.getsockname()[1]
        return port


def _is_coming(settings: Settings) -> bool:
    """Whether the proxy that holds the data folder is one that will listen at this address, under whatever name."""
    return holder(settings.data).rpartition(":")[2] == str(settings.listen_port)


def _way_out(settings: Settings, process: subprocess.Popen[bytes]) -> str:
    """What to do about a data folder that another proxy holds."""
    if process.returncode != IN_USE:
        return ""
    address = holder(settings.data)
    where = f", which listens at {address}: name it with --listen {address}" if address else ""
    return f"{where}; or give --data another folder"


def _last_words(log: Path) -> str:
    return last_words(log.read_text("utf-8", "replace")) or f"it said nothing; see {log}"
