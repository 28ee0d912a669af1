#!/usr/bin/env bash
# azure-ai-inference 1.0.0b9
#
# Does:     With an AzureKeyCredential, ChatCompletionsClient sends the key in \`api-key\` and once more as a bearer token in \`authorization\`. What hides
#           or compares callers' keys by the header that a provider documents sees half of them.
# Expected: \`api-key\` alone, as Azure's reference has it; a bearer token is for Entra ID.
# Output:   api-key: example-key
#           authorization: Bearer example-key
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet azure-ai-inference==1.0.0b9
"$box/venv/bin/python" - <<'EOF'
import http.server, threading
from azure.ai.inference import ChatCompletionsClient
from azure.core.credentials import AzureKeyCredential

ANSWER = (b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",'
          b'"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}')


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
client = ChatCompletionsClient(f"http://127.0.0.1:{server.server_port}/models", AzureKeyCredential("example-key"))
client.complete(messages=[{"role": "user", "content": "hi"}])
for name in ("api-key", "authorization"):
    print(f"{name}: {seen[0][name]}")
raise SystemExit((seen[0]["api-key"], seen[0]["authorization"]) != ("example-key", "Bearer example-key"))
EOF
