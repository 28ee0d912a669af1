"""The counts of all workers of one proxy: each tells the others its own, over a socket in a folder that is theirs.

One rule: who is asked for a figure gives that of all. A worker that does not answer is left out, and that is counted.
"""

import asyncio
from pathlib import Path

from askonce.accounting.accounting import Accounting
from askonce.faults import Faults

__all__ = ["Workmates"]

_PATIENCE = 2.0
"""Seconds that a worker has to tell its counts; one that is well takes milliseconds."""


class Workmates:
    """What one worker knows of the others. Belongs to one event loop."""

    def __init__(self, own: Accounting, folder: Path, number: int, faults: Faults) -> None:
        """`folder` is for the workers alone: what comes out of its sockets is believed."""
        self._own, self._folder, self._faults = own, folder, faults
        self._socket = socket_of(folder, number)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Tell the others from now on; to be called once the worker listens. Raises OSError."""
        self._socket.unlink(missing_ok=True)  # of a worker of this number that crashed
        self._server = await asyncio.start_unix_server(self._tell, self._socket)

    async def all(self) -> Accounting:
        """The counts of all that run, this one's among them."""
        others = [path for path in sorted(self._folder.glob("*.sock")) if path != self._socket]
        counted = await asyncio.gather(*[self._ask(path) for path in others])
        table = Accounting()
        for one in (self._own.counted(), *counted):
            if one:
                table.absorb(one)
        return table

    async def close(self) -> None:
        """Tell nobody any more."""
        if self._server:
            self._server.close()
            self._socket.unlink(missing_ok=True)

    async def _tell(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._own.counted())
        writer.close()

    async def _ask(self, path: Path) -> bytes:
        try:
            async with asyncio.timeout(_PATIENCE):
                reader, writer = await asyncio.open_unix_connection(path)
                try:
                    return await reader.read()
                finally:
                    writer.close()
        except (ConnectionRefusedError, FileNotFoundError):  # it ended, and another begins
            return b""
        except OSError as error:  # also a timeout
            self._faults.report("workers", error, "the figures lack those of one worker")
            return b""


def socket_of(folder: Path, number: int) -> Path:
    """Where a worker tells its counts; there once it listens."""
    return folder / f"{number}.sock"
