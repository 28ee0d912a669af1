#!/usr/bin/env bash
# orjson 3.13.0
#
# Does:     Reads an integer of more than 64 bits as a float, without an error. A model's tool arguments are JSON with such numbers (an amount in wei, a
#           128-bit id): whoever reads and writes them with orjson on their way changes the amount, and two different calls become the same.
# Expected: the digits as they came, as with the standard library, or an error, as its own dumps() raises for such an integer.
# Output:   json    {'wei': 100000000000000000001} {'wei': 100000000000000000002} different
#           orjson  {'wei': 1e+20} {'wei': 1e+20} the same
#           orjson.dumps of the integer: TypeError: Integer exceeds 64-bit range
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet orjson==3.13.0
"$box/venv/bin/python" - <<'EOF'
import json
import orjson

one, two = '{"wei":100000000000000000001}', '{"wei":100000000000000000002}'
same = {}
for library in (json, orjson):
    same[library] = library.loads(one) == library.loads(two)
    print(f"{library.__name__:7} {library.loads(one)} {library.loads(two)} {'the same' if same[library] else 'different'}")
try:
    refused = not orjson.dumps(json.loads(one))
except TypeError as error:
    refused = True
    print(f"orjson.dumps of the integer: TypeError: {error}")
raise SystemExit(not (same[orjson] and not same[json] and refused))
EOF
