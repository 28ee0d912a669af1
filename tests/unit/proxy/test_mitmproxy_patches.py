"""The shortcuts give what mitmproxy's own ways give: each is compared with mitmproxy's module, loaded once more."""

import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from mitmproxy import connection, http, options, optmanager
from mitmproxy.proxy import context
from mitmproxy.test import tflow

from askonce.proxy import mitmproxy_patches

REPLACED = (
    *((http.Headers, f"__{name}__") for name in ("init", "getitem", "setitem", "contains")),
    (http.Headers, "get"),
    (http.Headers, "get_all"),
    (http.MessageData, "__post_init__"),
    (context.Context, "fork"),
    (optmanager._Option, "current"),
    (connection.Connection, "__eq__"),
)
NAMES = ["Host", "host", "HOST", "x-title", "café", "\udce9", ""]
RAW = [name.encode("utf-8", "surrogateescape") for name in NAMES]
FIELDS = some.lists(some.tuples(some.sampled_from(RAW), some.binary(max_size=4)))
NAME = some.sampled_from([*NAMES, *RAW])


def afresh(module: ModuleType) -> Any:
    assert module.__file__
    spec = importlib.util.spec_from_file_location(f"own_{module.__name__}", module.__file__)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, made)
        spec.loader.exec_module(made)
    return made


OWN = afresh(http).Headers
OwnOption = afresh(optmanager)._Option


@pytest.fixture(scope="module", autouse=True)
def _installed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in REPLACED:
            patch.setattr(owner, name, getattr(owner, name))  # to be put back
        mitmproxy_patches.install()
        yield


def test_every_replacement_is_tested_and_put_back() -> None:
    replaced = {(owner, name) for owner, functions in mitmproxy_patches.replacements() for name in functions}
    assert replaced == set(REPLACED)


@given(FIELDS, NAME)
def test_headers_are_found(fields: list[tuple[bytes, bytes]], name: str | bytes) -> None:
    ours, own = http.Headers(fields), OWN(fields)
    assert ours.fields == own.fields
    assert ours.get_all(name) == own.get_all(name)
    assert ours.get(name) == own.get(name)
    assert ours.get(name, "else") == own.get(name, "else")
    assert (name in ours) == (name in own)
    if name in own:
        assert ours[name] == own[name]
    else:
        with pytest.raises(KeyError):
            ours[name]


@given(FIELDS, NAME, some.sampled_from([b"new", "é", ""]))
def test_headers_are_set(fields: list[tuple[bytes, bytes]], name: str | bytes, value: str | bytes) -> None:
    ours, own = http.Headers(fields), OWN(fields)
    ours[name] = own[name] = value
    assert ours.fields == own.fields
    assert ours.pop(name) == own.pop(name)
    assert ours.setdefault(name, "x") == own.setdefault(name, "x")
    assert ours.fields == own.fields


def test_headers_are_made_by_keyword_as_well() -> None:
    more: dict[str, Any] = {"content_type": "text/html", "host": b"two"}
    assert http.Headers([(b"Host", b"one")], **more).fields == OWN([(b"Host", b"one")], **more).fields


@pytest.mark.parametrize("fields", [[("host", b"a")], [(b"host", "a")], [(b"host",)], [(b"a", b"b", b"c")]])
def test_fields_that_are_none_are_refused(fields: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        http.Headers(fields)


@pytest.mark.parametrize("text", [1, None])
def test_what_is_no_text_is_no_header(text: Any) -> None:
    headers = http.Headers()
    with pytest.raises(TypeError):
        headers["a"] = text
    with pytest.raises(TypeError):
        headers.get_all(text)


def test_a_fork_shares_the_server_and_has_its_own_layers() -> None:
    old = context.Context(tflow.tclient_conn(), options.Options())
    old.layers.append("one")  # type: ignore[arg-type]
    new = old.fork()
    assert vars(new) == vars(old)
    assert (new.server is old.server, new.layers is old.layers) == (True, False)


@pytest.mark.parametrize("default", [True, 1, None, "text", ["a", "b"]])
def test_an_option_is_what_it_was_set_to_and_nobody_elses_list(default: Any) -> None:
    given = ("name", object, default, "help", None)
    option, own = optmanager._Option(*given), OwnOption(*given)
    assert option.current() == own.current() == default
    for one in (option, own):
        one.value = ["c"]
    assert option.current() == own.current() == ["c"]
    option.current().append("d")
    assert option.current() == ["c"]


def test_connections_are_the_same_by_their_name() -> None:
    client, server = tflow.tclient_conn(), tflow.tserver_conn()
    again = tflow.tclient_conn()
    again.id = client.id
    server.id = client.id
    assert client == again and client == server and hash(client) == hash(again)
    again.id = "other"
    assert client != again and client != client.id and client != None  # noqa: E711
