#!/usr/bin/env bash
# openai 3.52.0
#
# Does:     before it tries a call again by itself, the client closes the response without reading it. Where the call is to be streamed nothing of
#           the body was read, so its connection is lost, and whoever stands between sees a caller who leaves in the middle of an error.
# Expected: what happens where the call is not to be streamed: the error is read, and the same connection carries the second try.
# Output:   not streamed: 503, then hi, over 1 connection
#           streamed: 503, then hi, over 2 connections
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet openai==3.52.0
"$box/venv/bin/python" - <<'EOF'
import http.server, json, sys, threading
import openai

BUSY = json.dumps({"error": {"message": "busy"}}).encode()
WHOLE = json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}]}).encode()
STREAM = (b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
          b'{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        connections.append(self.client_address)
        status, body = (503, BUSY) if len(connections) == 1 else (200, STREAM if asked.get("stream") else WHOLE)
        kind = "text/event-stream" if body is STREAM else "application/json"
        statuses.append(status)
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


connections, statuses = [], []
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
found = []
for streamed in (False, True):
    connections.clear()
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="example", max_retries=1)
    answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=streamed)
    said = "".join(c.choices[0].delta.content or "" for c in answer) if streamed else answer.choices[0].message.content
    found.append(len(set(connections)))
    print(f"{'streamed' if streamed else 'not streamed'}: 503, then {said}, over {found[-1]} connection{'s' * (found[-1] > 1)}")
sys.exit(0 if found == [1, 2] and statuses == [503, 200] * 2 else 1)
EOF
