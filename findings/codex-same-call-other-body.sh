#!/usr/bin/env bash
# codex-cli 0.171.0
#
# Does:     The same prompt in the same folder, asked twice, is another body: it holds new ids and times in four places. A cache that has the whole body in its
#           key never hits. (Its base URL is a line of its configuration; OPENAI_BASE_URL is not read.)
# Expected: what says nothing to the model stays in headers, where most of it is as well.
# Output:   $.client_metadata.*
#           $.input[*].id
#           $.input[*].internal_chat_message_metadata_passthrough.*
#           $.prompt_cache_key
set -euo pipefail
box=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$box"' EXIT
mkdir "$box/home" "$box/work"
npm install --silent --no-audit --no-fund --prefix "$box" @openai/codex@0.171.0 >"$box/npm"
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
item = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}
EVENTS = [{"type": "response.created", "response": {"id": "resp_1"}},
          {"type": "response.output_item.done", "output_index": 0, "item": item},
          {"type": "response.completed",
           "response": {"id": "resp_1", "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}}}]
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
print(server.server_port, flush=True)
server.serve_forever()
END
"${PYTHON:-python3}" "$box/server.py" "$box/bodies" >"$box/port" & server=$!
until [[ -s $box/port ]]; do sleep 0.1; done
url="http://127.0.0.1:$(cat "$box/port")"
for _ in 1 2; do
    (cd "$box/work" && HOME="$box/home" CODEX_HOME="$box/home" CODEX_API_KEY=sk-example "$box/node_modules/.bin/codex" exec \
        --skip-git-repo-check -c "openai_base_url=\"$url/v1\"" "say hi" </dev/null >/dev/null 2>&1)
done
"${PYTHON:-python3}" - "$box/bodies" <<'EOF'
import json, re, sys


def differing(one, two, path="$"):
    if isinstance(one, dict) and isinstance(two, dict):
        return [p for key in sorted(one | two) for p in differing(one.get(key), two.get(key), f"{path}.{key}")]
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        return [p for at, pair in enumerate(zip(one, two)) for p in differing(*pair, f"{path}[{at}]")]
    return [] if one == two else [path]


paths = differing(*(json.loads(line) for line in open(sys.argv[1])))
places = sorted({re.sub(r"((?:client_metadata|passthrough)\.).*", r"\1*", re.sub(r"\[\d+\]", "[*]", path)) for path in paths})
print(*places, sep="\n")
raise SystemExit(places != ["$.client_metadata.*", "$.input[*].id",
                            "$.input[*].internal_chat_message_metadata_passthrough.*", "$.prompt_cache_key"])
EOF
