"""Askonce behind a company's proxy: mitmdump as a process, which asks for a password and leads where Askonce cannot go.

The names of providers lead to the sample provider in the company's proxy alone: what goes past it finds nobody.
"""

import json
import socket
import socketserver
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import httpx
import openai
import pytest
import trustme
from tests.e2e.conftest import FOREIGN, Provider, Proxy, StartProxy, _clean_environment, free_port
from tests.e2e.test_network import Server, by_proxy, running, say, tunnel
from tests.support import processes
from tests.support.waiting import until

from askonce.cache.embed import OpenAIEmbedder
from askonce.network.upstream_proxies import UpstreamProxies
from askonce.rules import UpstreamProxySpec

USER, PASSWORD = "me@corp", "pä/s@s"
PATH = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}],
    }
).encode()
RULES = """\
version: 1
upstreams:
  - name: openai
    hosts: [api.openai.com, api.mistral.ai, h2.example]
    paths: [/v1/chat/completions]
    wire: openai-chat
  - {{name: plain, hosts: ["http://plain.example"], paths: [/v1/chat/completions], wire: openai-chat}}
upstream_proxy: {upstream_proxy}
"""
GIVEN = "{{url: '{url}', user: '${{CORP_USER}}', password: '${{CORP_PASSWORD}}'}}"


class Company:
    """Somebody's own proxy."""

    def __init__(self, folder: Path, routes: dict[str, int]) -> None:
        self.port, self._seen, self._confdir = free_port(), folder / "seen.txt", folder / "mitm"
        self._seen.touch()
        self.place = f"127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("mitmdump")),
                *("-q", "-s", str(Path(__file__).with_name("seen_by_proxy.py"))),
                *("--listen-host", "127.0.0.1", "--listen-port", str(self.port)),
                *("--proxyauth", f"{USER}:{PASSWORD}", "--set", f"confdir={self._confdir}"),
                *("--set", "ignore_hosts=^(?!plain)", "--set", "connection_strategy=eager"),
            ],
            env=_clean_environment()
            | {
                "SEEN": str(self._seen),
                "ASKONCE_TEST_ROUTES": json.dumps(routes),
                "PYTHONPATH": str(Path(__file__).with_name("route")),
            },
        )

    @property
    def ca(self) -> Path:
        return self._confdir / "mitmproxy-ca-cert.pem"

    def wait_until_ready(self) -> None:
        def listens() -> bool:
            assert self.process.poll() is None
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        until(listens)

    def seen(self) -> list[str]:
        """What it was asked for since it was asked last."""
        lines = self._seen.read_text("utf-8").splitlines()
        self._seen.write_text("", "utf-8")
        return lines


@pytest.fixture(scope="module")
def plain() -> Iterator[Server]:
    with running(Server()) as server:
        yield server


class Http2(socketserver.BaseRequestHandler):
    """A provider that speaks HTTP/2 alone."""

    def handle(self) -> None:
        assert isinstance(self.server, Http2Server)
        with self.server.context.wrap_socket(self.request, server_side=True) as client:
            own = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            own.initiate_connection()
            client.sendall(own.data_to_send())
            while data := client.recv(65536):
                for event in own.receive_data(data):
                    if isinstance(event, h2.events.StreamEnded):
                        self.server.calls += 1
                        own.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/json")])
                        own.send_data(event.stream_id, ANSWER, end_stream=True)
                client.sendall(own.data_to_send())


class Http2Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, ca: trustme.CA) -> None:
        super().__init__(("127.0.0.1", 0), Http2)
        self.calls, self.context = 0, ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.set_alpn_protocols(["h2"])
        ca.issue_cert("h2.example").configure_cert(self.context)


@pytest.fixture(scope="module")
def h2_ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def h2_server(h2_ca: trustme.CA) -> Iterator[Http2Server]:
    with running(Http2Server(h2_ca)) as server:
        yield server


@pytest.fixture(scope="module")
def company(
    tmp_path_factory: pytest.TempPathFactory, routes: dict[str, int], plain: Server, h2_server: Http2Server
) -> Iterator[Company]:
    more = {"plain.example:80": plain.port, "h2.example:443": int(h2_server.server_address[1])}
    company = Company(tmp_path_factory.mktemp("company"), {**routes, **more})
    try:
        company.wait_until_ready()
        yield company
    finally:
        processes.end(company.process)


type Set = Callable[[str], None]


@pytest.fixture(scope="module")
def behind(
    tmp_path_factory: pytest.TempPathFactory, company: Company, _provider: Provider, h2_ca: trustme.CA
) -> Iterator[Proxy]:
    """Askonce, to which no name leads anywhere but one that its NO_PROXY spares."""
    folder = tmp_path_factory.mktemp("behind")
    roots = folder / "roots.pem"
    until(company.ca.is_file)
    roots.write_bytes(_provider.ca_file.read_bytes() + company.ca.read_bytes() + h2_ca.cert_pem.bytes())
    rules = folder / "rules.yaml"
    rules.write_text(RULES.format(upstream_proxy=GIVEN.format(url=f"http://{company.place}")))
    environment = {"CORP_USER": USER, "CORP_PASSWORD": PASSWORD, "NO_PROXY": "mistral.ai"}
    proxy = Proxy(folder, {"api.mistral.ai:443": _provider.port}, roots, rules=rules, environment=environment)
    try:
        proxy.wait_until_ready()
        yield proxy
    finally:
        proxy.close()


@pytest.fixture
def set_proxy(behind: Proxy, company: Company, provider: Provider) -> Iterator[Set]:
    """Change `upstream_proxy`, for one test. The provider and the company's proxy have seen nothing yet."""
    before = behind.rules.read_text("utf-8")

    def write(text: str) -> None:
        behind.rules.write_text(text)
        httpx.post(f"{behind.url}/v1/reload", trust_env=False).raise_for_status()

    company.seen()
    yield lambda section: write(RULES.format(upstream_proxy=section))
    write(before)


def client(proxy: Proxy, key: str, host: str = "api.openai.com", *, http2: bool = False) -> openai.OpenAI:
    trusting = ssl.create_default_context(cafile=str(proxy.bundle))
    http = httpx.Client(proxy=proxy.url, verify=trusting, trust_env=False, http2=http2)
    return openai.OpenAI(api_key=key, base_url=f"https://{host}/v1", max_retries=0, http_client=http)


def asked(app: openai.OpenAI) -> str:
    return app.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES).choices[0].message.content or ""  # type: ignore[arg-type]


@pytest.mark.usefixtures("set_proxy")
def test_misses_go_through_it_and_hits_do_not(
    behind: Proxy, company: Company, provider: Provider, api_key: str
) -> None:
    with client(behind, api_key) as app:
        assert asked(app) == asked(app) == "The capital of France is Paris."
        assert company.seen() == ["CONNECT api.openai.com:443"]
        assert provider.calls() == 1
        assert "proxy-authorization" not in provider.last()["headers"]
        assert "via" not in provider.last()["headers"]


@pytest.mark.usefixtures("set_proxy")
def test_streams_come_as_they_are_made(behind: Proxy, provider: Provider, api_key: str) -> None:
    provider.set(is_held=True)
    with client(behind, api_key, http2=True) as app:
        stream = app.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True)  # type: ignore[call-overload]
        provider.release(2)
        first = next(chunk.choices[0].delta.content for chunk in stream if chunk.choices[0].delta.content)
        provider.release(1000)
        rest = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert first + "".join(rest) == "The capital of France is Paris."


@pytest.mark.usefixtures("set_proxy")
def test_a_provider_is_spoken_to_over_http2(
    behind: Proxy, company: Company, h2_server: Http2Server, api_key: str
) -> None:
    with client(behind, api_key, "h2.example", http2=True) as app:
        assert asked(app) == asked(app) == "Paris."
    assert (company.seen(), h2_server.calls) == (["CONNECT h2.example:443"], 1)


@pytest.mark.usefixtures("set_proxy")
def test_what_askonce_asks_itself_goes_through_it(company: Company, provider: Provider) -> None:
    spec = UpstreamProxySpec(url=f"http://{company.place}", user=USER, password=PASSWORD)
    proxies = UpstreamProxies(lambda: spec, {}, lambda: ssl.create_default_context(cafile=str(provider.ca_file)))
    embedder = OpenAIEmbedder("m", "https://api.openai.com/v1", key="k", client_options=proxies.client_options)
    assert embedder.dimension > 0
    embedder.close()
    assert company.seen() == ["CONNECT api.openai.com:443"]


@pytest.mark.usefixtures("set_proxy")
def test_blind_tunnels_go_through_it(behind: Proxy, company: Company, provider: Provider) -> None:
    with httpx.Client(
        proxy=behind.url, verify=ssl.create_default_context(cafile=str(provider.ca_file)), trust_env=False
    ) as app:
        assert app.get(f"https://{FOREIGN}/x").status_code == 404
    assert company.seen() == [f"CONNECT {FOREIGN}:443"]


@pytest.mark.usefixtures("set_proxy")
def test_plain_http_is_asked_of_it_as_of_a_proxy(behind: Proxy, company: Company, plain: Server) -> None:
    plain.seen.clear()
    for _ in range(2):
        assert by_proxy(behind, "plain.example")[::2] == (200, "in")
    body = json.dumps({"model": "m", "messages": MESSAGES}).encode()
    head = (f"POST http://plain.example{PATH}?a=b HTTP/1.1", "Host: plain.example", "Content-Type: application/json")
    assert say(behind, *head, body=body)[::2] == (200, "in")
    assert company.seen() == ["GET http://plain.example/"] * 2 + [f"POST http://plain.example{PATH}?a=b"]
    assert [seen["host"] for seen in plain.seen] == ["plain.example"] * 3
    assert not any("proxy-authorization" in seen for seen in plain.seen)


@pytest.mark.usefixtures("set_proxy")
def test_what_no_proxy_names_and_this_machine_are_direct(
    behind: Proxy, company: Company, plain: Server, api_key: str
) -> None:
    with client(behind, api_key, "api.mistral.ai") as app:
        assert asked(app) == "The capital of France is Paris."
    assert by_proxy(behind, f"127.0.0.1:{plain.port}")[0] == 200
    assert tunnel(behind, f"localhost:{plain.port}")[0] == 200
    assert company.seen() == []


def test_a_proxy_may_speak_tls(behind: Proxy, company: Company, set_proxy: Set, api_key: str) -> None:
    set_proxy(GIVEN.format(url=f"https://localhost:{company.port}"))
    with client(behind, api_key) as app:
        assert asked(app) == "The capital of France is Paris."
    assert company.seen() == ["CONNECT api.openai.com:443"]
    assert by_proxy(behind, "plain.example")[0] == 200


def refusals(proxy: Proxy, key: str) -> list[str]:
    """What a call, a tunnel and a plain request are told, and that each is a 502."""
    with client(proxy, key) as app, pytest.raises(openai.APIStatusError) as error:
        asked(app)
    said = [(error.value.response.status_code, error.value.response.text)]
    said += [ask(proxy, place)[::2] for ask, place in ((tunnel, f"{FOREIGN}:443"), (by_proxy, "plain.example"))]
    assert {status for status, _ in said} == {502}
    return [text.strip() for _, text in said]


def test_a_wrong_password_is_told_of(behind: Proxy, company: Company, set_proxy: Set, api_key: str) -> None:
    set_proxy(f"http://{USER.replace('@', '%40')}:wrong@{company.place}")
    why = (
        f"the upstream proxy http://{company.place} (upstream_proxy of rules.yaml) does not take the user and password "
        "that upstream_proxy of rules.yaml gives (407)"
    )
    assert refusals(behind, api_key) == [
        f"Askonce cannot connect: {why}",
        f"Askonce cannot connect to {FOREIGN}:443: {why}",
        f"Askonce cannot connect: {why}",
    ]
    set_proxy(f"http://{company.place}")
    assert all("asks for a user and a password (407)" in said for said in refusals(behind, api_key))
    assert behind.log().count("WARNING upstream proxy: the upstream proxy http") == 1
    assert "wrong" not in behind.log()


def test_a_proxy_that_is_down_is_told_of(behind: Proxy, set_proxy: Set, api_key: str) -> None:
    port = free_port()
    set_proxy(f"http://127.0.0.1:{port}")
    why = f"the upstream proxy http://127.0.0.1:{port} (upstream_proxy of rules.yaml) cannot be reached: [Errno "
    assert all(why in said for said in refusals(behind, api_key))


def test_it_is_not_its_own(behind: Proxy, set_proxy: Set) -> None:
    set_proxy(behind.url)
    status, _, text = tunnel(behind, f"{FOREIGN}:443")
    assert (status, "that is Askonce itself" in text) == (502, True)


def test_a_loop_by_way_of_another_proxy_ends(start_proxy: StartProxy, tmp_path: Path) -> None:
    """Two that take each other for the company's."""
    two = list[Proxy]()
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text(RULES.format(upstream_proxy="off"))
        two.append(start_proxy(rules=tmp_path / name))
    for proxy, other in (two, two[::-1]):
        proxy.rules.write_text(RULES.format(upstream_proxy=other.url))
        httpx.post(f"{proxy.url}/v1/reload", trust_env=False).raise_for_status()
    assert tunnel(two[0], "nowhere.invalid:443")[0] == 502
    assert by_proxy(two[0], "nowhere.invalid")[::2] == (508, "This call came back to Askonce, which had sent it on\n")
    assert 'askonce_turned_away_total{why="loop"} 2' in httpx.get(f"{two[0].url}/metrics", trust_env=False).text
