"""Where a store that several proxies share is.

One rule: what cannot be one is refused here, before anybody connects.
"""

import re
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, urlsplit

__all__ = ["SharedPlace"]

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,39}")
_UNVERIFIED = ("allow", "prefer", "require")
"""What libpq takes for `sslmode`, and what tells nobody whether the server is the one that was meant."""


@dataclass(frozen=True, slots=True)
class SharedPlace:
    """A schema of a PostgreSQL database. Raises ValueError for what is none."""

    url: str
    """`postgresql://USER@HOST:PORT/DATABASE`, as libpq takes it, without a password."""
    schema: str = "askonce"
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_url(self.url)
        check_schema(self.schema)

    def beside(self, name: str) -> "SharedPlace":
        """The schema of another store of the same proxies."""
        return replace(self, schema=f"{self.schema}_{name}")

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.hostname or parse_qs(parts.query).get('host', ['local'])[0]}{parts.path}"


def check_url(url: str) -> str:
    """`url`. Raises ValueError where it is none of a PostgreSQL database, or holds what should not be in a file."""
    expected = "expected postgresql://USER@HOST:PORT/DATABASE"
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        _ = parts.port  # a port that is no number raises
    except ValueError as error:
        raise ValueError(f"{expected}: {error}") from error
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError(f"{expected}; got the scheme {parts.scheme!r}")
    if parts.password is not None or "password" in query:
        raise ValueError("expected no password in the URL; give `password: ${NAME}` or `password_file`")
    if not parts.path.strip("/"):
        raise ValueError(f"{expected}; the database is missing")
    if (mode := query.get("sslmode", [""])[0]) in _UNVERIFIED:
        raise ValueError(
            f"sslmode={mode} does not verify the server; expected verify-full (the default), verify-ca, or disable "
            "where nobody else is on the way"
        )
    return url


def check_schema(name: str) -> str:
    """`name`. Raises ValueError where it would have to be quoted."""
    if not _SCHEMA.fullmatch(name) or name.startswith("pg_"):
        raise ValueError("expected up to 40 of a-z, 0-9 and _, not beginning with a digit or pg_")
    return name
