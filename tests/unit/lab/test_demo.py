"""What the demo says of a call."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from askonce.lab import demo
from askonce.settings import Settings


def test_a_call_that_is_not_counted_yet_is_waited_for() -> None:
    said = iter([(1, "miss"), (1, "miss"), (0, "exact")])

    class Statistics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            in_flight, outcome = next(said)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"in_flight": in_flight, "latest": [{"outcome": outcome}]}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Statistics) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        proxy = Settings.from_env(listen=f"127.0.0.1:{server.server_address[1]}", environ={})
        assert demo._latest(proxy) == {"outcome": "exact"}
        server.shutdown()
