"""An addon for mitmdump, as somebody's own proxy: each thing that it is asked for is a line of `$SEEN`."""

import os
from pathlib import Path

from mitmproxy import http


def http_connect(flow: http.HTTPFlow) -> None:
    _note(f"CONNECT {flow.request.host}:{flow.request.port}")


def requestheaders(flow: http.HTTPFlow) -> None:
    _note(f"{flow.request.method} {flow.request.url}")


def _note(line: str) -> None:
    with Path(os.environ["SEEN"]).open("a", encoding="utf-8") as seen:
        seen.write(f"{line}\n")
