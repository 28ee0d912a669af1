"""What is told of calls: neither prompts, answers nor credentials are in the log, in traces, or in any sum."""

from __future__ import annotations

import contextlib
import gzip
import json
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from tests.support.otlp import receiving
from tests.support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, StartProxy

HOST = "https://api.openai.com"
KEY, PROMPT, ANSWER = "sk-canary-key-7f3a", "canary prompt 8c1d", "canary answer 2b9e"
CREDENTIALS = {
    "authorization": f"Bearer {KEY}",
    "x-api-key": f"{KEY}-header",
    "cookie": f"session={KEY}-cookie",
    "proxy-authorization": f"Basic {KEY}-proxy",
}


def _asked(question: str) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"{PROMPT} {question}"}]}


def _bodies() -> list[bytes]:
    """Good ones, and some that are not as they ought to be."""
    whole = json.dumps(_asked("What?")).encode()
    odd = [{**_asked("Why?"), "messages": [{"role": PROMPT}]}, {"model": "m", "messages": PROMPT}]
    return [whole, whole[:-9], *(json.dumps(one).encode() for one in odd), gzip.compress(whole)[:-9]]


def test_no_prompt_answer_or_credential_is_told(start_proxy: StartProxy, provider: Provider) -> None:
    often = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_METRIC_EXPORT_INTERVAL": "50", "ASKONCE_LOG_FORMAT": "json"}
    with receiving() as received:
        proxy = start_proxy(environment={"OTEL_EXPORTER_OTLP_ENDPOINT": received.url, **often})
        trusting = ssl.create_default_context(cafile=str(proxy.bundle))
        with httpx.Client(proxy=proxy.url, verify=trusting, trust_env=False, timeout=PATIENCE) as app:
            for body in _bodies():
                provider.script(json.dumps({"choices": [{"message": {"content": ANSWER}}], "usage": ANSWER}))
                app.post(f"{HOST}/v1/chat/completions?key={KEY}-query", content=body, headers=CREDENTIALS)
            provider.script(json.dumps({"error": {"message": f"{PROMPT} {KEY}"}}), status=401)
            app.post(f"{HOST}/v1/chat/completions", json=_asked("once more"), headers=CREDENTIALS)
            provider.script(ANSWER, abort=True)
            with contextlib.suppress(httpx.HTTPError):
                app.post(f"{HOST}/v1/chat/completions", json=_asked("cut"), headers=CREDENTIALS)
        proxy.settle()
        until(lambda: len(received.spans) >= 6)
        told = [span.SerializeToString() for span in received.spans] + [repr(received.metrics).encode()]
    shown = [httpx.get(f"{proxy.url}{path}", trust_env=False).content for path in ("/metrics", "/v1/stats")]
    proxy.stop()
    told += [proxy.log().encode(), *shown, (proxy.data / "history.db").read_bytes()]
    for secret in (KEY, PROMPT, ANSWER):
        found = [one[max(0, one.find(secret.encode()) - 120) :][:200] for one in told if secret.encode() in one]
        assert not found, found
    files = [file.read_bytes() for file in Path(proxy.data).rglob("*") if file.is_file()]
    assert not any(KEY.encode() in content for content in files)
