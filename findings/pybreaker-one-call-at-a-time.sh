#!/usr/bin/env bash
# pybreaker 1.4.1
#
# Does:     CircuitBreaker.call holds the breaker's lock for as long as the called function runs, so that threads that share a breaker, as its page says they
#           may, run what it guards one after the other: a pool of eight database connections is used one at a time.
# Expected: the lock is held while the state is looked at and counted, not while the call runs.
# Output:   8 calls of 0.2 s in 8 threads: 0.2 s
#           the same through a breaker:    1.6 s
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet pybreaker==1.4.1
"$box/venv/bin/python" - <<'EOP'
import time
from concurrent.futures import ThreadPoolExecutor

import pybreaker

breaker = pybreaker.CircuitBreaker()


def seconds(call):
    start = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, [0.2] * 8))
    return time.monotonic() - start


print(f"8 calls of 0.2 s in 8 threads: {(plain := seconds(time.sleep)):.1f} s")
print(f"the same through a breaker:    {(guarded := seconds(lambda s: breaker.call(time.sleep, s))):.1f} s")
raise SystemExit(not (plain < 1.0 and guarded >= 1.6))
EOP
