import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from askonce.exec.proxy_process import ProxyError, ProxyState, borrowed, check_trust, holder, note_holder, probe
from askonce.settings import Settings
from askonce.trust import ensure_ca


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that answers every GET so; HOST:PORT."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def at(tmp_path: Path) -> Callable[[str], Settings]:
    return lambda listen: Settings.from_env(
        listen=listen, data=tmp_path / "data", certs=tmp_path / "certs", rules=tmp_path / "rules.yaml", environ={}
    )


READY = {"status": "ready", "ready": True, "checks": {"database": True}}


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (200, json.dumps(READY), ProxyState.READY),
        (503, json.dumps(READY | {"status": "not ready", "ready": False}), ProxyState.STARTING),
        (200, json.dumps({"status": "ready"}), ProxyState.FOREIGN),
        (200, json.dumps({"ready": True, "checks": {}}), ProxyState.FOREIGN),
        (200, "[]", ProxyState.FOREIGN),
        (404, "<html>", ProxyState.FOREIGN),
    ],
)
def test_what_answers_is_told_apart(at: Callable[[str], Settings], status: int, body: str, state: ProxyState) -> None:
    with answering(status, body.encode()) as listen:
        assert probe(at(listen)) is state


def test_a_port_where_nothing_listens(at: Callable[[str], Settings]) -> None:
    assert probe(at("127.0.0.1:1")) is ProxyState.ABSENT


def test_something_that_speaks_no_http(at: Callable[[str], Settings]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.sendall(b"220 mail.example ESMTP\r\n")
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        assert probe(at(f"127.0.0.1:{server.getsockname()[1]}")) is ProxyState.FOREIGN
        thread.join()


def test_a_port_of_somebody_else_is_an_error(at: Callable[[str], Settings]) -> None:
    with (
        answering(200, b"hello") as listen,
        pytest.raises(ProxyError, match=rf"^{listen} is in use by something that is not Askonce; stop it, or choose"),
        borrowed(at(listen)),
    ):
        pass


def test_a_proxy_that_listens_is_borrowed_and_left_alone(at: Callable[[str], Settings]) -> None:
    with answering(200, json.dumps(READY).encode()) as listen:
        with borrowed(at(listen)) as settings:
            assert settings == at(listen)
        assert probe(at(listen)) is ProxyState.READY


def test_a_proxy_that_cannot_start_says_why(at: Callable[[str], Settings], tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("version: 1\nupstreams: []\n")
    message = rf"^the proxy did not start: {tmp_path}/rules.yaml:2: upstreams: expected at least one$"
    with pytest.raises(ProxyError, match=message), borrowed(at("127.0.0.1:0")):
        pass
    assert list((tmp_path / "data" / "exec").iterdir()) == []


def test_where_there_is_nothing_to_compare_no_trust_is_refused(at: Callable[[str], Settings], tmp_path: Path) -> None:
    bundle = ensure_ca(tmp_path / "certs", ["api.openai.com"], environ={}).bundle
    check_trust(at("127.0.0.1:1"), bundle)
    with answering(200, b"") as listen:  # refuses CONNECT
        check_trust(at(listen), bundle)


def test_who_holds_a_folder_is_known_where_that_can_be_written(tmp_path: Path) -> None:
    note_holder(tmp_path, "127.0.0.1:8080")
    assert holder(tmp_path) == "127.0.0.1:8080"
    assert (tmp_path / "address").stat().st_mode & 0o077 == 0
    note_holder(tmp_path / "missing", "127.0.0.1:8080")
    assert holder(tmp_path / "missing") == ""
