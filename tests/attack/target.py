"""What is attacked: a proxy of ours on loopback, before the sample provider, with rules of its own.

One rule: nothing but this machine's loopback is ever reached. Names lead to the sample provider below the proxy's
sockets, as in tests/e2e.
"""

from __future__ import annotations

import contextlib
import http.client
import resource
import socket
import ssl
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import trustme
from tests.attack.watch import Figures, Watch
from tests.e2e.conftest import FOREIGN, PROVIDER_HOSTS, REPOSITORY, Provider, Proxy
from tests.support.waiting import PATIENCE

CHAT = "https://api.openai.com/v1/chat/completions"
LOCAL = ("model.test:8001", "model.test:8002")
"""Two model servers of one name, in plain HTTP; one provider answers for both."""
UNREACHED = "api.cerebras.ai"
"""A provider that connections to are never made."""
_RULES = """\
upstreams:
  - name: local
    hosts: ["http://model.test:8001", "http://model.test:8002"]
    paths: [/v1/chat/completions]
    wire: openai-chat
  - name: turned
    hosts: [api.turned.test]
    upstream: http://model.test:8001
    paths: [/v1/chat/completions]
    wire: openai-chat
"""
TURNED = "api.turned.test"
"""A name whose calls go to the first of them."""
FRANCE = "What is the capital of France?"
DESCRIPTORS = 1024
"""How many the proxy may have."""


def rules(**sections: str) -> str:
    """The rules that ship and the local model servers, without audits; `sections` take the place of shipped ones."""
    sections = {"limits": "{max_held: 24MiB}"} | sections
    text = (REPOSITORY / "rules.yaml").read_text("utf-8").replace("\ndefaults:\n", "\ndefaults:\n  audit: 0\n")
    text = text.replace("upstreams:\n", _RULES, 1)
    lines = [line for line in text.splitlines() if line.split(":")[0] not in sections]
    return "\n".join([*lines, *(f"{name}: {value}" for name, value in sections.items())]) + "\n"


@dataclass
class Target:
    provider: Provider
    local: Provider
    folder: Path
    proxy: Proxy
    started: contextlib.ExitStack
    seen: list[Figures] = field(default_factory=list)
    """What `watched` saw of an attack's own proxies."""
    login: tuple[str, str] | None = None
    """Name and key of who uses the proxy, where it asks."""

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.proxy.port

    def key(self) -> str:
        """A credential that nobody else uses, and so a partition that nobody has filled."""
        return f"sk-{uuid.uuid4().hex}"

    def client(self, key: str | None = None, **options: Any) -> httpx.Client:
        """An app behind the proxy, with a key of its own unless one is given."""
        headers = {"authorization": f"Bearer {key or self.key()}"}
        trusting = ssl.create_default_context(cafile=str(self.proxy.bundle))
        proxy = httpx.Proxy(self.proxy.url, auth=self.login)
        return httpx.Client(proxy=proxy, verify=trusting, headers=headers, trust_env=False, timeout=PATIENCE, **options)

    def ask(self, key: str, *headers: tuple[str, str], url: str = CHAT, question: str = FRANCE, **more: Any) -> bool:
        """One call, with more headers; whether it was a hit. It is kept when this returns."""
        with self.client(key) as client:
            answer = client.post(url, json=body(question, **more), headers=list(headers))
        self.proxy.settle()
        return is_hit(answer)

    def start(self, name: str, **options: Any) -> Proxy:
        """Another proxy, with empty data unless `folder/NAME` has some; it is stopped with this one."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        if (text := options.pop("rules", None)) is not None:
            (folder / "rules.yaml").write_text(text)
            options["rules"] = folder / "rules.yaml"
        proxy = Proxy(folder, routes(self.provider, self.local), self.provider.ca_file, **options)
        self.started.callback(_end, proxy)
        proxy.wait_until_ready()
        return proxy

    def warm_up(self) -> None:
        """Have the proxy do all that it does once: what it has in memory then is its steady state."""
        key = self.key()
        for question in (FRANCE, FRANCE, "Tell me what the capital of France is.", "What is the capital of Peru?"):
            for stream in (False, True):
                self.ask(key, question=question, stream=stream)
        time.sleep(1)

    @contextlib.contextmanager
    def watched(self, proxy: Proxy) -> Iterator[Target]:
        """A proxy of the attack's own as what is attacked: warmed up, and within the bounds of the attack."""
        own = replace(self, proxy=proxy)
        own.warm_up()
        resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        host = urlsplit(proxy.url).hostname or ""
        watch = Watch(proxy.process.pid, proxy.port, host).start()
        try:
            yield own
        finally:
            self.seen.append(watch.stop())

    def connect(self) -> socket.socket:
        """A bare connection to the proxy."""
        return socket.create_connection(self.address, timeout=PATIENCE)

    def tunnel(self, host: str = "api.openai.com") -> http.client.HTTPSConnection:
        """A connection to a provider through the proxy, to send what no client would."""
        trusting = ssl.create_default_context(cafile=str(self.proxy.bundle))
        connection = http.client.HTTPSConnection(*self.address, context=trusting, timeout=PATIENCE)
        connection.set_tunnel(host, 443)
        return connection


def body(question: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}], **more}


def is_hit(answer: httpx.Response) -> bool:
    return "; hit" in answer.headers.get("cache-status", "")


@contextlib.contextmanager
def nobody() -> Iterator[int]:
    """A port that connections to are never made: as many wait to be accepted as may."""
    with socket.socket() as silent, contextlib.ExitStack() as waiting:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        for _ in range(4):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(silent.getsockname())
        yield silent.getsockname()[1]


def routes(provider: Provider, local: Provider) -> dict[str, int]:
    named = {f"{host}:443": provider.port for host in (*PROVIDER_HOSTS, FOREIGN)}
    return named | dict.fromkeys(LOCAL, local.port)


@contextlib.contextmanager
def target(folder: Path, text: str = "") -> Iterator[Target]:
    """A proxy with the rules given, those of `rules()` by default, that is ready."""
    with contextlib.ExitStack() as stack:
        for name in ("provider", "local", "proxy"):
            (folder / name).mkdir()
        provider = Provider(folder / "provider", trustme.CA())
        stack.callback(provider.stop)
        local = Provider(folder / "local", None)
        stack.callback(local.stop)
        (folder / "rules.yaml").write_text(text or rules())
        unreached = {f"{UNREACHED}:443": stack.enter_context(nobody())}
        proxy = Proxy(
            folder / "proxy", routes(provider, local) | unreached, provider.ca_file, rules=folder / "rules.yaml"
        )
        stack.callback(_end, proxy)
        for process in (provider, local, proxy):
            process.wait_until_ready()
        resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        yield Target(provider, local, folder, proxy, stack)


def _end(proxy: Proxy) -> None:
    """What an attack did to a proxy is told by its figures; here it only ends."""
    with contextlib.suppress(Exception):
        proxy.close()
    if proxy.process.poll() is None:
        proxy.kill()
