#!/usr/bin/env bash
# ollama 0.6.3 on httpx 0.28.1
#
# Does:     httpx's iter_lines() also ends a line at U+2028, U+2029 and U+0085. JSON may hold those in a string as they are (RFC 8259, section 7), so that
#           NDJSON of a server that does not escape them arrives in pieces: ollama's client raises JSONDecodeError in the middle of a right answer.
# Expected: a line of NDJSON ends at "\n" and nowhere else.
# Output:   U+2028 iter_lines: 2 pieces; ollama: JSONDecodeError
#           U+2029 iter_lines: 2 pieces; ollama: JSONDecodeError
#           U+0085 iter_lines: 2 pieces; ollama: JSONDecodeError
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet ollama==0.6.3 httpx==0.28.1
"$box/venv/bin/python" - <<'EOF'
import http.server, json, threading
import httpx, ollama


class Server(http.server.BaseHTTPRequestHandler):
    line = b""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/x-ndjson")
        self.send_header("content-length", str(len(self.line)))
        self.end_headers()
        self.wfile.write(self.line)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = ollama.Client(host=f"http://127.0.0.1:{server.server_port}", trust_env=False)
cut = []
for mark in "\u2028\u2029\u0085":
    answer = {"model": "m", "message": {"role": "assistant", "content": f"one{mark}two"}, "done": True}
    Server.line = json.dumps(answer, ensure_ascii=False).encode() + b"\n"
    pieces = len(list(httpx.Response(200, content=Server.line).iter_lines()))
    try:
        said = "".join(part.message.content for part in client.chat("m", [{"role": "user", "content": "hi"}], stream=True))
    except json.JSONDecodeError:
        said = "JSONDecodeError"
    cut.append(pieces == 2 and said == "JSONDecodeError")
    print(f"U+{ord(mark):04X} iter_lines: {pieces} pieces; ollama: {said}")
raise SystemExit(not all(cut))
EOF
