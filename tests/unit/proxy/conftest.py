"""The addon in mitmproxy's own test context: real hooks, a real cache, no sockets."""

import contextlib
import json
import uuid
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.support.waiting import until_so

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # mitmproxy and ldap3 find fault with their libraries
    from mitmproxy import http
    from mitmproxy.addons import proxyserver
    from mitmproxy.test import taddons, tflow, tutils

    from askonce.proxy.addon import Askonce

from askonce import trust
from askonce.settings import Settings

HOST = "api.example.com"
PATH = "/v1/chat/completions"
RULES = f"""\
version: 1
upstreams:
  - {{name: chat, hosts: [{HOST}, "*.wild.example.com"], paths: [{PATH}], wire: openai-chat}}
  - {{name: plain, hosts: ["http://{HOST}:8000"], paths: [{PATH}], wire: openai-chat}}
  - {{name: house, hosts: [house.example.com], paths: [{PATH}], wire: openai-chat, upstream: "http://10.0.0.5:8000"}}
  - {{name: small, hosts: [small.example.com], paths: [{PATH}], wire: openai-chat, max_answer: 64}}
manage: {{host: askonce.internal, aliases: [cachebox]}}
cache: {{lookup_deadline: 300s}}
"""
PARIS = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}],
}

type Headers = Iterable[tuple[str, str]]


class Bench:
    """The addon, and flows of one test that are led through its hooks as mitmproxy does."""

    def __init__(self, askonce: Askonce) -> None:
        self.askonce = askonce
        self._key = f"sk-{uuid.uuid4().hex}"
        self._before = Counter(self._counts())

    def flow(self, *arguments: Any, **more: Any) -> http.HTTPFlow:
        """A flow whose request is whole, with a credential that no other test uses; see make_flow."""
        return make_flow(*arguments, key=self._key, **more)

    @property
    def counted(self) -> dict[str, int]:
        """What became of this test's calls: calls, stored, failed, faults; those that are not 0."""
        return {name: count for name, count in (Counter(self._counts()) - self._before).items() if count}

    @property
    def calls(self) -> int:
        """Calls that are over."""
        return self.counted.get("calls", 0)

    def _counts(self) -> dict[str, int]:
        accounting = self.askonce.runtime.accounting
        totals = accounting.totals()
        faults = sum(accounting.faults().values())
        return {"calls": totals.all.calls, "stored": totals.all.stored, "failed": totals.failed, "faults": faults}

    async def until(self, calls: int) -> None:
        """Wait until so many calls are over."""
        await until_so(lambda: self.calls >= calls)

    async def enter(self, flow: http.HTTPFlow) -> http.HTTPFlow:
        """The request arrives."""
        self.askonce.requestheaders(flow)
        await self.askonce.request(flow)
        return flow

    def answer(self, flow: http.HTTPFlow, *chunks: bytes, status: int = 200, headers: Headers = ()) -> list[bytes]:
        """The provider answers; returns what is sent to the client."""
        sent = self.answer_in_part(
            flow, *chunks, b"", status=status, headers=headers
        )  # mitmproxy ends with an empty one
        self.askonce.response(flow)
        return sent

    def answer_in_part(
        self, flow: http.HTTPFlow, *chunks: bytes, status: int = 200, headers: Headers = ()
    ) -> list[bytes]:
        """The provider begins to answer; returns what is sent to the client."""
        fields = [(name.encode(), value.encode()) for name, value in headers] or [
            (b"content-type", b"application/json")
        ]
        flow.response = tutils.tresp(status_code=status, headers=http.Headers(fields), content=None)
        self.askonce.responseheaders(flow)
        sent: list[bytes] = []
        for chunk in chunks:
            stream = flow.response.stream
            passed = stream(chunk) if callable(stream) else chunk
            sent += [passed] if isinstance(passed, bytes) else passed
        return sent

    async def call(self, flow: http.HTTPFlow, body: bytes = json.dumps(PARIS).encode()) -> http.Response:
        """A whole call, over when this returns."""
        over = self.calls + 1
        await self.enter(flow)
        if flow.response:
            self.askonce.responseheaders(flow)
            self.askonce.response(flow)
        else:
            self.answer(flow, body)
        await self.until(over)
        assert flow.response
        return flow.response


def make_flow(
    question: str = "What is the capital of France?",
    *,
    key: str,
    method: str = "POST",
    scheme: str = "https",
    host: str = HOST,
    port: int = 443,
    path: str = PATH,
    sni: str | None = "",
    host_header: str = "",
    headers: Headers = (),
    content: bytes | None = None,
    **more: Any,
) -> http.HTTPFlow:
    """A flow whose request is whole; `sni` and `host_header` are the host's unless they are given."""
    body = {"model": "gpt", "messages": [{"role": "user", "content": question}], **more}
    fields = [("host", host_header or host), ("authorization", f"Bearer {key}"), *headers]
    request = tutils.treq(
        method=method.encode(),
        scheme=scheme.encode(),
        host=host,
        port=port,
        path=path.encode(),
        authority=b"",
        headers=http.Headers([(name.encode(), value.encode()) for name, value in fields]),
        content=json.dumps(body).encode() if content is None else content,
    )
    flow = tflow.tflow(req=request)
    flow.client_conn.sni = (host if scheme == "https" else None) if sni == "" else sni
    flow.client_conn.sockname = ("127.0.0.1", 8080)
    return flow


@contextlib.asynccontextmanager
async def run(folder: Path) -> AsyncIterator[Askonce]:
    """The addon in a mitmproxy of its own."""
    (folder / "rules.yaml").write_text(RULES)
    askonce = Askonce(
        Settings("127.0.0.1", 8080, rules=folder / "rules.yaml", data=folder / "data", certs=folder / "certs")
    )
    with taddons.context(proxyserver.Proxyserver(), askonce):
        await askonce.runtime.cache.ready()
        yield askonce
        await askonce.runtime.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _askonce(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Askonce]:
    async with run(tmp_path_factory.mktemp("askonce")) as askonce:
        yield askonce


@pytest.fixture
def bench(_askonce: Askonce) -> Bench:
    """An addon that the tests of a module share."""
    return Bench(_askonce)


@pytest_asyncio.fixture(loop_scope="module")
async def own_bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """An addon of the test's own, to stop and to change."""
    async with run(tmp_path) as askonce:
        trust.ensure_ca(tmp_path / "certs", askonce.runtime.rules.host_names(), environ={})
        yield Bench(askonce)
