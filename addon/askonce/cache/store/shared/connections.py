"""Connections to the database: a few that are shared by all threads, and none that anybody waits for longer than told.

One rule: a deadline is kept on this side of the wire. The server's own (`statement_timeout`) says nothing where the
server stands still, and a connection whose answer is overdue is closed, as nobody knows what is under way on it.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any

import certifi
import psycopg
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from askonce.cache.store.entry import StoreError
from askonce.cache.store.place import SharedPlace
from askonce.cache.store.shared import values

__all__ = ["LOOK_SECONDS", "MANAGE_SECONDS", "WRITE_SECONDS", "Connections", "TimelyConnection", "connect", "failure"]

LOOK_SECONDS = 1.0
"""How long the database may take over what a call waits for."""
WRITE_SECONDS = 2.0
"""And over one transaction of writing."""
MANAGE_SECONDS = 60.0
"""And over what somebody asked for who manages the cache."""
_CONNECT_SECONDS = 2
"""The least that libpq admits."""
_INTERVAL = 0.1

# It warns of every attempt; what matters of them is told by whoever needed a connection.
logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)


class TimelyConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection with a deadline, which `within` sets anew."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        values.register(self)
        self.prepare_threshold = None  # a plan made for one partition is wrong for others; and poolers lose statements
        self._deadline = monotonic() + WRITE_SECONDS

    def within(self, seconds: float) -> None:
        """From now on, all that is asked is answered within so many seconds, or the connection is closed."""
        self._deadline = monotonic() + seconds

    def wait[T](self, gen: PQGen[T], interval: float = _INTERVAL, timeout: float | None = None) -> T:
        left = max(0.0, self._deadline - monotonic())
        try:
            return super().wait(gen, interval, left if timeout is None else min(left, timeout))
        except errors.Error:
            if monotonic() >= self._deadline:
                self.pgconn.finish()
                raise errors.OperationalError("the database did not answer in time") from None
            raise


def _options(place: SharedPlace) -> dict[str, Any]:
    """What libpq is given besides the URL, and what it is not to guess."""
    given = conninfo_to_dict(place.url)
    options: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS, "application_name": "askonce"}
    if place.password is not None:
        options["password"] = place.password
    options["sslmode"] = given.get("sslmode", "verify-full")
    if options["sslmode"] != "disable":
        options["sslrootcert"] = given.get("sslrootcert", certifi.where())
    # A peer that is gone without a word is noticed by the kernel, too.
    return options | {"tcp_user_timeout": int(WRITE_SECONDS * 1000), "keepalives_idle": 10, "keepalives_interval": 5}


def connect(place: SharedPlace) -> TimelyConnection:
    """One of one's own. Raises psycopg.Error."""
    connection = TimelyConnection.connect(place.url, autocommit=True, **_options(place))
    connection.within(WRITE_SECONDS)
    return connection


class Connections:
    """At most so many at once. Thread-safe."""

    def __init__(self, place: SharedPlace, most: int) -> None:
        self._place = place
        self._pool = ConnectionPool(
            place.url,
            connection_class=TimelyConnection,
            kwargs={"autocommit": True, **_options(place)},
            min_size=1,
            max_size=most,
            max_idle=300.0,
            reconnect_timeout=_CONNECT_SECONDS,
            num_workers=2,
            name="askonce",
            open=False,
        )

    def open(self) -> None:
        """Begin to connect, in the background."""
        self._pool.open()

    def check(self) -> None:
        """Replace those that a restart of the database has cut."""
        with contextlib.suppress(psycopg.Error, PoolClosed):
            self._pool.check()

    @contextlib.contextmanager
    def use(self, seconds: float) -> Iterator[TimelyConnection]:
        """A connection for this thread alone; waiting for it counts, too. Raises psycopg.Error."""
        start = monotonic()
        connection = self._pool.getconn(timeout=seconds)
        try:
            connection.within(seconds - (monotonic() - start))
            yield connection
        finally:
            connection.within(LOOK_SECONDS)  # should it have to roll back
            self._pool.putconn(connection)

    def rows(self, query: bytes, given: Sequence[Any], seconds: float) -> list[tuple[Any, ...]]:
        """All rows of what changes nothing. Raises psycopg.Error.

        Asked a second time where the connection was cut: most likely before, by a restart.
        """
        deadline = monotonic() + seconds
        try:
            return self._rows(query, given, seconds)
        except (PoolTimeout, PoolClosed):
            raise
        except errors.OperationalError as error:
            if monotonic() >= deadline or isinstance(error, errors.QueryCanceled):
                raise
        return self._rows(query, given, deadline - monotonic())

    def _rows(self, query: bytes, given: Sequence[Any], seconds: float) -> list[tuple[Any, ...]]:
        with self.use(seconds) as connection:
            return connection.execute(query, given, binary=True).fetchall()

    def close(self) -> None:
        """Let go of all."""
        self._pool.close(timeout=2.0)


def failure(place: SharedPlace, what: str, error: Exception) -> StoreError:
    """What went wrong, for a person."""
    if isinstance(error, PoolClosed):
        return StoreError("the cache is closed")
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return StoreError(f"the cache could not {what} the database at {place}: {lines[0]}")
