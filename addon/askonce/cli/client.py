"""The management API as the commands use it: that of the running proxy, or, where none runs, of the data folder itself.

One rule: both ways answer with the same values, because both are the same application.
"""

import asyncio
import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import urlencode

from askonce import __version__
from askonce.exec.proxy_process import ProxyError, ProxyState, probe
from askonce.settings import Settings

__all__ = ["AskProxy", "management", "running_proxy", "wait_until_idle"]

_PAUSE = 0.01


class AskProxy(Protocol):
    """Sends one request."""

    def __call__(self, method: str, path: str, query: Mapping[str, Any], body: bytes = b"", /) -> Any:
        """The JSON value that was answered; bytes where it was no single one. Parameters that are None are left out.

        A body is JSON, or JSON lines where it ends with a line break.
        """


class RequestError(Exception):
    """The management API refused a request; the message is its own."""


@contextmanager
def management(settings: Settings) -> Iterator[AskProxy]:
    """The running proxy's API, or the data folder's own where none runs."""
    match probe(settings):
        case ProxyState.ABSENT:
            with _own_management(settings) as ask:
                yield ask
        case state:
            yield _over_http(settings, state)


def running_proxy(settings: Settings) -> AskProxy:
    """The running proxy's API. Raises `ProxyError` where none runs."""
    return _over_http(settings, probe(settings))


def wait_until_idle(ask: AskProxy, patience: float) -> Any:
    """Wait for the calls that are under way, `patience` seconds at most; the statistics afterwards."""
    deadline = time.monotonic() + patience
    while (stats := ask("GET", "/v1/stats", {}))["in_flight"] and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    return stats


def _over_http(settings: Settings, state: ProxyState) -> AskProxy:
    if state is ProxyState.ABSENT:
        raise ProxyError(f"no proxy runs at {settings.listen}; start one with `askonce serve`")
    if state is ProxyState.FOREIGN:
        raise ProxyError(f"what listens at {settings.listen} is not Askonce; name the proxy with --listen HOST:PORT")

    def ask(method: str, path: str, query: Mapping[str, Any], body: bytes = b"", /) -> Any:
        connection = http.client.HTTPConnection(settings.client_host, settings.listen_port, timeout=30)
        headers = _content_type(body) | ({"authorization": f"Bearer {settings.token}"} if settings.token else {})
        try:
            connection.request(method, _target(path, query), body or None, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ProxyError(f"the proxy at {settings.listen} did not answer: {error}") from error
        finally:
            connection.close()
        if response.status == 401:
            raise RequestError("the proxy asks for its token: set ASKONCE_TOKEN to the one it was started with")
        return _value(response.status, response.headers.get_content_type(), answer)

    return ask


@contextmanager
def _own_management(settings: Settings) -> Iterator[AskProxy]:
    import httpx

    from askonce.accounting import Accounting
    from askonce.api.app import create_app
    from askonce.cache import Cache
    from askonce.cache.judge import load_judge
    from askonce.calls.comparison import Compare
    from askonce.calls.warming import LikeWarmer
    from askonce.products.document import Config
    from askonce.rules import Rules

    if not settings.data.is_dir():
        raise ProxyError(f"no proxy runs at {settings.listen}, and there is no data folder at {settings.data}")
    config = Config.load(settings.rules)
    rules = Rules(config)
    limits = config.cache.limits()
    with asyncio.Runner() as runner:
        cache = Cache.open(
            settings.data,
            embedder=config.embedder,
            judge=load_judge(config.judge),
            limits=limits,
            shared=config.cache.place(),
        )
        app = create_app(
            cache,
            Accounting(),
            token=None,
            version=__version__,
            ready=lambda: None,
            reload=None,
            limits=limits,
            ttl=lambda: config.defaults.ttl,
            warm=LikeWarmer(cache, lambda: rules),
            compare=Compare(cache, lambda: rules, _at_once),
        )
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://askonce.internal")

        def ask(method: str, path: str, query: Mapping[str, Any], body: bytes = b"", /) -> Any:
            headers = _content_type(body)
            response = runner.run(client.request(method, _target(path, query), content=body, headers=headers))
            return _value(response.status_code, response.headers["content-type"], response.content)

        try:
            runner.run(cache.ready())
            yield ask
        finally:
            runner.run(client.aclose())
            runner.run(cache.close())


async def _at_once[R](function: Callable[[], R], /) -> R:
    """Nobody else waits."""
    return function()


def _target(path: str, query: Mapping[str, Any]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _content_type(body: bytes) -> dict[str, str]:
    if not body:
        return {}
    return {"content-type": "application/jsonl" if body.endswith(b"\n") else "application/json"}


def _value(status: int, content_type: str, body: bytes) -> Any:
    if content_type.startswith("application/jsonl"):
        return body
    try:
        value = json.loads(body)
    except ValueError:
        raise RequestError(f"the proxy answered with {status} and no JSON: {body[:200]!r}") from None
    if status >= 400:
        raise RequestError(str(value.get("error", value)) if isinstance(value, dict) else str(value))
    return value
