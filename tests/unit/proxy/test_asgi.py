"""The bridge to an ASGI app: what goes in comes out as it was."""

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from askonce.proxy.asgi import AsgiBridge


async def echo(request: Request) -> Response:
    return JSONResponse(
        {
            "method": request.method,
            "url": str(request.url),
            "path": request.scope["path"],
            "raw_path": request.scope["raw_path"].decode(),
            "query": request.scope["query_string"].decode(),
            "host": request.headers["host"],
            "twice": request.headers.getlist("x-twice"),
            "body": (await request.body()).decode("latin-1"),
        }
    )


async def compressed(_: Request) -> Response:
    return Response(gzip.compress(b"hello", mtime=0), headers={"content-encoding": "gzip"})


async def streamed(_: Request) -> Response:
    async def parts() -> Any:
        for part in (b"a", b"", b"bc"):
            yield part

    return StreamingResponse(parts(), status_code=207)


async def cookies(_: Request) -> Response:
    response = Response()
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


async def broken(_: Request) -> Response:
    raise RuntimeError("inside the app")


async def at_once[R](function: Callable[[], R]) -> R:
    await asyncio.sleep(0)
    return function()


BRIDGE = AsgiBridge(
    lambda: Starlette(
        routes=[
            Route("/compressed", compressed),
            Route("/streamed", streamed),
            Route("/cookies", cookies),
            Route("/broken", broken),
            Route("/{path:path}", echo, methods=["GET", "POST"]),
        ]
    ),
    at_once,
)


async def call(
    url: str, method: str = "GET", headers: Any = ((b"host", b"askonce.internal"),), body: bytes = b""
) -> Any:
    status, fields, content = await BRIDGE(method, url, headers, body)
    assert dict(fields)[b"content-length"] == str(len(content)).encode()
    return status, fields, content


async def echoed(*arguments: Any, **more: Any) -> dict[str, Any]:
    import json

    status, _, content = await call(*arguments, **more)
    assert status == 200
    return dict(json.loads(content))


@pytest.mark.parametrize(
    ("path", "decoded"),
    [
        ("/v1/cache/a%2Fb", "/v1/cache/a/b"),
        ("/v1/cache/a%252Fb", "/v1/cache/a%2Fb"),
        ("/a%20b:c", "/a b:c"),
        ("/caf%C3%A9", "/café"),
        ("/", "/"),
    ],
)
async def test_a_path_is_decoded_once(path: str, decoded: str) -> None:
    seen = await echoed("http://askonce.internal" + path)
    assert (seen["path"], seen["raw_path"]) == (decoded, path)


async def test_a_query_is_left_as_it_is() -> None:
    seen = await echoed("https://askonce.internal/v1/cache?prompt=a%26b+c&limit=1&limit=2&empty=")
    assert seen["query"] == "prompt=a%26b+c&limit=1&limit=2&empty="
    assert seen["url"].startswith("https://askonce.internal/v1/cache?")


async def test_method_headers_and_body_arrive() -> None:
    headers = ((b"host", b"127.0.0.1:8080"), (b"X-Twice", b"1"), (b"X-Twice", b"2"))
    seen = await echoed("http://127.0.0.1:8080/x", "POST", headers, b"\x00\xff")
    assert (seen["method"], seen["host"], seen["twice"], seen["body"]) == (
        "POST",
        "127.0.0.1:8080",
        ["1", "2"],
        "\x00\xff",
    )


async def test_an_encoded_body_stays_encoded() -> None:
    status, fields, content = await call("http://askonce.internal/compressed")
    assert (status, gzip.decompress(content)) == (200, b"hello")
    assert dict(fields)[b"content-encoding"] == b"gzip"


async def test_a_streamed_body_comes_whole() -> None:
    status, fields, content = await call("http://askonce.internal/streamed")
    assert (status, content) == (207, b"abc")
    assert b"transfer-encoding" not in dict(fields)


async def test_repeated_headers_are_kept() -> None:
    _, fields, _ = await call("http://askonce.internal/cookies")
    assert [value.partition(b";")[0] for name, value in fields if name == b"set-cookie"] == [b"a=1", b"b=2"]


async def test_an_app_that_fails_is_a_500() -> None:
    status, _, content = await call("http://askonce.internal/broken")
    assert (status, content) == (500, b"Internal Server Error")


async def test_the_app_is_told_where_a_request_comes_from() -> None:
    async def peer(request: Request) -> Response:
        assert request.client
        return Response(f"{request.client.host} {request.client.port}")

    bridge = AsgiBridge(lambda: Starlette(routes=[Route("/", peer)]), at_once)
    headers = [(b"host", b"askonce.internal")]
    _, _, told = await bridge("GET", "http://askonce.internal/", headers, b"", ("10.0.0.1", 5))
    _, _, untold = await bridge("GET", "http://askonce.internal/", headers, b"")
    assert (told, untold) == (b"10.0.0.1 5", b" 0")


async def test_the_app_is_made_once_for_all_who_ask_at_once() -> None:
    made = []

    def make() -> Starlette:
        made.append(1)
        return Starlette(routes=[Route("/", cookies)])

    bridge = AsgiBridge(make, at_once)
    assert not made
    asked = [bridge("GET", "http://askonce.internal/", [(b"host", b"askonce.internal")], b"") for _ in range(3)]
    assert [status for status, _, _ in await asyncio.gather(*asked)] == [200] * 3
    assert made == [1]


async def test_an_app_that_cannot_be_made_is_tried_again() -> None:
    apps = [Starlette(routes=[Route("/", cookies)]), None]

    def make() -> Starlette:
        if (app := apps.pop()) is None:
            raise MemoryError
        return app

    bridge = AsgiBridge(make, at_once)
    asked = "GET", "http://askonce.internal/", [(b"host", b"askonce.internal")], b""
    with pytest.raises(MemoryError):
        await bridge(*asked)
    assert (await bridge(*asked))[0] == 200
