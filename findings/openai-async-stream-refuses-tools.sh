#!/usr/bin/env bash
# openai 2.54.0
#
# Does:     chat.completions.stream() of AsyncOpenAI refuses, before it sends anything, every tool that is not \`strict\`. OpenAI's, the same call with the
#           same arguments, sends it and gives the answer.
# Expected: the two take the same calls (3.52.0's do).
# Output:   OpenAI: hi
#           AsyncOpenAI: ValueError: \`weather\` is not strict. Only \`strict\` function tools can be auto-parsed
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet openai==2.54.0
"$box/venv/bin/python" - <<'EOF'
import asyncio, http.server, threading
import openai

ANSWER = (b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
          b'{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')


class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        seen.append(self.headers)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_):
        pass


seen = []
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = {"base_url": f"http://127.0.0.1:{server.server_port}/v1", "api_key": "example"}
tool = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
call = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function", "function": tool}]}


def answered():
    with openai.OpenAI(**client).chat.completions.stream(**call) as stream:
        return stream.get_final_completion().choices[0].message.content


async def answered_async():
    async with openai.AsyncOpenAI(**client).chat.completions.stream(**call) as stream:
        return (await stream.get_final_completion()).choices[0].message.content


print("OpenAI:", said := answered())
try:
    print("AsyncOpenAI:", asyncio.run(answered_async()))
    refused = False
except ValueError as error:
    refused = True
    print("AsyncOpenAI: ValueError:", error)
raise SystemExit(not (said == "hi" and refused and len(seen) == 1))
EOF
