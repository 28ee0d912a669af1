"""The HTTP API on the reserved host and on the proxy's own port. It talks to the cache and the accounting only."""

from askonce.api.app import create_app

__all__ = ["create_app"]
