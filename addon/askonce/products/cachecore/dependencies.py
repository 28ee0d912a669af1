"""What answers depend on: declared with a call, and invalidated when the data behind them change.

One rule: once an invalidation is acknowledged, no answer that was asked for before it is served again, nor kept where
it was still on its way. What a dependency's hash is now plays no part in that: the client declares the same constant
before and after.
"""

import asyncio
import base64
from collections.abc import Iterable, Mapping
from typing import Annotated
from weakref import WeakSet

import orjson
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from askonce.cache import Cache, Filter

__all__ = ["POLICY", "Dependencies", "DepsError", "Underway", "declared", "labels", "read_deps"]

POLICY = "cc:policy-version"
"""The dependency that every answer has: invalidating it forgets all of a tenant's answers."""

_DEP = "cachecore:dep:"
_TENANT = "cachecore:tenant"
_ALPHABET = str.maketrans("-_", "+/")


class DepsError(ValueError):
    """The header X-Cachecore-Deps cannot be understood; the message says why."""


class _Dep(BaseModel):
    dep_id: Annotated[str, Field(min_length=1, max_length=512)]
    expected_hash: Annotated[str, Field(max_length=512)]


_DEPS = TypeAdapter(Annotated[list[_Dep], Field(max_length=64)])


def read_deps(header: str) -> dict[str, str]:
    """Dependency -> expected hash, from base64url, or base64, of `[{"dep_id", "expected_hash"}]`. Raises DepsError.

    With or without padding, and white space anywhere: `base64` on a command line adds some.
    """
    text = "".join(header.split()).rstrip("=").translate(_ALPHABET)
    try:
        deps = _DEPS.validate_python(orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), validate=True)))
    except orjson.JSONDecodeError as error:
        raise DepsError(f"X-Cachecore-Deps: expected a JSON array: {error}") from None
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        place = ".".join(map(str, mistake["loc"]))
        raise DepsError(f"X-Cachecore-Deps: {place + ': ' if place else ''}{mistake['msg']}") from None
    except ValueError as error:
        raise DepsError(f"X-Cachecore-Deps: expected base64url: {error}") from None
    found: dict[str, str] = {}
    for dep in deps:
        if found.setdefault(dep.dep_id, dep.expected_hash) != dep.expected_hash:
            raise DepsError(f"X-Cachecore-Deps: {dep.dep_id!r} is declared with two hashes")
    return found


def labels(tenant: str, deps: Mapping[str, str]) -> dict[str, str]:
    """The labels of an entry with these dependencies."""
    return {_TENANT: tenant} | {_DEP + dep: expected for dep, expected in deps.items()}


def declared(entry_labels: Mapping[str, str], dep: str) -> str | None:
    """The hash with which an entry's dependency was declared; None where it has none of this name."""
    return entry_labels.get(_DEP + dep)


class Underway:
    """A call on its way, and whether something that it depends on was invalidated since it began."""

    __slots__ = ("__weakref__", "deps", "overtaken", "tenant")

    def __init__(self, tenant: str, deps: Iterable[str]) -> None:
        self.tenant, self.deps, self.overtaken = tenant, frozenset(deps), False


class Dependencies:
    """Invalidates. Its coroutines belong to the cache's event loop."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._underway = WeakSet[Underway]()

    def begin(self, tenant: str, deps: Iterable[str]) -> Underway:
        """Watch a call for as long as the result is held."""
        underway = Underway(tenant, deps)
        self._underway.add(underway)
        return underway

    async def invalidate(self, dep: str, tenant: str | None) -> int:
        """Forget the answers that depend on `dep`, of one tenant or (None) of all; how many. Raises StoreError."""
        for underway in list(self._underway):
            if dep in underway.deps and tenant in (None, underway.tenant):
                underway.overtaken = True
        wanted: dict[str, str | None] = {_DEP + dep: None}
        if tenant is not None:
            wanted[_TENANT] = tenant
        # Shielded: half the promise is made above, and a client that hangs up must not break the other half.
        return await asyncio.shield(self._cache.clear(Filter(labels=wanted)))
