"""Where the proxy connects to and whom it lets in, over real sockets and with addresses of this machine alone."""

import base64
import contextlib
import http.client
import http.server
import json
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.conftest import Proxy, StartProxy, until

HERE = "127.0.0.1"
NAME = socket.gethostname()
TOKEN = {"ASKONCE_TOKEN": "a token for the tests"}
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "What is the capital of France?"}]}).encode()
PATH = "/v1/chat/completions"


class Server(http.server.ThreadingHTTPServer):
    """A server on this machine that nobody but its own programs should reach; keeps the requests' headers."""

    daemon_threads = True

    def __init__(self, host: str = HERE) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), _Handler)
        self.seen: list[dict[str, str]] = []
        self.says = b"in"

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(self.server.says)))
        self.end_headers()
        self.wfile.write(self.server.says)

    do_POST = do_GET

    def log_message(self, *_arguments: Any) -> None:
        pass


@contextlib.contextmanager
def running[S: socketserver.BaseServer](server: S) -> Iterator[S]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def inside() -> Iterator[Server]:
    with running(Server()) as server:
        yield server


@pytest.fixture(scope="module")
def inside6() -> Iterator[Server]:
    with running(Server("::1")) as server:
        yield server


@pytest.fixture(scope="module")
def named() -> Iterator[Server]:
    """The one that a rule names."""
    with running(Server()) as server:
        yield server


@pytest.fixture(autouse=True)
def _forget(inside: Server, inside6: Server, named: Server) -> None:
    for server in (inside, inside6, named):
        server.seen.clear()
        server.says = b"in"


def rules_for(named: Server, access: str = "{}") -> str:
    return f"""\
version: 1
upstreams:
  - {{name: named, hosts: ["http://{HERE}:{named.port}"], paths: [{PATH}], wire: openai-chat}}
  - {{name: wild, hosts: ["*.openai.azure.com"], paths: ["/openai/**"], wire: openai-chat}}
access: {access}
"""


class Rules:
    """The rules of a running proxy, to change."""

    def __init__(self, file: Path, named: Server) -> None:
        self.file, self._named = file, named
        file.write_text(rules_for(named))

    def set(self, proxy: Proxy, access: str) -> None:
        self.file.write_text(rules_for(self._named, access))
        headers = {"authorization": f"Bearer {TOKEN['ASKONCE_TOKEN']}"}
        httpx.post(f"{proxy.url}/v1/reload", headers=headers, trust_env=False).raise_for_status()


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory, named: Server) -> Rules:
    return Rules(tmp_path_factory.mktemp("rules") / "rules.yaml", named)


@pytest.fixture(scope="module")
def private(start_module_proxy: StartProxy, rules: Rules) -> Proxy:
    """A proxy that listens on loopback."""
    return start_module_proxy(rules=rules.file)


@pytest.fixture(scope="module")
def shared(start_module_proxy: StartProxy, rules: Rules) -> Proxy:
    """A proxy that listens on every address."""
    return start_module_proxy(rules=rules.file, listen="", environment=TOKEN)


@pytest.fixture
def set_access(shared: Proxy, rules: Rules) -> Iterator[Callable[[str], None]]:
    """Change the `access` of the shared proxy, for one test."""
    yield lambda access: rules.set(shared, access)
    rules.set(shared, "{}")


type Said = tuple[int, dict[str, str], str]


def say(proxy: Proxy, *lines: str, body: bytes = b"", source: str = "") -> Said:
    """Send a request as it is written; status, headers and body of the answer."""
    head = [*lines, *([f"Content-Length: {len(body)}"] if body else []), "", ""]
    with socket.create_connection((HERE, proxy.port), 20, (source, 0) if source else None) as client:
        client.sendall("\r\n".join(head).encode() + body)
        response = http.client.HTTPResponse(client, method=lines[0].partition(" ")[0])
        response.begin()
        text = "" if lines[0].startswith("CONNECT") and response.status == 200 else response.read().decode()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, text


def trusting(proxy: Proxy) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(proxy.bundle))


def by_proxy(proxy: Proxy, place: str, *headers: str) -> Said:
    return say(proxy, f"GET http://{place}/ HTTP/1.1", f"Host: {place}", *headers)


def tunnel(proxy: Proxy, place: str, *headers: str) -> Said:
    return say(proxy, f"CONNECT {place} HTTP/1.1", f"Host: {place}", *headers)


def as_server(proxy: Proxy, host: str, *headers: str) -> Said:
    return say(proxy, f"POST {PATH} HTTP/1.1", f"Host: {host}", "Content-Type: application/json", *headers, body=BODY)


def connections(proxy: Proxy) -> int:
    """Open sockets."""
    count = 0
    for descriptor in Path(f"/proc/{proxy.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since
            count += str(descriptor.readlink()).startswith("socket:")
    return count


def interface() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


# Itself

SPELLINGS = [
    "127.1",
    "0x7f.1",
    "0177.0.0.1",
    "2130706433",
    "0",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    NAME,
]


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_its_own_address_leads_it_to_itself(private: Proxy, host: str) -> None:
    before = connections(private)
    place = f"{host}:{private.port}"
    status, _, text = by_proxy(private, place)
    assert (status, text) == (403, f"Askonce does not connect to {place}: that is Askonce itself\n")
    assert tunnel(private, place)[0] == 403
    until(lambda: connections(private) <= before + 2)


@pytest.mark.parametrize("host", [*SPELLINGS, "[0:0::1]", "[::]"])
def test_nor_where_it_listens_everywhere(shared: Proxy, host: str) -> None:
    place = f"{host}:{shared.port}"
    status, _, text = by_proxy(shared, place)
    assert (status, text) == (403, f"Askonce does not connect to {place}: that is Askonce itself\n")
    assert tunnel(shared, place)[0] == 403


def test_nor_by_an_address_of_another_interface(shared: Proxy) -> None:
    place = f"{interface()}:{shared.port}"
    assert tunnel(shared, place)[0] == 403
    assert "that is Askonce itself" in by_proxy(shared, place)[2]


class _Relay(socketserver.ThreadingTCPServer):
    """Somebody who leads back to the proxy in a way that no address shows."""

    daemon_threads = True
    to: int
    connections = 0


class _Relaying(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Relay)
        self.server.connections += 1
        with socket.create_connection((HERE, self.server.to)) as onward:
            back = threading.Thread(target=_copy, args=(onward, self.request))
            back.start()
            _copy(self.request, onward)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_loop_by_way_of_others_ends(start_proxy: StartProxy, tmp_path: Path, method: str) -> None:
    with running(_Relay((HERE, 0), _Relaying)) as relay:
        place = f"{HERE}:{relay.server_address[1]}"
        file = tmp_path / "rules.yaml"
        file.write_text(
            f"version: 1\nupstreams:\n"
            f'  - {{name: loop, hosts: ["http://{place}"], paths: [{PATH}], wire: openai-chat}}\n'
        )
        proxy = start_proxy(rules=file)
        relay.to = proxy.port
        status, _, text = say(proxy, f"{method} http://{place}{PATH} HTTP/1.1", f"Host: {place}", body=BODY)
        assert (status, text) == (508, "This call came back to Askonce, which had sent it on\n")
        assert relay.connections <= 2
        assert 'askonce_turned_away_total{why="loop"} 1' in httpx.get(f"{proxy.url}/metrics", trust_env=False).text
        proxy.stop()


# As to a server


@pytest.mark.parametrize("header", [(), ("X-LLM-Proxy-Upstream: https://api.openai.com/v1/chat/completions",)])
def test_what_is_sent_to_us_for_another_host_goes_nowhere(
    private: Proxy, inside: Server, header: tuple[str, ...]
) -> None:
    status, _, text = as_server(private, f"{NAME}:{inside.port}", "Authorization: Bearer secret", *header)
    assert status == 421
    assert text.startswith(f"Askonce is not {NAME}:{inside.port}.")
    assert "manage.aliases" in text
    assert inside.seen == []


def test_a_rule_s_host_may_lead_to_us_but_not_with_a_product_s_headers(private: Proxy, named: Server) -> None:
    host = f"{HERE}:{named.port}"
    assert as_server(private, host)[0] == 200
    assert named.seen[0]["via"].startswith("1.1 askonce-")
    assert as_server(private, host, "X-LLM-Proxy-Upstream: https://api.openai.com/v1/chat/completions")[0] == 421
    assert len(named.seen) == 1


def test_an_address_that_others_translated_is_ours(private: Proxy) -> None:
    for host in ("localhost:9090", "192.0.2.77:8080", "[2001:db8::1]:80", "127.1.2.3"):
        status, _, text = say(private, "GET /health/live HTTP/1.1", f"Host: {host}")
        assert (status, json.loads(text)["status"]) == (200, "alive")


# Where it leads to


def test_on_loopback_every_server_of_this_machine_is_in_reach(private: Proxy, inside: Server, inside6: Server) -> None:
    assert by_proxy(private, f"localhost:{inside.port}")[::2] == (200, "in")
    assert by_proxy(private, f"[::1]:{inside6.port}")[::2] == (200, "in")
    assert "via" not in inside.seen[0]
    assert tunnel(private, f"{HERE}:{inside.port}")[0] == 200


def test_a_tunnel_that_leads_nowhere_is_told_why(private: Proxy) -> None:
    with socket.socket() as unheard:
        unheard.bind((HERE, 0))
        place = f"{HERE}:{unheard.getsockname()[1]}"
        status, headers, text = tunnel(private, place)
    assert (status, headers["content-type"]) == (502, "text/plain; charset=utf-8")
    assert text.startswith(f"Askonce cannot connect to {place}: ")
    assert "refused" in text or "Connect call failed" in text
    status, _, text = tunnel(private, "nowhere.invalid:443")
    assert (status, text[:49]) == (502, "Askonce cannot connect to nowhere.invalid:443: [E")


def test_a_tunnel_to_a_provider_waits_for_no_connection_and_no_name(private: Proxy) -> None:
    assert tunnel(private, "askonce.internal:443")[0] == 200
    assert tunnel(private, "nowhere.openai.azure.com:443")[0] == 200


@pytest.mark.parametrize("host", ["localhost", HERE, "127.1", "0", NAME, "[::ffff:127.0.0.1]"])
def test_off_loopback_no_private_server_is(shared: Proxy, inside: Server, host: str) -> None:
    place = f"{host}:{inside.port}"
    said = f"Askonce does not connect to {place}: it leads to a private address, and no rule names it in full\n"
    assert by_proxy(shared, place)[::2] == (403, said)
    assert tunnel(shared, place)[::2] == (403, said)
    assert inside.seen == []


def test_nor_over_ipv6_nor_at_an_interface_nor_a_cloud_s_metadata(shared: Proxy, inside6: Server) -> None:
    for place in (f"[::1]:{inside6.port}", "169.254.169.254:80", "[fd00:ec2::254]:80", "[64:ff9b::7f00:1]:80"):
        assert by_proxy(shared, place)[0] == 403
        assert tunnel(shared, place)[0] == 403
    with running(Server(interface())) as server:
        assert by_proxy(shared, f"{server.server_address[0]}:{server.port}")[0] == 403
    assert inside6.seen == []


def test_what_a_rule_names_is(shared: Proxy, named: Server) -> None:
    assert by_proxy(shared, f"{HERE}:{named.port}")[::2] == (200, "in")
    assert tunnel(shared, f"{HERE}:{named.port}")[0] == 200


def test_a_name_that_turns_out_to_be_private_is_refused_at_the_connection(shared: Proxy) -> None:
    """The tests' routes lead these names to loopback when they are connected to, as a changed answer of DNS would."""
    with httpx.Client(proxy=shared.url, verify=trusting(shared), trust_env=False) as client:
        answer = client.post(f"https://sample.openai.azure.com/openai/deployments/m{PATH[3:]}", content=BODY)
        assert (answer.status_code, "private address" in answer.text) == (403, True)
        with pytest.raises(httpx.TransportError):
            client.get("https://foreign.example/")


def test_networks_can_be_allowed(shared: Proxy, inside: Server, set_access: Callable[[str], None]) -> None:
    set_access("{destinations: [127.0.0.0/8]}")
    assert by_proxy(shared, f"localhost:{inside.port}")[::2] == (200, "in")
    assert tunnel(shared, f"127.1:{inside.port}")[0] == 200
    assert by_proxy(shared, f"127.1:{shared.port}")[0] == 403


# Whom it lets in


def test_clients_are_let_in_by_network(shared: Proxy, set_access: Callable[[str], None]) -> None:
    elsewhere = interface()
    live = ("GET /health/live HTTP/1.1", "Host: localhost")
    assert say(shared, *live, source=elsewhere)[0] == 200
    set_access("{clients: [203.0.113.0/24]}")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        say(shared, *live, source=elsewhere)
    assert say(shared, *live)[0] == 200
    set_access(f"{{clients: [203.0.113.0/24, {elsewhere}]}}")
    assert say(shared, *live, source=elsewhere)[0] == 200


def keys(proxy: Proxy, *arguments: str) -> str:
    command = [sys.executable, "-m", "askonce", "keys", *arguments, "--data", str(proxy.data)]
    return subprocess.run(command, env=proxy.environment, capture_output=True, text=True, check=True).stdout.strip()


def basic(user: str, password: str) -> str:
    return f"Proxy-Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def test_a_key_is_asked_for(shared: Proxy, named: Server, set_access: Callable[[str], None]) -> None:
    place = f"{HERE}:{named.port}"
    made = json.loads(keys(shared, "create", "alice", "--json"))
    key = made["key"]
    set_access("{authenticate: true}")
    for ask in (by_proxy, tunnel):
        for wrong in (
            (),
            (basic("alice", "sk-wrong"),),
            ("Proxy-Authorization: Bearer x",),
            ("Proxy-Authorization: é",),
        ):
            status, headers, text = ask(shared, place, *wrong)
            assert (status, headers["proxy-authenticate"]) == (407, 'Basic realm="askonce", charset="UTF-8"')
            assert "askonce keys" in text
        assert ask(shared, place, basic("alice", key))[0] == 200
    assert [sorted(seen) for seen in named.seen] == [["host"]]
    assert say(shared, "GET /health/live HTTP/1.1", "Host: localhost")[0] == 200
    # An SDK's client: a URL with a name and a key, a tunnel, calls in it that show nothing any more.
    with httpx.Client(
        proxy=f"http://alice:{key}@{HERE}:{shared.port}", verify=trusting(shared), trust_env=False
    ) as client:
        for _ in range(2):
            assert client.get("https://askonce.internal/health/live").status_code == 200
            assert client.post(f"http://{place}{PATH}", content=BODY).status_code == 200
        assert not any("proxy-authorization" in seen for seen in named.seen)
        keys(shared, "revoke", made["id"])
        assert client.post(f"http://{place}{PATH}", content=BODY).status_code == 407


def test_users_of_the_proxy_with_one_credential_share_answers(
    shared: Proxy, named: Server, set_access: Callable[[str], None]
) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}
    whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    named.says = json.dumps(whole).encode()
    users = [(name, keys(shared, "create", name)) for name in ("carol", "dave")]
    set_access("{authenticate: true}")

    def ask(user: tuple[str, str], credential: str) -> str:
        asked = [basic(*user), f"Authorization: Bearer {credential}", "Content-Type: application/json"]
        url = f"http://{HERE}:{named.port}{PATH}"
        status, headers, _ = say(shared, f"POST {url} HTTP/1.1", f"Host: {HERE}:{named.port}", *asked, body=BODY)
        assert status == 200
        return headers["cache-status"]

    assert ask(users[0], "sk-of-both").startswith("askonce; fwd=miss")
    until(lambda: ask(users[0], "sk-of-both").startswith("askonce; hit"))
    assert ask(users[1], "sk-of-both").startswith("askonce; hit")
    assert ask(users[0], "sk-another").startswith("askonce; fwd=miss")


def test_exec_hands_a_key_on(shared: Proxy, set_access: Callable[[str], None]) -> None:
    key = keys(shared, "create", "bob@example.com")
    set_access("{authenticate: true}")
    ask = "import os, urllib.request as r\nprint(r.urlopen('https://askonce.internal/health/live').status)"
    command = [sys.executable, "-m", "askonce", "exec", "--listen", f":{shared.port}", "--data", str(shared.data)]
    command += ["--rules", str(shared.rules), "--", sys.executable, "-c", ask]
    user = f"bob%40example.com:{key}"
    for url, code in ((f"http://{user}@{HERE}:{shared.port}", 0), (f"http://{HERE}:{shared.port}", 1)):
        done = subprocess.run(
            command, env=shared.environment | {"HTTPS_PROXY": url}, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout) == (code, "200\n" if code == 0 else ""), done.stderr
        assert key not in done.stderr
