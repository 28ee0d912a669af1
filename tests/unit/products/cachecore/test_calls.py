"""Tenant tokens, dependencies, and what becomes of a call to Cachecore."""

import base64
import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from askonce.cache import Cache, Candidate, Entry, Identity, Judgement, Lookup, Policy, Vector
from askonce.cache.embed import WordLlamaEmbedder
from askonce.call import Answer, Call, Reply, Request, Turn, Unstorable
from askonce.calls.dependencies import Dependencies, labels
from askonce.calls.product_terms import PLAIN
from askonce.calls.state import Exchange
from askonce.network.rate_limits import Rates
from askonce.products.base import Passage
from askonce.products.cachecore.calls import Cachecore
from askonce.products.cachecore.dependencies import DepsError, read_deps
from askonce.products.cachecore.section import CachecoreSpec
from askonce.products.cachecore.tokens import Tenant, TokenError, read_tenant, take_token
from askonce.products.document import Config, ProductsSpec
from askonce.rules import Document, Rules

SECRET = "s" * 32
SIGNED = CachecoreSpec(secret=SECRET)
OPEN = CachecoreSpec()
UPSTREAMS = """\
version: 1
upstreams:
  - {name: openai-chat, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat, ttl: 1h}
"""


def token(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    said = {"tenant_id": "acme", "policy_version": "1", "exp": int(time.time()) + 86400} | claims
    return jwt.encode({name: value for name, value in said.items() if value is not None}, secret, algorithm)


def encode(deps: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(deps, separators=(",", ":")).encode()).rstrip(b"=").decode()


# Tokens


@pytest.mark.parametrize("shape", ["{}", "cc_live_abc123.{}", "cc_test_x.{}"])
def test_a_token_says_whose_call_it_is(shape: str) -> None:
    tenant = read_tenant(shape.format(token(permissions=["read"], roles=["b"])), SIGNED, believe=False)
    assert tenant == Tenant("acme", "1", '[["read"], ["b"], null]', 3000.0, 600.0)
    numbered = read_tenant(token(tenant_id=7, policy_version=2, exp=None), SIGNED, believe=False)
    assert (numbered.id, numbered.policy_version) == ("7", "2")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (token(exp=1), "has expired"),
        (token("t" * 32), "not signed with this gateway's key"),
        (token(algorithm="HS512", secret="s" * 64), "not valid"),
        (jwt.encode({"tenant_id": "acme"}, "", "none"), "not valid"),
        (token(tenant_id=None), "tenant_id: Field required"),
        (token(tenant_id=""), "tenant_id"),
        (token(tenant_id=["a"]), "tenant_id"),
        (token(fresh_ttl_secs=-1), "fresh_ttl_secs"),
        (token(stale_window_secs=1e300), "stale_window_secs"),
        (token(nbf=int(time.time()) + 86400), "not valid"),
        ("nonsense", "not valid"),
        ("cc_live_abc", "not valid"),
        ("cc_live_abc.", "not valid"),
        ("eyJ.eyJ.x", "not valid"),
        ("a.b\udcff.c", "not valid"),
    ],
)
def test_a_token_that_is_not_good_is_refused(wrong: str, message: str) -> None:
    with pytest.raises(TokenError, match=message):
        read_tenant(wrong, SIGNED, believe=True)


@pytest.fixture(scope="module")
def rsa() -> tuple[str, str]:
    """A private key and its public half, in PEM."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def test_a_token_may_be_signed_with_rs256_as_the_client_says(rsa: tuple[str, str]) -> None:
    private, public = rsa
    signed = token(private, "RS256")
    only_key, both = CachecoreSpec(public_key=public), CachecoreSpec(public_key=public, secret=SECRET)
    for spec in (only_key, both):
        assert read_tenant(f"cc_live_a.{signed}", spec, believe=False).id == "acme"
    assert read_tenant(token(), both, believe=False).id == "acme"
    for wrong, spec, message in (
        (token(), only_key, "not valid: expected RS256"),
        (signed, SIGNED, "not valid: expected HS256"),
        (token(private, "RS512"), both, "not valid: expected HS256 or RS256"),
        (signed[:-6] + "AAAAAA", only_key, "not signed with this gateway's key"),
        (signed_as_if_secret(public), both, "not signed with this gateway's key"),
        (signed_as_if_secret(public), only_key, "not valid: expected RS256"),
    ):
        with pytest.raises(TokenError, match=message):
            read_tenant(wrong, spec, believe=True)


def signed_as_if_secret(public: str) -> str:
    """A token of somebody who knows no more than the public key."""
    head, said = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", "typ": "JWT"}, {"tenant_id": "acme"})
    )
    mac = hmac.digest(public.encode(), head + b"." + said, "sha256")
    return b".".join([head, said, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()


def test_a_public_key_is_one(rsa: tuple[str, str]) -> None:
    small = generate_private_key(public_exponent=65537, key_size=1024).public_key()
    for wrong, message in (
        ("nonsense", "expected a public key in PEM"),
        (rsa[0], "expected a public key in PEM"),
        (small.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(), "2048 bits or more"),
    ):
        with pytest.raises(ValueError, match=message):
            CachecoreSpec(public_key=wrong)


def test_without_a_secret_tokens_are_believed_where_only_this_machine_connects() -> None:
    assert read_tenant(token("t" * 32), OPEN, believe=True).id == "acme"
    with pytest.raises(TokenError, match="has expired"):
        read_tenant(token(exp=1), OPEN, believe=True)
    with pytest.raises(TokenError, match=r"products\.cachecore\.secret is not set"):
        read_tenant(token(), OPEN, believe=False)


def test_a_token_sets_its_windows_and_one_that_is_only_believed_may_shorten_them() -> None:
    longer = token(fresh_ttl_secs=9000, stale_window_secs=9000)
    signed, believed = read_tenant(longer, SIGNED, believe=False), read_tenant(longer, OPEN, believe=True)
    assert (signed.fresh, signed.stale) == (9000.0, 9000.0)
    assert (believed.fresh, believed.stale) == (3000.0, 600.0)
    shorter = read_tenant(token(fresh_ttl_secs=2, stale_window_secs=0), OPEN, believe=True)
    assert (shorter.fresh, shorter.stale) == (2.0, 0.0)


def test_tenants_versions_and_permissions_are_apart() -> None:
    tenants = [
        read_tenant(token(**claims), SIGNED, believe=False)
        for claims in (
            {},
            {"tenant_id": "other"},
            {"policy_version": "2"},
            {"permissions": ["x"]},
            {"roles": ["x"]},
            {"scope": ["x"]},
        )
    ]
    assert len({tenant.scope for tenant in tenants}) == len(tenants)
    again = token(exp=int(time.time()) + 99999, project_id="p", jti="9", aud="anyone", sub=4)
    assert read_tenant(again, SIGNED, believe=False).scope == tenants[0].scope


def test_where_a_token_stands() -> None:
    live, bare, foreign = f"cc_live_a.{token()}", token(), jwt.encode({"sub": "me"}, "k" * 32)
    other = {"content-type": "application/json"}
    assert take_token({"x-cachecore-token": live, **other}) == (live, other)
    assert take_token({"authorization": f"Bearer {live}", **other}) == (live, other)
    assert take_token({"authorization": f"bearer {bare}", **other}) == (bare, other)
    for provider in ("sk-123", foreign, "eyJnonsense", ""):
        headers = {"authorization": f"Bearer {provider}", **other}
        assert take_token(headers) == (None, headers)
        assert take_token({"x-cachecore-token": bare, **headers}) == (bare, headers)
    assert take_token({"x-cachecore-token": bare, "authorization": f"Bearer {live}"}) == (bare, {})
    assert take_token({"x-cachecore-token": " ", **other}) == (None, other)


# Dependencies


def test_deps_are_read_as_the_client_writes_them() -> None:
    assert read_deps(encode([{"dep_id": "doc:1", "expected_hash": "v1"}])) == {"doc:1": "v1"}
    assert read_deps("W10") == read_deps("W10=") == {}


def test_deps_are_read_as_a_shell_writes_them() -> None:
    said = b'[{"dep_id":"doc:\xc3\xa9\xc3\xbf\xc3\xbe?~~~","expected_hash":"v1"}]\n'
    wanted = {"doc:éÿþ?~~~": "v1"}
    for encoded in (base64.b64encode(said), base64.urlsafe_b64encode(said), base64.encodebytes(said)):
        assert read_deps(encoded.decode()) == read_deps(encoded.decode().replace("=", "")) == wanted


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=20), max_size=5))
def test_any_deps_come_back(deps: dict[str, str]) -> None:
    written = [{"dep_id": dep, "expected_hash": expected} for dep, expected in deps.items()]
    assert read_deps(base64.urlsafe_b64encode(json.dumps(written).encode()).decode()) == deps


@given(st.text())
def test_whatever_else_comes_is_refused(text: str) -> None:
    with contextlib.suppress(DepsError):
        assert isinstance(read_deps(text), dict)


@pytest.mark.parametrize(
    "wrong",
    [
        "%%%",
        "W",
        "é",
        "\udcff",
        encode({"dep_id": "a", "expected_hash": "b"}),
        encode(["a"]),
        encode([{"dep_id": "a"}]),
        encode([{"dep_id": "", "expected_hash": "b"}]),
        encode([{"dep_id": 1, "expected_hash": "b"}]),
        encode([{"dep_id": "a", "expected_hash": "b"}, {"dep_id": "a", "expected_hash": "c"}]),
        encode([{"dep_id": str(n), "expected_hash": "b"} for n in range(65)]),
        base64.b64encode(b"[").decode(),
        base64.b64encode(b"\xff").decode(),
    ],
)
def test_malformed_deps_are_refused(wrong: str) -> None:
    with pytest.raises(DepsError, match="X-Cachecore-Deps: "):
        read_deps(wrong)


# Calls


class CosineJudge:
    def judge(self, prompt: str, vector: Vector, candidates: list[Candidate]) -> list[Judgement]:
        return [Judgement(candidate.cosine) for candidate in candidates]


@pytest.fixture(scope="module")
def embedder() -> WordLlamaEmbedder:
    return WordLlamaEmbedder()


@pytest.fixture
async def cache(tmp_path: Path, embedder: WordLlamaEmbedder) -> AsyncIterator[Cache]:
    cache = Cache.open(tmp_path, embedder=embedder, judge=CosineJudge())  # type: ignore[arg-type]
    yield cache
    await cache.close()


class World:
    def __init__(self, cache: Cache) -> None:
        self.dependencies = Dependencies(cache)
        self.rules, self.products = Rules(Document.parse(UPSTREAMS)), ProductsSpec()
        self.cachecore = Cachecore(
            self.dependencies,
            Rates(),
            lambda: self.products.cachecore,
            lambda name: self.products.provider_keys.of(name),
            believe=True,
        )

    def request(self, path: str = "/v1/chat/completions", **headers: str) -> Request:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        body = orjson.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]})
        return Request("POST", "127.0.0.1", path, "", said, body, raw="r", client="10.0.0.1")

    def claim(self, section: str = "{}", keys: str = "{}", **headers: str) -> Passage | Reply | None:
        self.products = Config.parse(
            UPSTREAMS + f"products: {{provider_keys: {keys}, cachecore: {section}}}\n"
        ).products
        return self.cachecore.claim(self.request(**headers), self.rules)

    def passage(self, section: str = "{}", keys: str = "{}", **headers: str) -> Passage:
        claimed = self.claim(section, keys, **headers)
        assert isinstance(claimed, Passage), claimed
        return claimed

    def refusal(self, section: str = "{}", **headers: str) -> tuple[int, Any, Mapping[str, str]]:
        claimed = self.claim(section, **headers)
        assert isinstance(claimed, Reply), claimed
        return claimed.status, orjson.loads(claimed.body), dict(claimed.headers)


@pytest.fixture
def world(cache: Cache) -> World:
    return World(cache)


def test_a_tenants_call_goes_to_openai_without_our_credentials(world: World) -> None:
    deps = encode([{"dep_id": "doc:1", "expected_hash": "v1"}])
    passage = world.passage(x_cachecore_token=token(), x_cachecore_deps=deps, authorization="Bearer sk-1")
    assert (passage.request.host, passage.request.headers) == ("api.openai.com", {"authorization": "Bearer sk-1"})
    assert passage.request.raw is None
    assert passage.terms.scope == read_tenant(token(), OPEN, believe=True).scope
    assert passage.terms.labels == labels({"cc:policy-version": "1", "doc:1": "v1"}, "acme")
    behaviour = passage.rule.behaviour
    assert (behaviour.ttl, behaviour.stale_while_revalidate) == (3000.0, 600.0)


def test_the_token_sets_the_windows_of_the_call(world: World) -> None:
    passage = world.passage(x_cachecore_token=token(fresh_ttl_secs=5, stale_window_secs=1))
    assert (passage.rule.behaviour.ttl, passage.rule.behaviour.stale_while_revalidate) == (5.0, 1.0)
    assert world.passage("{fresh: 1m, stale: 2s}", x_cachecore_token=token()).rule.behaviour.ttl == 60.0


def test_the_gateways_own_key_stands_in_for_whatever_came(world: World) -> None:
    for headers in ({"x_cachecore_token": token()}, {"authorization": "Bearer ignored"}, {}):
        passage = world.passage(keys="{openai: sk-ours}", **headers)
        assert passage.request.headers == {"authorization": "Bearer sk-ours"}
        more = world.passage(
            keys="{openai: sk-ours}", **headers, x_api_key="k", cookie="a=b", x_user_id="u", accept="a"
        )
        assert more.outgoing is not None
        assert more.outgoing.headers == {"authorization": "Bearer sk-ours", "accept": "a"}


def test_a_stale_answer_is_asked_for_anew_through_our_own_address(world: World) -> None:
    again = world.passage(x_cachecore_token=token(), authorization="Bearer sk-1").terms.again
    assert again is not None
    assert (again.host, again.path) == ("askonce.internal", "/cachecore/v1/chat/completions")
    assert again.headers["authorization"] == "Bearer sk-1"
    assert "x-cachecore-token" in again.headers


def test_without_a_token_the_cache_is_left_out(world: World) -> None:
    passage = world.passage(authorization="Bearer sk-1")
    assert (passage.terms.bypass, passage.terms.again) == ("no tenant token", None)
    assert passage.request.headers == {"authorization": "Bearer sk-1"}


def test_calls_without_a_token_are_limited_by_address(world: World) -> None:
    for _ in range(2):
        world.passage("{bypass_rate: 2/minute}")
    status, body, headers = world.refusal("{bypass_rate: 2/minute}")
    assert (status, body["error"]["type"]) == (429, "rate_limit_error")
    assert (headers["x-cache"], headers["x-cache-similarity"], headers["x-cache-age"]) == ("BYPASS", "0.00", "0")
    assert 0 < int(headers["retry-after"]) <= 60
    assert isinstance(world.claim("{bypass_rate: 2/minute}", x_cachecore_token=token()), Passage)
    elsewhere = replace(world.request(), client="10.0.0.2")
    assert isinstance(world.cachecore.claim(elsewhere, world.rules), Passage)


@pytest.mark.parametrize(
    ("section", "headers", "status", "kind"),
    [
        ("{}", {"x_cachecore_token": token(exp=1)}, 401, "authentication_error"),
        ("{}", {"authorization": "Bearer cc_live_x.y"}, 401, "authentication_error"),
        (f"{{secret: {SECRET}}}", {"x_cachecore_token": token("t" * 32)}, 401, "authentication_error"),
        ("{}", {"x_cachecore_token": token(), "x_cachecore_deps": "%"}, 400, "invalid_request_error"),
        ("{}", {"x_cachecore_deps": "%"}, 400, "invalid_request_error"),
    ],
)
def test_refusals(world: World, section: str, headers: dict[str, str], status: int, kind: str) -> None:
    said, body, told = world.refusal(section, **headers)
    assert (said, body["error"]["type"], told["x-cache"]) == (status, kind, "BYPASS")
    assert body["error"]["message"]


def test_what_is_cachecores_at_the_root(world: World) -> None:
    rules = world.rules
    ours = ({"x_cachecore_token": "x"}, {"x_cachecore_deps": "x"}, {"authorization": "Bearer cc_live_1.x"})
    assert all(world.cachecore.recognises(world.request(**headers), rules) for headers in ours)
    for headers in ({}, {"authorization": "Bearer sk-1"}, {"authorization": "Basic cc_"}):
        assert not world.cachecore.recognises(world.request(**headers), rules)
    assert world.cachecore.claim(world.request("/v1/invalidate", x_cachecore_token=token()), rules) is None


def entry(**depends: str) -> Entry:
    return Entry(
        key="0" * 32, partition=b"p" * 16, parts={}, upstream="u", host="h", wire="w", model="m", namespace="",
        prompt="p", turns=(), answer=Answer(b"{}"), created=0.0, expires=9e9, stale_until=9e9,
        upstream_seconds=1.0, labels=labels(depends),
    )  # fmt: skip


def test_an_answer_serves_who_declares_what_it_depends_on(world: World) -> None:
    def admits(stored: dict[str, str], *deps: tuple[str, str]) -> str:
        said = encode([{"dep_id": dep, "expected_hash": expected} for dep, expected in deps])
        return world.passage(x_cachecore_token=token(), x_cachecore_deps=said).terms.admits(entry(**stored))

    assert admits({"a": "v1", "b": "v1"}) == admits({"a": "v1", "b": "v1"}, ("a", "v1")) == ""
    assert admits({"a": "v1"}, ("a", "v2")) == "dependency of another version"
    assert admits({}, ("a", "v1")) == "dependency not declared"


def exchange(world: World, lookup: Lookup | None, **headers: str) -> tuple[Passage, dict[str, str]]:
    passage = world.passage(**({"x_cachecore_token": token()} | headers))
    made = Exchange(passage.rule, passage.request, 0.0, bypass=passage.terms.bypass, lookup=lookup)
    return passage, dict(passage.dress(made))


@pytest.mark.parametrize(
    ("lookup", "status", "similarity", "age"),
    [
        (Lookup("exact", entry(), 1.0), "HIT_L1", "1.00", {}),  # the life of the call tells the age of a hit
        (Lookup("exact", entry(), 1.0, stale=True), "HIT_L1_STALE", "1.00", {}),
        (Lookup("semantic", entry(), 0.9349), "HIT_L2", "0.93", {}),
        (Lookup("miss", None, 0.8, nearest=entry()), "MISS", "0.00", {"x-cache-age": "0"}),
        (None, "MISS", "0.00", {"x-cache-age": "0"}),
    ],
)
def test_headers_tell_what_was_found(
    world: World, lookup: Lookup | None, status: str, similarity: str, age: dict[str, str]
) -> None:
    _, headers = exchange(world, lookup)
    assert headers == {"x-cache": status, "x-cache-similarity": similarity} | age


def test_headers_of_a_call_around_the_cache(world: World) -> None:
    _, headers = exchange(world, None, x_cachecore_token="")
    assert headers == {"x-cache": "BYPASS", "x-cache-similarity": "0.00", "x-cache-age": "0"}


async def test_only_the_same_call_has_a_stale_answer(world: World) -> None:
    terms = world.passage(x_cachecore_token=token()).terms
    call, identity = Call("openai-chat", "Hi", {}), Identity(b"p", b"e", {})
    fresh, stale = Lookup("semantic", entry(), 0.9), Lookup("semantic", entry(), 0.9, stale=True)
    assert await terms.reconsider(call, identity, fresh) is fresh
    settled = await terms.reconsider(call, identity, stale)
    assert (settled.outcome, settled.entry, settled.stale, settled.reason) == ("miss", None, False, "expired")


def test_a_threshold_only_tightens(world: World) -> None:
    policy = Policy(max_error=0.1)
    assert world.passage(x_cachecore_token=token()).terms.policy(policy) is policy
    strict = world.passage("{threshold: 0.92}", x_cachecore_token=token()).terms.policy(policy)
    assert strict == replace(policy, min_similarity=0.92)


# Invalidation


async def remember(cache: Cache, passage: Passage, prompt: str) -> Entry:
    call = Call("openai-chat", prompt, {"model": "m"}, turns=(Turn("user", prompt),))
    return await cache.remember(
        call,
        cache.identify(call, host="h", scope=passage.terms.scope),
        Answer(b"{}"),
        upstream="u",
        host="h",
        ttl=60,
        upstream_seconds=0,
        labels=passage.terms.labels,
        still=passage.terms.keeps,
    )


def depends(world: World, *deps: str, tenant: str = "acme") -> Passage:
    said = encode([{"dep_id": dep, "expected_hash": "v1"} for dep in deps])
    return world.passage(x_cachecore_token=token(tenant_id=tenant), x_cachecore_deps=said)


async def test_invalidating_forgets_what_depends_on_it_and_nothing_else(world: World, cache: Cache) -> None:
    for prompt, deps, tenant in (
        ("1", ["a", "b"], "acme"),
        ("2", ["b"], "acme"),
        ("3", [], "acme"),
        ("1", ["a"], "other"),
    ):
        await remember(cache, depends(world, *deps, tenant=tenant), prompt)
    assert await world.dependencies.invalidate("unknown", owner=None) == 0
    assert await world.dependencies.invalidate("a", owner="acme") == 1
    assert sorted(entry.prompt for entry in await cache.list()) == ["1", "2", "3"]
    assert await world.dependencies.invalidate("b", owner="acme") == 1
    assert await world.dependencies.invalidate("a", owner=None) == 1
    assert [entry.prompt for entry in await cache.list()] == ["3"]


async def test_the_policy_version_is_a_dependency_of_every_answer(world: World, cache: Cache) -> None:
    for prompt, tenant in (("1", "acme"), ("2", "acme"), ("1", "other")):
        await remember(cache, depends(world, "a", tenant=tenant), prompt)
    assert await world.dependencies.invalidate("cc:policy-version", owner="acme") == 2
    assert await cache.count() == 1


async def test_what_was_invalidated_can_be_kept_anew_under_the_same_hash(world: World, cache: Cache) -> None:
    await remember(cache, depends(world, "a"), "1")
    assert await world.dependencies.invalidate("a", owner="acme") == 1
    kept = await remember(cache, depends(world, "a"), "1")
    assert depends(world, "a").terms.admits(kept) == ""


@pytest.mark.parametrize(
    ("dep", "tenant", "overtaken"),
    [
        ("a", "acme", True),
        ("a", None, True),
        ("b", None, False),
        ("a", "other", False),
        ("cc:policy-version", None, True),
    ],
)
async def test_an_answer_that_was_on_its_way_is_not_kept(
    world: World, cache: Cache, dep: str, tenant: str | None, overtaken: bool
) -> None:
    begun = depends(world, "a")
    await world.dependencies.invalidate(dep, owner=tenant)
    assert begun.terms.keeps() is not overtaken
    if overtaken:
        with pytest.raises(Unstorable, match="overtaken"):
            await remember(cache, begun, "1")
    else:
        await remember(cache, begun, "1")
    assert await cache.count() == (0 if overtaken else 1)


async def test_calls_that_are_over_are_not_held(world: World) -> None:
    begun = depends(world, "a")
    assert len(world.dependencies._underway) == 1
    del begun
    assert len(world.dependencies._underway) == 0


def test_plain_terms_know_nothing_of_this() -> None:
    assert (PLAIN.again, dict(PLAIN.labels), PLAIN.keeps()) == (None, {}, True)
