"""`python -m askonce.sample`: the sample provider as a process; the first line it prints is its address."""

import argparse
import asyncio
import signal
import ssl
from pathlib import Path
from typing import Any

from askonce.sample.control import Pace
from askonce.sample.server import MODEL_PACE, SampleProvider


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m askonce.sample", description="An LLM provider on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 (the default): any free one")
    parser.add_argument("--cert", type=Path, help="certificate chain, PEM; with --key: speak TLS")
    parser.add_argument("--key", type=Path, help="private key, PEM")
    parser.add_argument(
        "--first-token", type=float, default=MODEL_PACE.first_token, metavar="SECONDS", help="default %(default)s"
    )
    parser.add_argument(
        "--per-token", type=float, default=MODEL_PACE.per_token, metavar="SECONDS", help="default %(default)s"
    )
    args = parser.parse_args()
    if (args.cert is None) != (args.key is None):
        parser.error("--cert and --key go together")
    try:
        provider = SampleProvider(
            port=args.port, cert=args.cert, key=args.key, pace=Pace(args.first_token, args.per_token)
        )
    except OSError as error:
        parser.error(str(error))
    asyncio.run(_serve(provider))


async def _serve(provider: SampleProvider) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_on_loop_error)
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, provider.stop)
    print(provider.url, flush=True)  # noqa: T201  the first line is what the caller waits for
    await provider.serve()


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # Hypercorn lets through what TLS says when a caller hangs up in the middle of its goodbye.
    if not isinstance(context.get("exception"), ssl.SSLError):
        loop.default_exception_handler(context)


if __name__ == "__main__":
    main()
