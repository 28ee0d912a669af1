"""`python -m benchmarks.fow_cache`: the published questions of fow-cache, asked by OpenAI's SDK behind a proxy.

Needs fow-cache 0.1.0 (`pip install fow-cache==0.1.0`), whose own `evaluate` counts. Its questions (CC BY 4.0) measure;
nothing was learned from them. Each pair has a namespace of its own, and so an empty cache.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai

from askonce.exec.proxy_process import borrowed
from askonce.sample import Pace, SampleProvider
from askonce.settings import Settings

HOST = "api.openai.com"
SERVED, WRONG = 0.65, 0.01
"""What must be served of what has the same answer, and what may be served of the traps."""
PUBLISHED = {"RedisVL": (0.51, 0.11), "GPTCache": (0.81, 0.81)}
"""By fow-cache's own page, at their defaults."""
Check = Callable[[str, str], bool]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fow_cache", description=__doc__)
    parser.add_argument("--max-error", type=float, help="of rules.yaml; its default otherwise")
    asked = parser.parse_args()
    try:
        from fow_cache import evaluate
    except ImportError:
        print("fow-cache is not installed: pip install fow-cache==0.1.0", file=sys.stderr)
        return 2
    with (
        tempfile.TemporaryDirectory() as folder,
        SampleProvider(pace=Pace(0, 0)) as provider,
        _proxied(Path(folder), provider.url, asked.max_error) as check,
    ):
        report = evaluate(check)
    print(report)
    for name, (served, wrong) in PUBLISHED.items():
        print(f"  {name}, as published: {served:.0%} served, {wrong:.0%} of the traps")
    good = report.hit_rate >= SERVED and report.wrong_rate <= WRONG
    print(f"{'reached' if good else 'NOT REACHED'}: {SERVED:.0%} served, {WRONG:.0%} of the traps at most")
    return int(not good)


@contextmanager
def _proxied(folder: Path, upstream: str, max_error: float | None) -> Iterator[Check]:
    """Whether a second question is answered with what the first one was."""
    rules, certs = folder / "rules.yaml", folder / "certs"
    defaults = "" if max_error is None else f"defaults: {{max_error: {max_error}}}\n"
    rules.write_text(
        f"version: 1\n{defaults}upstreams:\n  - {{name: openai, hosts: [{HOST}], paths: [/v1/chat/completions],\n"
        f"     wire: openai-chat, upstream: '{upstream}'}}\n"
    )
    settings = Settings.from_env(listen="127.0.0.1:0", rules=rules, data=folder / "data", certs=certs, environ={})
    with borrowed(settings) as proxy:
        through = openai.DefaultHttpxClient(proxy=proxy.url, verify=str(certs / "mitmproxy-ca-cert.pem"))
        client = openai.OpenAI(api_key="sk-fow", http_client=through, max_retries=0)
        pairs = itertools.count()

        def check(cached: str, new: str) -> bool:
            namespace = f"pair-{next(pairs)}"
            _ask(client, cached, namespace)
            return "hit" in _ask(client, new, namespace)

        yield check


def _ask(client: openai.OpenAI, question: str, namespace: str) -> str:
    """What the answer's Cache-Status says."""
    messages: Any = [{"role": "user", "content": question}]
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=messages, extra_headers={"x-cache-namespace": namespace}
    )
    return str(raw.headers["cache-status"])


if __name__ == "__main__":
    sys.exit(main())
