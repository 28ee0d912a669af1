#!/usr/bin/env bash
# usearch 2.26.6
#
# Does:     add() and search() let other threads run; save(), load() and restore() do not: nothing else in the process does anything until the whole file
#           is written or read. A server that saves its index every minute, "in a thread", stands still every minute.
# Expected: what waits for the disk lets other threads run.
# Output:   add      longest silence of another thread   1% of the call
#           search   longest silence of another thread   1% of the call
#           save     longest silence of another thread 100% of the call      (and load, and restore)
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet usearch==2.26.6 numpy==2.5.5
"$box/venv/bin/python" - "$box/index" <<'EOF'
import sys, threading, time
import numpy as np
from usearch.index import Index

file, last, longest = sys.argv[1], 0.0, 0.0


def tick():
    global last, longest
    while True:
        now = time.perf_counter()
        last, longest = now, max(longest, now - last)
        time.sleep(0.0005)


def silence(name, call):
    """The share of a call's time for which the other thread had no turn, at its longest."""
    global last, longest
    time.sleep(0.05)
    started = last = time.perf_counter()
    longest = 0.0
    call()
    ended = time.perf_counter()
    share = max(longest, ended - max(last, started)) / (ended - started)
    print(f"{name:8} longest silence of another thread {share:4.0%} of the call")
    return share


threading.Thread(target=tick, daemon=True).start()
vectors = np.random.default_rng(1).standard_normal((6000, 1024), dtype=np.float32)
index = Index(ndim=1024, metric="cos")
shares = [silence("add", lambda: index.add(np.arange(6000), vectors)), silence("search", lambda: index.search(vectors, 10))]
held = [silence("save", lambda: index.save(file)), silence("load", lambda: Index(ndim=1024, metric="cos").load(file)),
        silence("restore", lambda: Index.restore(file))]
raise SystemExit(not (max(shares) < 0.5 < min(held)))
EOF
