"""LangCache: caches that a program fills and searches itself, below `/v1/caches/{cacheId}`.

The rule: every response is the one of the document and the one of the service at once, since the service's SDKs accept
no other; where both cannot be true, the User-Agent decides.
"""

from collections.abc import Callable, Coroutine, Sequence
from hashlib import blake2b
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request, Response, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from askonce.accounting import Accounting, StoreRequest
from askonce.api.exact import ExactRoute
from askonce.api.product_routes import ProductRoutes
from askonce.cache import Match, NamedStores, Strategy, TextError
from askonce.credentials import bearer_token, is_secret, shown_in_header
from askonce.network.rate_limits import Rates
from askonce.products.langcache.bodies import (
    ConversationSearch,
    Created,
    Deleted,
    DeletedSome,
    FieldMistake,
    Flushed,
    Found,
    FoundInConversation,
    LangCacheProblem,
    NewEntry,
    Refusal,
    Search,
    Selection,
    render,
    tell,
)
from askonce.products.langcache.section import LangCacheCacheSpec, LangCacheSpec

__all__ = ["langcache"]

_SDK = "speakeasy-sdk/"
_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": LangCacheProblem, "description": "The request was refused; nothing was changed."},
    "5XX": {"model": LangCacheProblem, "description": "The request could not be carried out."},
}
_OPTIONAL: dict[str, Any] = {"security": [{}]}
"""A key is needed only where there are keys."""
_NOTHING: dict[int | str, dict[str, Any]] = {204: {"description": "Done; for the SDKs, which accept no body here."}}


def langcache(
    named_stores: NamedStores, spec: Callable[[], LangCacheSpec], accounting: Accounting, *, token: str | None
) -> ProductRoutes:
    """LangCache's routes over `named_stores`. `token` is the key where rules.yaml names none; None leaves them open."""
    return ProductRoutes(
        name="langcache",
        title="LangCache",
        routes=_router(named_stores, spec, accounting, token),
        render=render,
        errors=_ERRORS,
        owns=("/v1/caches",),
    )


def _router(
    named_stores: NamedStores, spec: Callable[[], LangCacheSpec], accounting: Accounting, token: str | None
) -> APIRouter:
    rates = Rates()
    scheme = HTTPBearer(auto_error=False, scheme_name="LangCache key", description="An API key of LangCache.")

    def admit(request: Request) -> dict[str, str]:
        """Refuses who may not use the cache, and a cache that is not there; the headers that tell the limit."""
        langcache, cache_id = spec(), request.path_params["cacheId"]
        given = bearer_token(request.headers) or ""
        _check_key(langcache, cache_id, shown_in_header(given), token)
        request.state.cache = langcache.cache(cache_id)
        told: dict[str, str] = {}
        if langcache.rate:
            client = request.client.host if request.client else ""
            who = blake2b(given.encode("latin-1", "replace"), digest_size=16).hexdigest() if given else client
            standing = rates.take(langcache.rate, "langcache", who)
            told = standing.headers
            if not standing.allowed:
                raise HTTPException(429, f"more than {langcache.rate}", told)
        if not langcache.create_missing and cache_id not in langcache.caches:
            raise HTTPException(404, Refusal(f"there is no cache {cache_id!r}"))
        return told

    class Route(ExactRoute):
        """Lets in who may use the cache before it looks at the body, and counts what came of it."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle, operation = super().get_route_handler(), self.name.removeprefix("langcache_")

            async def admitted(request: Request) -> Response:
                with accounting.store_request("langcache", operation) as counted:
                    request.state.counted = counted
                    told = admit(request)
                    try:
                        response = await handle(request)
                    except TextError as error:
                        raise HTTPException(400, str(error)) from error
                    response.headers.update(told)
                    return response

            return admitted

    CacheId = Annotated[str, Path(alias="cacheId", min_length=1, max_length=256)]
    routes = APIRouter(
        prefix="/v1/caches/{cacheId}",
        route_class=Route,
        responses=_ERRORS,
        tags=["langcache"],
        dependencies=[Security(scheme)],
    )

    async def find(
        request: Request, cache_id: str, asked: Search, text: str, strategies: Sequence[Strategy]
    ) -> list[Match]:
        cache: LangCacheCacheSpec = request.state.cache
        _fits(cache, asked.prompt)
        threshold = asked.similarityThreshold if asked.similarityThreshold is not None else cache.threshold
        assert threshold is not None
        found = await named_stores.search(
            _store_name(cache_id),
            text,
            attributes=_known(cache, asked.attributes or {}),
            strategies=strategies,
            min_cosine=2 * threshold - 1,
            limit=asked.maxResults or 1,
            guarded=bool(cache.guards),
        )
        counted: StoreRequest = request.state.counted
        same = found and (found[0].strategy == "exact" or found[0].item.text == text)
        counted.outcome = "exact" if same else "semantic" if found else "miss"
        return found

    @routes.post("/entries/search", response_model_exclude_none=True, openapi_extra=_OPTIONAL)
    async def langcache_search(request: Request, cache_id: CacheId, asked: Search) -> Found:
        """The stored answers to this prompt, or to one near it."""
        found = await find(request, cache_id, asked, asked.prompt, asked.searchStrategies or ["semantic"])
        return Found.model_validate(tell(found))

    @routes.post("/conversations/search", response_model_exclude_none=True, openapi_extra=_OPTIONAL)
    async def langcache_conversation(
        request: Request, cache_id: CacheId, asked: ConversationSearch
    ) -> FoundInConversation:
        """As a search; with `context`, an answer stored for the very same conversation (see `actualPrompt`)."""
        # A follow-up ("and of Italy?") means nothing without what came before, and next to a conversation it weighs
        # too little for a cosine to tell it from another one.
        text = "\n".join([*(asked.context or []), asked.prompt])
        strategies: Sequence[Strategy] = ["exact"] if asked.context else asked.searchStrategies or ["semantic"]
        found = await find(request, cache_id, asked, text, strategies)
        return FoundInConversation.model_validate(tell(found) | {"actualPrompt": text})

    @routes.post("/entries", status_code=201, openapi_extra=_OPTIONAL)
    async def langcache_set(request: Request, cache_id: CacheId, entry: NewEntry) -> Created:
        """Store an answer, in place of the one to the same prompt with the same attributes."""
        cache: LangCacheCacheSpec = request.state.cache
        _fits(cache, entry.prompt)
        try:
            answer = entry.response.encode()
        except UnicodeEncodeError as error:
            raise TextError("response: is not valid Unicode: it holds half of a surrogate pair") from error
        item = await named_stores.put(
            _store_name(cache_id),
            entry.prompt,
            answer,
            attributes=_known(cache, entry.attributes or {}),
            ttl=entry.ttlMillis / 1000 if entry.ttlMillis else cache.ttl,
        )
        return Created(entryId=item.id)

    @routes.delete("/entries", openapi_extra=_OPTIONAL)
    async def langcache_delete_some(request: Request, cache_id: CacheId, which: Selection) -> DeletedSome:
        """Delete the entries that have all of these attributes."""
        count = await named_stores.clear(_store_name(cache_id), _known(request.state.cache, which.attributes))
        return DeletedSome(deletedCount=count, deletedEntriesCount=count)

    @routes.delete("/entries/{entryId}", response_model=Deleted, responses=_NOTHING, openapi_extra=_OPTIONAL)
    async def langcache_delete(
        request: Request, cache_id: CacheId, entry_id: Annotated[str, Path(alias="entryId")]
    ) -> Any:
        """Delete one entry."""
        if not await named_stores.delete(_store_name(cache_id), entry_id):
            message = f"there is no entry {entry_id!r} in the cache {cache_id!r}"
            raise HTTPException(404, Refusal(message, what="cache/entry"))
        return _done(request, spec(), Deleted())

    @routes.post("/flush", response_model=Flushed, responses=_NOTHING, openapi_extra=_OPTIONAL)
    async def langcache_flush(request: Request, cache_id: CacheId) -> Any:
        """Delete everything in this cache."""
        await named_stores.clear(_store_name(cache_id))
        return _done(request, spec(), Flushed())

    return routes


def _check_key(langcache: LangCacheSpec, cache_id: str, given: bytes, token: str | None) -> None:
    own = langcache.cache(cache_id).api_keys
    elsewhere = [key for name, cache in langcache.caches.items() if name != cache_id for key in cache.api_keys]
    keys = [*langcache.api_keys, *own]
    if not keys and not elsewhere and token is not None:
        keys = [token]
    if not keys and not elsewhere:
        return
    # All are compared, so that the time tells nothing about which one came near.
    opens = [is_secret(given, key) for key in keys]
    opens_another = [is_secret(given, key) for key in elsewhere]
    if any(opens):
        return
    if any(opens_another):
        raise HTTPException(403, f"this API key is not for the cache {cache_id!r}")
    message = "the API key is missing or wrong; expected Authorization: Bearer"
    raise HTTPException(401, message, {"WWW-Authenticate": "Bearer"})


def _known(cache: LangCacheCacheSpec, attributes: dict[str, str]) -> dict[str, str]:
    if cache.attributes is None:
        return attributes
    for name in attributes:
        if name not in cache.attributes:
            there = f"only {', '.join(cache.attributes)}" if cache.attributes else "no attributes are configured"
            mistake = FieldMistake(field=f"attributes.{name}", rule="configured", message=there)
            raise HTTPException(400, Refusal(f"attributes: {name!r} is unknown; for this cache, {there}", [mistake]))
    return attributes


def _fits(cache: LangCacheCacheSpec, prompt: str) -> None:
    if cache.max_prompt is not None and len(prompt) > cache.max_prompt:
        message = f"at most {cache.max_prompt} characters, got {len(prompt)}"
        mistake = FieldMistake(field="prompt", rule="max_length", message=message)
        raise HTTPException(400, Refusal(f"prompt: {message}", [mistake]))


def _store_name(cache_id: str) -> str:
    return f"langcache:{cache_id}"


def _done(request: Request, langcache: LangCacheSpec, body: BaseModel) -> Any:
    sdk = request.headers.get("user-agent", "").startswith(_SDK)
    if langcache.empty_replies == "always" or (langcache.empty_replies == "sdk" and sdk):
        return Response(status_code=204)
    return body
