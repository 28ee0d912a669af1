"""What a tenant's answers depend on, as Cachecore's client declares it.

One rule: a declared hash is compared with the declared hash alone. What the data's hash is now plays no part: the
client declares the same constant before and after they change.
"""

import base64
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

__all__ = ["POLICY", "DepsError", "read_deps"]

POLICY = "cc:policy-version"
"""The dependency that every answer has: invalidating it forgets all of a tenant's answers."""

_ALPHABET = str.maketrans("-_", "+/")


class DepsError(ValueError):
    """The header X-Cachecore-Deps cannot be understood; the message says why."""


class _Dep(BaseModel):
    model_config = ConfigDict(defer_build=True)  # most proxies never read one

    dep_id: Annotated[str, Field(min_length=1, max_length=512)]
    expected_hash: Annotated[str, Field(max_length=512)]


_DEPS = TypeAdapter(Annotated[list[_Dep], Field(max_length=64)], config=ConfigDict(defer_build=True))


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
