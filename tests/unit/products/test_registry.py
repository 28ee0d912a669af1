"""Who gets a call to our own address: by the view, by what it bears, or by default."""

from dataclasses import replace

import pytest

from askonce.accounting import Accounting
from askonce.api.product_addresses import ViewName
from askonce.call import Reply, Request
from askonce.faults import Faults
from askonce.products.base import Passage
from askonce.products.registry import Products
from askonce.rules import Document, Rules

RULES = Rules(
    Document.parse(
        """\
version: 1
upstreams:
  - {name: chat, hosts: [api.example.com], paths: [/v1/chat], wire: openai-chat}
"""
    )
)


class Named:
    """A product that knows its calls by a header, and answers with its name and the path."""

    def __init__(self, name: ViewName) -> None:
        self.name: ViewName = name

    def recognises(self, request: Request, rules: Rules) -> bool:
        return f"x-{self.name}" in request.headers

    def claim(self, request: Request, rules: Rules) -> Passage | Reply | None:
        if request.path == "/broken":
            raise KeyError("the prompt")
        return None if request.path == "/managed" else Reply(f"{self.name} {request.path}".encode(), "text/plain")

    def refuse(self, status: int, message: str) -> Reply:
        return Reply(f"{self.name} refuses".encode(), "text/plain", status)


def claim(
    path: str,
    host: str = "askonce.internal",
    default: ViewName | None = None,
    has_keys: bool = False,
    **headers: str,
) -> tuple[int, str] | None:
    names: tuple[ViewName, ...] = ("cachecore", "gateway", "semcache", "promptcache")
    products = Products(
        [*map(Named, names)], Faults(Accounting().fault), has_keys=lambda: has_keys, default=lambda: default
    )
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    claimed = products.claim(Request("POST", host, path, "", given, b""), "http", RULES)
    assert claimed is None or isinstance(claimed, Reply)
    return claimed and (claimed.status, claimed.body.decode())


def test_the_view_decides_and_the_product_does_not_see_it() -> None:
    assert claim("/semcache-app/v1/x") == (200, "semcache /v1/x")
    assert claim("/v1/x", "semcache.askonce.internal") == (200, "semcache /v1/x")
    assert claim("/semcache-app/v1/x", x_cachecore="1") == (200, "semcache /v1/x")
    assert claim("/langcache/v1/x") is None
    assert claim("/v1/x", "nobody.askonce.internal") is None


def test_at_the_root_what_it_bears_decides_and_else_the_default() -> None:
    assert claim("/v1/x", x_semcache="1", x_cachecore="1") == (200, "cachecore /v1/x")
    assert claim("/v1/x", x_semcache="1") == (200, "semcache /v1/x")
    assert claim("/v1/x") == (200, "promptcache /v1/x")
    assert claim("/v1/x", default="semcache") == (200, "semcache /v1/x")


def test_once_the_gateway_has_keys_the_root_asks_for_one_unless_rules_yaml_names_another() -> None:
    assert claim("/v1/x", has_keys=True) == (200, "gateway /v1/x")
    assert claim("/v1/x", has_keys=True, authorization="Bearer sk-mistyped") == (200, "gateway /v1/x")
    assert claim("/v1/x", has_keys=True, x_semcache="1") == (200, "semcache /v1/x")
    assert claim("/promptcache/v1/x", has_keys=True) == (200, "promptcache /v1/x")
    assert claim("/v1/x", has_keys=True, default="promptcache") == (200, "promptcache /v1/x")


def test_what_is_no_call_is_for_the_management_api() -> None:
    assert claim("/managed") is None


def test_a_fault_is_a_refusal_that_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert claim("/semcache-app/broken") == (500, "semcache refuses")


def test_a_page_of_another_site_gets_nothing_that_is_the_operators() -> None:
    assert claim("/v1/x", origin="https://evil.example") == (403, "promptcache refuses")
    assert claim("/v1/x", sec_fetch_site="cross-site") == (403, "promptcache refuses")
    assert claim("/v1/x", origin="http://askonce.internal", host="askonce.internal") == (200, "promptcache /v1/x")
    for own in ({"authorization": "Bearer sk-mine"}, {"x_api_key": "sk-mine"}):
        assert claim("/v1/x", origin="app://desktop", **own) == (200, "promptcache /v1/x")


def test_what_opens_askonce_itself_goes_no_further() -> None:
    seen = list[dict[str, str]]()

    class Seeing(Named):
        def claim(self, request: Request, rules: Rules) -> Reply:
            seen.append(dict(request.headers))
            return Reply(b"", "text/plain")

    ours = {"authorization": "Bearer the-token", "x-api-key": "gateway-key", "x-cachecore-token": "eyJ", "x-mine": "1"}
    theirs = {"authorization": "Bearer sk-1", "x-api-key": "sk-2"}
    names: tuple[ViewName, ...] = ("promptcache", "semcache", "gateway", "cachecore")
    for name in names:
        products = Products([Seeing(name)], Faults(Accounting().fault), {"the-token", "gateway-key"}.__contains__)
        for headers in (ours, theirs):
            prefix = {"semcache": "semcache-app"}.get(name, name)
            products.claim(Request("POST", "askonce.internal", f"/{prefix}/x", "", headers, b""), "http", RULES)
    for headers in seen:
        headers.pop("content-type", None)
    assert seen == [{"x-mine": "1"}, theirs, {"x-mine": "1"}, theirs, ours, theirs, ours, theirs]


def test_a_call_is_json_whatever_its_content_type_says_but_where_the_product_checks_it() -> None:
    seen = dict[str, str | None]()

    class Seeing(Named):
        def claim(self, request: Request, rules: Rules) -> Reply:
            seen[self.name] = request.headers.get("content-type")
            return Reply(b"", "text/plain")

    names: tuple[ViewName, ...] = ("promptcache", "semcache", "gateway", "cachecore")
    products = Products([*map(Seeing, names)], Faults(Accounting().fault))
    form = {"content-type": "application/x-www-form-urlencoded"}
    for prefix in ("promptcache", "semcache-app", "gateway", "cachecore"):
        products.claim(Request("POST", "askonce.internal", f"/{prefix}/x", "", form, b"{}"), "http", RULES)
    assert seen == dict.fromkeys(names, "application/json") | {"semcache": form["content-type"]}


def test_the_request_itself_is_left_alone() -> None:
    request = Request("POST", "askonce.internal", "/semcache-app/v1/x", "", {}, b"")
    before = replace(request)
    Products([Named("semcache")], Faults(Accounting().fault)).claim(request, "http", RULES)
    assert request == before
