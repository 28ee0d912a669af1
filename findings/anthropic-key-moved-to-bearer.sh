#!/usr/bin/env bash
# anthropic 2.11.0, and 0.125.0 before it
#
# Does:     Given the same api_key, 2.x sends it as a bearer token instead of in x-api-key, and asks for another anthropic-version. What tells callers
#           apart, or keys from OAuth tokens, by the header takes a program after its upgrade for somebody else; a cache starts empty.
# Expected: an api_key goes out in x-api-key and an auth_token as a bearer token, as before.
# Output:   0.125.0: x-api-key: example-key, authorization: None, anthropic-version: 2023-06-01
#           2.11.0: x-api-key: None, authorization: Bearer example-key, anthropic-version: 2026-10-21
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
for version in 0.125.0 2.11.0; do
    "${PYTHON:-python3}" -m venv "$box/$version"
    "$box/$version/bin/pip" install --quiet "anthropic==$version"
    "$box/$version/bin/python" - <<'EOF'
import http.server, threading
import anthropic

ANSWER = (b'{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hi"}],'
          b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}')


class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        seen.append(self.headers)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_):
        pass


seen = []
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = anthropic.Anthropic(base_url=f"http://127.0.0.1:{server.server_port}", api_key="example-key")
client.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": "hi"}])
names = ("x-api-key", "authorization", "anthropic-version")
print(f"{anthropic.__version__}:", ", ".join(f"{name}: {seen[0][name]}" for name in names))
EOF
done | tee "$box/seen"
grep -q "^0.125.0: x-api-key: example-key, authorization: None, anthropic-version: 2023-06-01" "$box/seen"
grep -q "^2.11.0: x-api-key: None, authorization: Bearer example-key, anthropic-version: 2026-10-21" "$box/seen"
