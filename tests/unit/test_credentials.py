"""Who asks: the same caller by whatever name, and never another's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.credentials import (
    KEYS,
    anonymous,
    bearer_token,
    bears_key,
    credential,
    is_secret,
    names_caller,
    shown_in_header,
)

BALANCERS = [
    "__cf_bm", "__cflb", "__cfruid", "_cfuvid", "AWSALB", "AWSALBCORS", "AWSALBTG", "AWSALBTGCORS", "AWSELB",
    "AWSELBCORS", "ARRAffinity", "ARRAffinitySameSite", "ApplicationGatewayAffinity", "GCLB",
]  # fmt: skip


# Names


@pytest.mark.parametrize(
    "name",
    [
        *KEYS,
        "cookie",
        "proxy-authorization",
        "from",
        "x-corp-token",
        "x-auth",
        "x-auth-user",
        "x-amz-security-token",
        "ocp-apim-subscription-key",
        "x-cachecore-token",
        "x-functions-key",
        "x-portkey-virtual-key",
        "openai-organization",
        "openai-project",
        "x-goog-user-project",
        "x-hf-bill-to",
        "cf-access-jwt-assertion",
        "x-goog-iap-jwt-assertion",
        "x-amzn-oidc-data",
        "x-amzn-oidc-identity",
        "x-ms-client-principal",
        "x-ms-client-principal-name",
        "x-ms-token-aad-access-token",
        "x-forwarded-user",
        "x-forwarded-access-token",
        "x-auth-request-email",
        "remote-user",
        "x-remote-user",
        "x-user-id",
        "x-tenant-id",
        "x-jwt",
        "x_jwt",
        "x-password",
        "x-api_key",
        "x-secret-key",
        "x-litellm-key",
        "x-authtoken",
        "x-passphrase",
        "dpop",
        "helicone-auth",
    ],
)
def test_a_header_that_says_who_asks_is_part_of_the_credential(name: str) -> None:
    assert names_caller(name)
    assert credential({name: "one"}, "") != credential({name: "two"}, "") != ""
    assert anonymous({name: "one", "accept": "*/*"}) == {"accept": "*/*"}


@pytest.mark.parametrize(
    "name",
    [
        "accept",
        "author",
        "content-type",
        "host",
        "idempotency-key",
        "openai-beta",
        "sec-websocket-key",
        "tokens",
        "user-agent",
        "x-request-id",
        "x-routing-key",
        "x-stainless-lang",
        "x-token-limit",
    ],
)
def test_any_other_header_is_not(name: str) -> None:
    assert not names_caller(name)
    assert credential({name: "one"}, "") == ""


# Keys


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": "Bearer k"}, ""),
        ({"authorization": "bearer  k "}, ""),
        ({"x-api-key": "k"}, ""),
        ({"api-key": "k"}, ""),
        ({"x-goog-api-key": "k"}, ""),
        ({"authorization": "Bearer k", "x-api-key": "k"}, ""),
        ({}, "key=k"),
        ({}, "alt=sse&KEY=k"),
        ({"x-goog-api-key": "k"}, "key=k"),
        ({"authorization": "", "x-api-key": "k"}, "key="),
    ],
)
def test_the_same_key_is_one_caller_wherever_it_stands(headers: dict[str, str], query: str) -> None:
    """As anthropic 2 sends in one header what its elders sent in another."""
    assert credential(headers, query) == credential({"authorization": "Bearer k"}, "")
    assert bears_key(headers, query)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, ""),
        ({"authorization": "Basic k"}, ""),
        ({"authorization": "Bearer"}, ""),
        ({"authorization": "Bearer K"}, ""),
        ({"authorization": "k"}, ""),
        ({"authorization": "Bearer k", "x-api-key": "other"}, ""),
        ({"authorization": "Bearer k", "cookie": "session=k"}, ""),
        ({"x-corp-token": "k"}, ""),
        ({"cookie": "k"}, ""),
        ({}, "page=k"),
        ({}, "key=%6B"),
        ({}, "key=k;"),
        ({}, "key=+k"),
    ],
)
def test_and_another_one_is_another(headers: dict[str, str], query: str) -> None:
    assert credential(headers, query) != credential({"authorization": "Bearer k"}, "")


def test_of_two_keys_the_order_counts() -> None:
    """A server takes one of them; who has swapped them asks in another's name."""
    one = credential({"authorization": "Bearer a", "x-api-key": "b"}, "")
    assert one != credential({"authorization": "Bearer b", "x-api-key": "a"}, "")
    assert credential({}, "key=a&key=b") != credential({}, "key=b&key=a")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("key=%ff", "key=%fe"),
        ("key=%FF", "key=%EF%BF%BD"),
        ("key=a+b", "key=a%20b"),
        ("key=a+b", "key=a%2Bb"),
        ("key=a", "key=A"),
        ("key=a", "key=a&key=b"),
        ("key=a;key=b", "key=a"),
        ("key=a%26b", "key=a&b"),
        ("key=%00", "key="),
        ("key=\udcff", "key=\udcfe"),
    ],
)
def test_keys_in_the_query_are_told_apart_to_the_byte(one: str, other: str) -> None:
    assert credential({}, one) != credential({}, other)


@given(st.lists(st.tuples(st.sampled_from([*KEYS, "cookie", "x-corp-token"]), st.text(min_size=1)), max_size=4))
def test_a_credential_does_not_depend_on_the_order_of_headers(pairs: list[tuple[str, str]]) -> None:
    headers = dict(pairs)
    assert credential(headers, "key=1") == credential(dict(reversed(headers.items())), "key=1")


@pytest.mark.parametrize("query", ["", "alt=sse&api-version=2024-10-21", "key=", "&", "key"])
def test_no_key_in_the_query_is_none(query: str) -> None:
    assert credential({}, query) == ""
    assert not bears_key({}, query)


def test_values_cannot_be_shifted_between_headers() -> None:
    assert credential({"x-jwt": 'a"],["x-auth","b'}, "") != credential({"x-jwt": "a", "x-auth": "b"}, "")
    assert credential({"x-api-key": 'a","b'}, "") != credential({"x-api-key": "a", "api-key": "b"}, "")


@pytest.mark.parametrize(
    ("value", "token"),
    [("Bearer a", "a"), ("bearer a ", "a"), ("Bearer", None), ("Bearer ", None), ("Basic a", None), ("", None)],
)
def test_bearer_tokens(value: str, token: str | None) -> None:
    assert bearer_token({"authorization": value}) == token
    assert bearer_token({}) is None


# Cookies


def cookies(header: str) -> str:
    return credential({"authorization": "Bearer a", "cookie": header}, "")


@pytest.mark.parametrize("name", BALANCERS)
def test_a_load_balancers_cookies_do_not_name_a_caller(name: str) -> None:
    alone = credential({"authorization": "Bearer a"}, "")
    assert cookies(f"{name}=x1") == cookies(f"{name}=x2; _cfuvid=y") == cookies(f"{name}=x; ; ") == alone
    assert cookies(f"{name}=x1; session=s") == cookies("session=s") == cookies(f"session=s; {name}=x2") != alone


@pytest.mark.parametrize(
    "name",
    [
        "CF_Authorization",
        "CF_AppSession",
        "cf_clearance",
        "AWSELBAuthSessionCookie-0",
        "AWSALBAuthNonce",
        "__cf_bm2",
        "__cfSession",
        "awsalb",
        "GCLBSession",
        "ARRAffinityUser",
        "incap_ses_user",
        "session",
        "",
    ],
)
def test_a_login_that_is_called_almost_so_does(name: str) -> None:
    assert cookies(f"{name}=ann") != cookies(f"{name}=bob")
    assert cookies(f"AWSALB=x; {name}=ann; __cf_bm=y") == cookies(f"{name}=ann")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a=1", "a=2"),
        ("a=1; a=2", "a=2; a=1"),
        ("a=1", "A=1"),
        ("a=1; b=2", "a=1"),
        ('a="x;AWSALB=ann"', 'a="x;AWSALB=bob"'),
        ("a", "a="),
        ("a=1, AWSALB=ann", "a=1, AWSALB=bob"),
        ("AWSALB=x, session=ann", "AWSALB=x, session=bob"),
        ("__cf_bm=x,session=ann", "__cf_bm=x,session=bob"),
    ],
)
def test_cookies_that_are_not_the_same(one: str, other: str) -> None:
    assert cookies(one) != cookies(other)


def test_cookies_have_no_order() -> None:
    assert cookies("b=2; a=1") == cookies("a=1;b=2") != cookies("")


# Secrets of ours


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_a_secret_is_known_by_its_bytes_whoever_decoded_them(secret: str, other: str) -> None:
    sent = secret.encode()
    for shown in (secret, sent, shown_in_header(sent.decode("latin-1")), sent.decode("utf-8", "surrogateescape")):
        assert is_secret(shown, secret)
        assert is_secret(shown, other) is (secret == other)
    assert not is_secret(b"\xff" + sent, secret)
    assert not is_secret((b"\xff" + sent).decode("utf-8", "surrogateescape"), secret)
