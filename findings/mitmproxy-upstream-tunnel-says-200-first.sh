#!/usr/bin/env bash
# mitmproxy 12.2.3, in upstream mode, with a host that `ignore_hosts` leaves alone
#
# Does:     CONNECT is answered 200 before the upstream proxy was asked, with `connection_strategy: eager`, the default, too. That the upstream wants a
#           password (407) is seen by nobody: the client's TLS handshake is cut. Clients name a broken certificate or network as the cause.
# Expected: the upstream's refusal, or 502, as the answer to CONNECT: a 2xx says that what follows is tunnelled (RFC 9110, section 9.3.6).
# Output:   the client was told: HTTP/1.1 200 Connection established; the upstream had been asked 0 times
#           the handshake: ConnectionResetError; the upstream was asked 1 times, and answered 407
set -euo pipefail
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
"${PYTHON:-python3}" -m venv "$box/venv"
"$box/venv/bin/pip" install --quiet mitmproxy==12.2.3
cat > "$box/tunnel.py" <<'EOF'
import asyncio
import socket
import ssl
import sys

PROXY, FOLDER = sys.argv[1:]
asked = []


async def upstream(reader, writer):
    asked.append(await reader.readuntil(b"\r\n\r\n"))
    writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


async def connected(port):
    while True:
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)


async def main():
    server = await asyncio.start_server(upstream, "127.0.0.1", 0)
    mode, port = f"upstream:http://127.0.0.1:{server.sockets[0].getsockname()[1]}", free_port()
    listen = ("--listen-host", "127.0.0.1", "--listen-port", str(port), "--set", f"confdir={FOLDER}")
    proxy = await asyncio.create_subprocess_exec(PROXY, "-q", "--mode", mode, "--ignore-hosts", "api[.]example[.]com", *listen)
    try:
        reader, writer = await asyncio.wait_for(connected(port), 120)
        writer.write(b"CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n")
        told = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode()
        before = len(asked)
        print(f"the client was told: {told}; the upstream had been asked {before} times")
        try:
            await asyncio.wait_for(writer.start_tls(ssl.create_default_context(), server_hostname="api.example.com"), 60)
            ended = "done"
        except OSError as error:
            ended = type(error).__name__
        print(f"the handshake: {ended}; the upstream was asked {len(asked)} times, and answered 407")
    finally:
        proxy.terminate()
        await proxy.wait()
    return " 200 " in told and before == 0 and ended != "done" and len(asked) == 1


sys.exit(not asyncio.run(main()))
EOF
"$box/venv/bin/python" "$box/tunnel.py" "$box/venv/bin/mitmdump" "$box"
