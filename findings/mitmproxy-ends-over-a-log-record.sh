#!/usr/bin/env bash
# mitmproxy 12.2.3
#
# Does:     Until it has started, any record of level ERROR ends mitmdump with status 1, whoever logged it: an addon's library that reports a connection
#           it will try again takes the proxy down with it.
# Expected: only mitmproxy's own errors (a port in use, an addon that does not load) end the start.
# Output:   level WARNING: started, and ended by itself: status 0
#           level ERROR: Error logged during startup, exiting...: status 1
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet mitmproxy==12.2.3
cat > "$box/addon.py" <<'EOF'
import logging, os
from mitmproxy import ctx


class Addon:
    def load(self, loader):
        logging.getLogger("a.library").log(getattr(logging, os.environ["LEVEL"]), "no connection yet, trying again in a second")

    def running(self):
        if os.environ["LEVEL"] == "WARNING":
            ctx.master.shutdown()


addons = [Addon()]
EOF
statuses=""
for level in WARNING ERROR; do
    status=0
    said=$(LEVEL=$level "$box/venv/bin/mitmdump" -q --listen-host 127.0.0.1 -p 0 --set confdir="$box" -s "$box/addon.py" 2>&1 >/dev/null) || status=$?
    echo "level $level: ${said:-started, and ended by itself}: status $status"
    statuses+="$status "
done
[[ $statuses == "0 1 " ]]
