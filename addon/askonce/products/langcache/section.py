"""What rules.yaml may say about LangCache."""

from typing import Annotated, Literal

from pydantic import Field

from askonce.network.rate_limits import Rate
from askonce.rules.sections import Duration, Section

__all__ = ["LangCacheCacheSpec", "LangCacheSpec"]


KeyText = Annotated[str, Field(min_length=1)]


class LangCacheCacheSpec(Section):
    """One cache, named by its id; what is left out is as `products.langcache` says."""

    api_keys: tuple[KeyText, ...] = ()
    """Keys for this cache alone, besides those for all."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    guards: bool | None = None
    ttl: Duration | None = Field(default=None, gt=0)
    max_prompt: int | None = Field(default=None, gt=0)
    attributes: tuple[str, ...] | None = None
    """The only attributes that there are; others are refused with 400. Without this line anything may be one."""


class LangCacheSpec(Section):
    """LangCache's caches. Thresholds are on its own scale, (1 + cosine) / 2."""

    api_keys: tuple[KeyText, ...] = ()
    """Each opens every cache. Where neither these nor a cache's own are set, `manage.token` is the key."""
    threshold: float = Field(default=0.85, ge=0, le=1)
    """Where a search names none."""
    guards: bool = False
    """Have the guards refuse what is near and asks another thing (a number, a negation, a name that differs)."""
    ttl: Duration | None = Field(default=None, gt=0)
    """How long an entry is kept that names no `ttlMillis`; without end where this is left out."""
    max_prompt: int | None = Field(default=None, gt=0)
    """Characters; longer prompts are refused with 400. The service itself takes 1024."""
    create_missing: bool = True
    """A cache is there once it is written to; otherwise only those under `caches` exist and others are a 404."""
    empty_replies: Literal["sdk", "always", "never"] = "sdk"
    """Who is answered 204 without a body where the document has a small JSON object: the SDKs, which accept nothing
    else, everybody, or nobody."""
    rate: Rate | None = None
    """How often one key, or one anonymous caller, may ask: `1000/minute`."""
    caches: dict[str, LangCacheCacheSpec] = Field(default={})

    def cache(self, name: str) -> LangCacheCacheSpec:
        """What holds for one cache."""
        own = self.caches.get(name, LangCacheCacheSpec())
        fields = ("threshold", "guards", "ttl", "max_prompt")
        return own.model_copy(update={name: getattr(self, name) for name in fields if getattr(own, name) is None})
