#!/usr/bin/env bash
# limits 5.8.0
#
# Does:     MemoryStorage counts windows by time.time(), though it lives in one process. After the clock was put back (a virtual machine resumed, NTP), a
#           caller who has spent a window waits for the jump as well: one call a minute, put back an hour, is refused for an hour and a minute.
# Expected: a window of a minute is over after a minute (time.monotonic()).
# Output:   FixedWindowRateLimiter   limit used up; clock put back 3600 s; opens in 3660 s; 2 minutes later: refused
#           MovingWindowRateLimiter  limit used up; clock put back 3600 s; opens in 3660 s; 2 minutes later: refused
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet limits==5.8.0
"$box/venv/bin/python" - <<'EOF'
import time
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

real, jump = time.time, 0
time.time = lambda: real() + jump
refused = []
for strategy in (FixedWindowRateLimiter, MovingWindowRateLimiter):
    jump, limiter, once = 0, strategy(MemoryStorage()), RateLimitItemPerMinute(1)
    assert limiter.hit(once, "caller") and not limiter.hit(once, "caller")
    jump = -3600
    opens = limiter.get_window_stats(once, "caller").reset_time - time.time()
    jump += 120
    refused.append(not limiter.hit(once, "caller"))
    print(f"{strategy.__name__:24} limit used up; clock put back 3600 s; opens in {opens:.0f} s; "
          f"2 minutes later: {'refused' if refused[-1] else 'let through'}")
raise SystemExit(not all(refused))
EOF
