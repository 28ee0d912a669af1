#!/usr/bin/env bash
# python-jsonpath 2.2.2 and jsonpath-python 1.1.6 in one environment
#
# Does:     Both install a top-level module `jsonpath`; the one that comes second overwrites the first. mistralai 3.7.0 requires jsonpath-python, so that
#           installing Mistral's SDK takes python-jsonpath (RFC 9535) away: `compile` still imports, but no longer takes `strict`. pip says nothing,
#           and `pip check` finds nothing broken.
# Expected: pip, or at least `pip check`, tells that two packages own the same files.
# Output:   before: jsonpath.compile(path: 'str', *, strict: 'bool' = False) -> 'Union[JSONPath, CompoundJSONPath]'
#           No broken requirements found.
#           after: jsonpath.compile(expr)
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet python-jsonpath==2.2.2
look="import inspect, jsonpath; print('jsonpath.compile' + str(inspect.signature(jsonpath.compile)))"
before=$("$box/venv/bin/python" -c "$look")
"$box/venv/bin/pip" install --quiet jsonpath-python==1.1.6
check=$("$box/venv/bin/pip" check)
after=$("$box/venv/bin/python" -c "$look")
printf 'before: %s\n%s\nafter: %s\n' "$before" "$check" "$after"
[[ $before == *strict* && $check == "No broken requirements found." && $after != *strict* ]]
