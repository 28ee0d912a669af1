#!/usr/bin/env bash
# mitmproxy 12.2.3, its URLs read by httpx 0.28.1
#
# Does:     Request.url and Request.pretty_url write an IPv6 host without its brackets, so that nothing tells the address from the port; httpx.URL refuses
#           them. A call that an addon sends again itself, to a model server at an IPv6 address, fails.
# Expected: the URL that came in, "http://[2001:db8::1]:8080/v1" (RFC 3986, section 3.2.2).
# Output:   url: http://2001:db8::1:8080/v1 InvalidURL
#           pretty_url: http://2001:db8::1:8080/v1 InvalidURL
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet mitmproxy==12.2.3 httpx==0.28.1
"$box/venv/bin/python" - <<'EOF'
import httpx
from mitmproxy.http import Request

request = Request.make("POST", "http://[2001:db8::1]:8080/v1", headers={"content-type": "application/json"})
request.headers["host"] = "[2001:db8::1]:8080"
refused = []
for name in ("url", "pretty_url"):
    url = getattr(request, name)
    try:
        verdict = repr(httpx.URL(url))
    except httpx.InvalidURL:
        verdict = "InvalidURL"
    refused.append(verdict == "InvalidURL" and url == "http://2001:db8::1:8080/v1")
    print(f"{name}: {url} {verdict}")
raise SystemExit(not all(refused))
EOF
