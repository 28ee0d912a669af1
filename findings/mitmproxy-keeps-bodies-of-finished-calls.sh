#!/usr/bin/env bash
# mitmproxy 12.2.3
#
# Does:     A request's body stays in memory when its call is over and its connection closed: flow, stream and context refer to one another, and Python's
#           collector, which counts objects and not bytes, comes by after many calls. Eight requests of 28 MiB, one after the other, take 200 MiB.
# Expected: what is over is let go, so that memory follows the calls that are under way.
# Output:   78 107 135 163 192 220 248 276 142 MiB
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet "mitmproxy==12.2.3"
cd "$box"
cat >answer.py <<'EOF'
from mitmproxy import http


def request(flow):
    flow.response = http.Response.make(200, b"ok")
EOF
"$box/venv/bin/python" - <<'EOF'
import http.client
import socket
import subprocess
import sys
import time

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
command = ["venv/bin/mitmdump", "-q", "--listen-port", str(port), "--set", "confdir=conf", "-s", "answer.py"]
proxy = subprocess.Popen(command)


def resident():
    with open(f"/proc/{proxy.pid}/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))


try:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.1)
    seen = [resident()]
    for _ in range(8):
        client = http.client.HTTPConnection("127.0.0.1", port)
        client.request("POST", "http://127.0.0.1:9/", bytes(28 << 20))
        client.getresponse().read()
        client.close()
        time.sleep(0.3)
        seen.append(resident())
finally:
    proxy.terminate()
    proxy.wait()
print(*seen, "MiB")
sys.exit(max(seen) - seen[1] < 100)
EOF
