#!/usr/bin/env bash
# Claude Code 2.1.197
#
# Does:     The same prompt in the same folder, asked twice, is another body: the session's id stands in \$.metadata.user_id, which is JSON in a string. All
#           else is equal, tools and system prompt to the letter. A cache that has the whole body in its key never hits.
# Expected: a session's id stays in a header (X-Claude-Code-Session-Id has it as well).
# Output:   \$.metadata.user_id
set -euo pipefail
box=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$box"' EXIT
mkdir "$box/home" "$box/work"
npm install --silent --no-audit --no-fund --prefix "$box" @anthropic-ai/claude-code@2.1.197 >"$box/npm"
cat > "$box/server.py" <<'END'
import http.server, json, sys


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404)

    def do_HEAD(self):
        self.send_error(404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with open(sys.argv[1], "ab") as bodies:
            bodies.write(json.dumps(json.loads(body)).encode() + b"\n")
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for event in EVENTS:
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def log_message(self, *_):
        pass


END
cat >> "$box/server.py" <<'END'
message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
           "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
EVENTS = [{"type": "message_start", "message": message},
          {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
          {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
          {"type": "content_block_stop", "index": 0},
          {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 1}},
          {"type": "message_stop"}]
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
print(server.server_port, flush=True)
server.serve_forever()
END
"${PYTHON:-python3}" "$box/server.py" "$box/bodies" >"$box/port" & server=$!
until [[ -s $box/port ]]; do sleep 0.1; done
url="http://127.0.0.1:$(cat "$box/port")"
for _ in 1 2; do
    (cd "$box/work" && HOME="$box/home" ANTHROPIC_API_KEY=sk-example ANTHROPIC_BASE_URL="$url" DISABLE_AUTOUPDATER=1 \
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 "$box/node_modules/.bin/claude" -p "say hi" </dev/null >/dev/null 2>&1)
done
"${PYTHON:-python3}" - "$box/bodies" <<'EOF'
import json, sys


def differing(one, two, path="$"):
    if isinstance(one, dict) and isinstance(two, dict):
        return [p for key in sorted(one | two) for p in differing(one.get(key), two.get(key), f"{path}.{key}")]
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        return [p for at, pair in enumerate(zip(one, two)) for p in differing(*pair, f"{path}[{at}]")]
    return [] if one == two else [path]


paths = differing(*(json.loads(line) for line in open(sys.argv[1])))
print(*paths, sep="\n")
raise SystemExit(paths != ["$.metadata.user_id"])
EOF
