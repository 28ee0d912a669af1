"""Test only: connects provider names to the sample provider, in every Python process that has this on PYTHONPATH.

It is below everything that is tested: mitmproxy still sees the provider's own name, sends it as SNI, verifies the
certificate against it and reuses connections by it. `ASKONCE_TEST_ROUTES` is JSON: {"api.openai.com:443": 40123}.
"""

import os

if "ASKONCE_TEST_ROUTES" in os.environ:
    import asyncio
    import json

    _routes = json.loads(os.environ["ASKONCE_TEST_ROUTES"])
    _open = asyncio.open_connection

    async def _open_connection(host=None, port=None, **kwargs):
        if (local := _routes.get(f"{host}:{port}")) is not None:
            host, port = "127.0.0.1", local
        return await _open(host, port, **kwargs)

    asyncio.open_connection = _open_connection
