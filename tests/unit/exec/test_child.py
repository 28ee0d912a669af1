import os
import shlex
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.waiting import PATIENCE

from askonce.exec.child import CommandError, environment, find_command, placeholder_keys, run
from askonce.exec.client_files import client_files
from askonce.trust import Trust, ensure_ca
from askonce.trust.roots import BUNDLE_VARIABLES

PROXY = "http://127.0.0.1:8080"
BUNDLE, CA_CERT = Path("/certs/bundle.pem"), Path("/certs/ca.pem")
HOST = "api.openai.com"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello"


def made(base: dict[str, str], **options: object) -> dict[str, str]:
    return environment(PROXY, BUNDLE, CA_CERT, base, **options)  # type: ignore[arg-type]


# --- the variables ---


def test_an_empty_environment_gets_everything() -> None:
    variables = made({})
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        assert (variables[name], variables[name.lower()]) == (PROXY, PROXY)
    assert variables["NO_PROXY"] == variables["no_proxy"] == "localhost,127.0.0.1,::1"
    assert {variables[name] for name in BUNDLE_VARIABLES} == {"/certs/bundle.pem"}
    assert variables["NODE_EXTRA_CA_CERTS"] == variables["DENO_CERT"] == "/certs/ca.pem"
    assert variables["NODE_USE_ENV_PROXY"] == "1"
    assert variables["AIOHTTP_TRUST_ENV"] == "True"
    assert variables["JAVA_TOOL_OPTIONS"] == (
        "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=8080 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=8080"
        " -Dhttp.nonProxyHosts=localhost|127.0.0.1|[::1]"
    )
    assert "SSL_CERT_DIR" not in variables


def test_what_the_user_had_is_extended() -> None:
    base = {
        "NO_PROXY": "corp.example, .lan",
        "no_proxy": "corp.example,10.0.0.0/8,localhost",
        "NODE_OPTIONS": "--max-old-space-size=4096",
        "NODE_EXTRA_CA_CERTS": "/corp.pem",
        "PYTHONPATH": "/a:/b",
        "JAVA_TOOL_OPTIONS": "-Xmx1g",
    }
    variables = made(base, truststore=Path("/my certs/store.p12"))
    assert variables["NO_PROXY"] == "corp.example,10.0.0.0/8,localhost,.lan,127.0.0.1,::1"
    assert variables["NODE_OPTIONS"].startswith("--max-old-space-size=4096 --require ")
    assert variables["NODE_EXTRA_CA_CERTS"] == "/certs/bundle.pem"
    assert variables["DENO_CERT"] == "/certs/ca.pem"
    assert variables["PYTHONPATH"].split(":")[1:] == ["/a", "/b"]
    java = variables["JAVA_TOOL_OPTIONS"]
    assert java.startswith("-Xmx1g -Dhttp.proxyHost=127.0.0.1 ")
    assert "|corp.example|*.corp.example|localhost|lan|*.lan|127.0.0.1|[::1] " in java.replace("Hosts=", "Hosts=|")
    assert '-Djavax.net.ssl.trustStore="/my certs/store.p12" -Djavax.net.ssl.trustStoreType=PKCS12' in java


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "[::1]"])
def test_where_a_rule_names_a_local_host_all_its_names_go_through_the_proxy(host: str) -> None:
    variables = made({"NO_PROXY": "Localhost,corp.example,[::1]"}, hosts=[host, HOST])
    assert variables["NO_PROXY"] == variables["no_proxy"] == "corp.example"
    assert "-Dhttp.nonProxyHosts=corp.example|*.corp.example" in variables["JAVA_TOOL_OPTIONS"]


def test_a_host_that_a_rule_names_goes_through_the_proxy_though_it_went_past_another() -> None:
    given = f"{HOST},*,.openai.com,other.example"
    assert made({"NO_PROXY": given}, hosts=[HOST])["NO_PROXY"] == "*,.openai.com,other.example,localhost,127.0.0.1,::1"


@given(
    st.dictionaries(
        st.sampled_from(["NO_PROXY", "no_proxy", "NODE_OPTIONS", "PYTHONPATH", "JAVA_TOOL_OPTIONS"]),
        st.lists(st.sampled_from(["a", "b.example", "--c", "/d"]), unique=True).map(":".join),
    )
)
def test_exec_below_exec_adds_nothing(base: dict[str, str]) -> None:
    once = base | made(base)
    twice = once | made(once)
    changed = {name for name in twice if twice[name] != once[name]}
    assert changed <= {
        "NODE_EXTRA_CA_CERTS",
        "DENO_CERT",
    }  # these now lead to the bundle, which has our certificate too


def test_only_keys_that_are_missing_get_a_placeholder() -> None:
    keys = placeholder_keys({"OPENAI_API_KEY": "sk-mine", "MISTRAL_API_KEY": "", "GOOGLE_API_KEY": "g"})
    assert keys["ANTHROPIC_API_KEY"] == keys["MISTRAL_API_KEY"] == "askonce-placeholder"
    assert {"OPENAI_API_KEY", "GEMINI_API_KEY"}.isdisjoint(keys)
    assert "GEMINI_API_KEY" in placeholder_keys({})


# --- the command ---


def exec_python(code: str, *args: str) -> int:
    return run([sys.executable, "-c", code, *args], os.environ)


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_the_exit_code_is_the_command_s(code: int) -> None:
    assert exec_python(f"raise SystemExit({code})") == code


def test_a_signal_that_ends_the_command_shows_in_the_exit_code() -> None:
    assert exec_python("import os; os.kill(os.getpid(), 9)") == 137


def test_arguments_and_variables_arrive(tmp_path: Path) -> None:
    write = "import os, sys; open(sys.argv[1], 'w').write(os.environ['A'] + repr(sys.argv[2:]))"
    command = [sys.executable, "-c", write, str(tmp_path / "out"), "a b", "$c", ""]
    assert run(command, {**os.environ, "A": "é"}) == 0
    assert (tmp_path / "out").read_text() == "é['a b', '$c', '']"


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("text")
    for name, code, message in (
        ("no-such-command", 127, "no-such-command: command not found"),
        (f"{tmp_path}/plain", 126, f"{tmp_path}/plain: not a program that may be run"),
        (f"{tmp_path}/gone", 127, f"{tmp_path}/gone: command not found"),
    ):
        with pytest.raises(CommandError, match=f"^{message}$") as raised:
            run([name], os.environ)
        assert raised.value.code == code


def test_a_program_that_the_system_cannot_run(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/no/such/interpreter\n")
    (tmp_path / "script").chmod(0o755)
    with pytest.raises(CommandError, match=r"script: No such file or directory") as raised:
        run([str(tmp_path / "script")], os.environ)
    assert raised.value.code == 126


def test_the_command_is_looked_up_in_its_own_path(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "tool").chmod(0o755)
    assert find_command("tool", {"PATH": str(tmp_path)}) == str(tmp_path / "tool")


WAIT = """
import signal, sys, time
def stop(number, frame):
    print("got", signal.Signals(number).name, flush=True)
    sys.exit(40 + number)
for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"):
    signal.signal(getattr(signal, name), stop)
print("waiting", flush=True)
time.sleep(60)
"""
SUPERVISE = "import os, sys; from askonce.exec.child import run; sys.exit(run(sys.argv[1:], os.environ))"
# A test run in the background or under nohup ignores these signals, and its children with it.
HEARING = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_signals_reach_the_command(name: str) -> None:
    number = signal.Signals[name]
    command = [sys.executable, "-c", HEARING + SUPERVISE, sys.executable, "-c", WAIT]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(number)
        assert process.stdout.readline() == f"got {name}\n"
        assert process.wait(PATIENCE) == 40 + number


def test_ctrl_c_on_a_terminal_arrives_once() -> None:
    count = """
import signal, sys, time
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(1))
print("waiting", flush=True)
time.sleep(0.5)
print(len(seen), flush=True)
"""
    terminal, other = os.openpty()
    command = [sys.executable, "-c", SUPERVISE, sys.executable, "-c", count]
    login = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", login, *command], stdin=other, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        os.close(other)
        assert process.stdout
        assert process.stdout.readline() == "waiting\n"
        os.write(terminal, b"\x03")
        assert process.stdout.readline() == "1\n"
    os.close(terminal)


def test_what_is_ignored_stays_ignored() -> None:
    ask = "import signal; raise SystemExit(signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN)"
    program = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); {SUPERVISE}"
    assert subprocess.run([sys.executable, "-c", program, sys.executable, "-c", ask]).returncode == 0


def test_our_own_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    exec_python("")
    assert signal.getsignal(signal.SIGTERM) is before


# --- runtimes ---


class Proxy(socketserver.ThreadingTCPServer):
    """Answers CONNECT for any host with a leaf of our authority, and every request in the tunnel with `ANSWER`."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, leaf: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(leaf)
        self.seen: list[str] = []
        super().__init__(("127.0.0.1", 0), Tunnel)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Tunnel(socketserver.BaseRequestHandler):
    server: Proxy
    request: socket.socket

    def handle(self) -> None:
        head = read_head(self.request)
        self.server.seen.append(head.split(b"\r\n")[0].decode())
        # In two pieces: a reply that comes like this is legal, and has broken clients.
        self.request.sendall(b"HTTP/1.1 200 Connection")
        time.sleep(0.01)
        self.request.sendall(b" established\r\n\r\n")
        try:
            is_plain = self.request.recv(1, socket.MSG_PEEK) != b"\x16"  # a TLS handshake
            with (
                self.request if is_plain else self.server.context.wrap_socket(self.request, server_side=True) as secure
            ):
                while head := read_head(secure):
                    self.server.seen.append(head.split(b"\r\n")[0].decode())
                    secure.sendall(ANSWER)
        except OSError:
            pass  # clients leave without a word


def read_head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and (part := connection.recv(65536)):
        head += part
    return head


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    return ensure_ca(tmp_path / "my certs", [HOST], environ={})


@pytest.fixture
def proxy(trust: Trust, sign_leaf: Callable[..., Path]) -> Iterator[Proxy]:
    with Proxy(sign_leaf(trust.directory, HOST)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def behind(proxy: Proxy, trust: Trust, *command: str, **variables: str) -> str:
    """What a command prints behind the proxy, in an environment with nothing else in it."""
    base = {"PATH": os.environ["PATH"], **variables}
    env = base | environment(proxy.url, trust.bundle, trust.ca_cert, base, truststore=trust.truststore)
    env |= client_files(trust.bundle, base)
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
NODE = {
    "fetch": "fetch('https://api.openai.com/a').then((r) => r.text()).then(console.log)",
    "https": "require('https').get('https://api.openai.com/a', (r) => r.on('data', (d) => console.log(String(d))))",
    "agent": """
        const https = require('https'), agent = new https.Agent({ keepAlive: true });
        const get = (next) => https.get('https://api.openai.com/a', { agent }, (r) => {
          r.on('data', (d) => console.log(String(d))); r.on('end', () => setImmediate(next)); });
        get(() => get(() => {}));
    """,
}


@needs_node
@pytest.mark.parametrize(
    ("client", "output", "requests"),
    [("fetch", "hello", 1), ("https", "hello", 1), ("agent", "hello\nhello", 2)],
)
def test_node_goes_through_the_proxy_and_ends_at_once(
    proxy: Proxy, trust: Trust, client: str, output: str, requests: int
) -> None:
    begin = time.monotonic()
    assert behind(proxy, trust, "node", "-e", NODE[client]) == output
    assert proxy.seen == ["CONNECT api.openai.com:443 HTTP/1.1", *["GET /a HTTP/1.1"] * requests]
    assert time.monotonic() - begin < 3.5  # an idle connection that is kept alive must not keep the program alive


LOCAL = "local.test:8123"
PLAIN = {
    "fetch": "fetch('http://local.test:8123/a').then((r) => r.text()).then(console.log)",
    "http": "require('http').get('http://local.test:8123/a', (r) => r.on('data', (d) => console.log(String(d))))",
    "post": """
        const options = { host: 'local.test', port: 8123, path: '/a', method: 'POST', timeout: 60000 };
        const request = require('http').request(options, (r) => r.on('data', (d) => console.log(String(d))));
        request.end('body');
    """,
    "agent": NODE["agent"].replace("https", "http").replace(HOST, LOCAL),
}


@needs_node
@pytest.mark.parametrize(
    ("client", "output", "requests"),
    [
        ("fetch", "hello", ["GET /a HTTP/1.1"]),
        ("http", "hello", ["GET /a HTTP/1.1"]),
        ("post", "hello", ["POST /a HTTP/1.1"]),
        ("agent", "hello\nhello", ["GET /a HTTP/1.1"] * 2),
    ],
)
def test_node_asks_plain_http_through_the_proxy_as_well(
    proxy: Proxy, trust: Trust, client: str, output: str, requests: list[str]
) -> None:
    begin = time.monotonic()
    assert behind(proxy, trust, "node", "-e", PLAIN[client]) == output
    assert proxy.seen == [f"CONNECT {LOCAL} HTTP/1.1", *requests]
    assert time.monotonic() - begin < 3.5


@needs_node
def test_node_asks_the_proxy_itself_without_a_detour(proxy: Proxy, trust: Trust) -> None:
    """As axios does, which knows of proxies."""
    code = f"""
        const {{ hostname, port }} = new URL('{proxy.url}');
        const request = require('http').get({{ hostname, port, path: 'http://local.test/a' }});
        request.on('error', () => {{}}).on('response', () => process.exit());
    """
    assert behind(proxy, trust, "node", "-e", code) == ""
    assert proxy.seen == ["GET http://local.test/a HTTP/1.1"]


@needs_node
def test_node_connects_to_what_is_no_http_as_ever(proxy: Proxy, trust: Trust) -> None:
    code = "require('net').connect({ port: 1, host: '127.0.0.2' }).on('error', (e) => console.log(e.code))"
    assert behind(proxy, trust, "node", "-e", code) == "ECONNREFUSED"
    assert proxy.seen == []


@needs_node
def test_modules_of_node_go_through_the_proxy(proxy: Proxy, trust: Trust, tmp_path: Path) -> None:
    (tmp_path / "app.mjs").write_text(
        "import { get } from 'node:https';\n"
        "get('https://api.openai.com/a', (r) => r.on('data', (d) => console.log(String(d))));\n"
    )
    assert behind(proxy, trust, "node", str(tmp_path / "app.mjs")) == "hello"
    assert proxy.seen == ["CONNECT api.openai.com:443 HTTP/1.1", "GET /a HTTP/1.1"]


@needs_node
@pytest.mark.parametrize(
    "no_proxy", ["api.openai.com", "openai.com", ".openai.com", "*.openai.com:9", "a, openai.com", "*"]
)
def test_node_heeds_no_proxy(proxy: Proxy, trust: Trust, no_proxy: str) -> None:
    code = """
        const address = '127.0.0.2', family = 4;
        const lookup = (host, options, done) => done(null, options.all ? [{ address, family }] : address, family);
        const request = require('https').get({ host: 'api.openai.com', port: 9, lookup });
        request.on('error', (e) => console.log(e.code, e.address));
    """
    assert behind(proxy, trust, "node", "-e", code, NO_PROXY=no_proxy) == "ECONNREFUSED 127.0.0.2"
    assert proxy.seen == []


@needs_node
def test_node_reports_a_proxy_that_is_gone(trust: Trust) -> None:
    base = {"PATH": os.environ["PATH"]}
    env = base | environment("http://127.0.0.1:1", trust.bundle, trust.ca_cert, base)
    code = "fetch('https://api.openai.com/a').catch((e) => console.log(e.cause.code))"
    done = subprocess.run(["node", "-e", code], env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.stdout, done.stderr) == ("ECONNREFUSED\n", "")


@needs_node
def test_node_leaves_other_protocols_alone(proxy: Proxy, trust: Trust) -> None:
    code = "require('tls').connect(1, '127.0.0.2', () => {}).on('error', (e) => console.log(e.code))"
    assert behind(proxy, trust, "node", "-e", code) == "ECONNREFUSED"
    assert proxy.seen == []


PYTHON = {
    "httpx": "import httpx; print(httpx.get('https://api.openai.com/a').text)",
    "requests": "import requests; print(requests.get('https://api.openai.com/a').text)",
    "urllib": "import urllib.request as u; print(u.urlopen('https://api.openai.com/a').read().decode())",
    "aiohttp": """
import asyncio, aiohttp
async def main():
    async with aiohttp.ClientSession() as session, session.get('https://api.openai.com/a') as response:
        print(await response.text())
asyncio.run(main())
""",
}


@pytest.mark.parametrize("client", PYTHON)
def test_python_goes_through_the_proxy(proxy: Proxy, trust: Trust, client: str) -> None:
    assert behind(proxy, trust, sys.executable, "-c", PYTHON[client]) == "hello"
    assert proxy.seen == ["CONNECT api.openai.com:443 HTTP/1.1", "GET /a HTTP/1.1"]


@pytest.mark.parametrize("client", ["httpx", "urllib"])
def test_a_folder_of_certificates_does_not_win_over_ours(
    proxy: Proxy, trust: Trust, tmp_path: Path, client: str
) -> None:
    (tmp_path / "empty").mkdir()
    folder = str(tmp_path / "empty")
    assert behind(proxy, trust, sys.executable, "-c", PYTHON[client], SSL_CERT_DIR=folder) == "hello"


def test_aiohttp_stays_direct_where_the_app_says_so(proxy: Proxy, trust: Trust) -> None:
    code = (
        PYTHON["aiohttp"]
        .replace("ClientSession()", "ClientSession(trust_env=False)")
        .replace("asyncio.run(main())", "try: asyncio.run(main())\nexcept aiohttp.ClientError: print('refused')")
    )
    assert behind(proxy, trust, sys.executable, "-c", code.replace(HOST, "127.0.0.2:1")) == "refused"
    assert proxy.seen == []


def test_the_sitecustomize_of_the_machine_runs_too(proxy: Proxy, trust: Trust, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.HERE = 'the machine'\n")
    code = "import sys, sitecustomize; print(HERE, sitecustomize.__file__, [p for p in sys.path if 'preload' in p])"
    printed = behind(proxy, trust, sys.executable, "-c", code, PYTHONPATH=str(tmp_path))
    assert printed == f"the machine {tmp_path}/sitecustomize.py []"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_goes_through_the_proxy(proxy: Proxy, trust: Trust) -> None:
    assert behind(proxy, trust, "curl", "-sS", "https://api.openai.com/a") == "hello"


@pytest.mark.skipif(shutil.which("wget") is None, reason="wget is not installed")
def test_wget_goes_through_the_proxy_with_the_settings_of_its_user(proxy: Proxy, trust: Trust, tmp_path: Path) -> None:
    (tmp_path / ".wgetrc").write_text("header = X-Mine: 1\nuser_agent = mine")
    wget = ("wget", "-qO-", "-d", "-o", str(tmp_path / "log"), f"https://{HOST}/a")
    assert behind(proxy, trust, *wget, HOME=str(tmp_path)) == "hello"
    log = (tmp_path / "log").read_text()
    assert "User-Agent: mine" in log
    assert "X-Mine: 1" in log


PERL = "print HTTP::Tiny->new->get($ARGV[0])->{content}"


@pytest.mark.skipif(shutil.which("perl") is None, reason="Perl is not installed")
def test_perl_goes_through_the_proxy(proxy: Proxy, trust: Trust) -> None:
    if subprocess.run(["perl", "-MHTTP::Tiny", "-MIO::Socket::SSL", "-e", "1"], capture_output=True).returncode:
        pytest.skip("this Perl speaks no TLS")
    assert behind(proxy, trust, "perl", "-MHTTP::Tiny", "-e", PERL, f"https://{HOST}/a") == "hello"


PHP = {
    "curl": "$c = curl_init($argv[1]); curl_setopt($c, CURLOPT_RETURNTRANSFER, true); echo curl_exec($c);",
    "settings": "echo ini_get('openssl.cafile') === ini_get('curl.cainfo') ? 'hello' : 'other';",
}


@pytest.mark.skipif(shutil.which("php") is None, reason="PHP is not installed")
@pytest.mark.parametrize("client", PHP)
def test_php_goes_through_the_proxy(proxy: Proxy, trust: Trust, client: str) -> None:
    if client == "curl" and "curl" not in subprocess.run(["php", "-m"], capture_output=True, text=True).stdout:
        pytest.skip("this PHP has no curl")
    assert behind(proxy, trust, "php", "-r", PHP[client], f"https://{HOST}/a") == "hello"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("javac") is None, reason="no JDK is installed")
def test_java_goes_through_the_proxy(proxy: Proxy, trust: Trust, tmp_path: Path) -> None:
    (tmp_path / "Get.java").write_text(
        "import java.net.URI; import java.net.http.*;\n"
        "class Get { public static void main(String[] args) throws Exception {\n"
        f'  var request = HttpRequest.newBuilder(URI.create("https://{HOST}/a")).build();\n'
        "  var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());\n"
        "  System.out.println(answer.body()); } }\n"
    )
    assert behind(proxy, trust, "java", str(tmp_path / "Get.java")) == "hello"
    assert proxy.seen[0] == "CONNECT api.openai.com:443 HTTP/1.1"


def test_exports_survive_a_shell(tmp_path: Path) -> None:
    variables = made({"NODE_OPTIONS": "--title='it is' $HOME"})
    script = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    done = subprocess.run(["sh", "-c", f"{script}\nenv -0"], capture_output=True, text=True, check=True)
    printed = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    assert variables.items() <= printed.items()
