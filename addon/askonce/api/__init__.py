"""The HTTP API on the reserved host and on the proxy's own port. It talks to the cache and the accounting only.

One rule: what the proxy needs of it before it is asked (`vital_signs`, `product_addresses`, and this) imports no
FastAPI, which takes 0.3 s and 15 MB.
"""

__all__ = ["IMPORT_PATH"]

IMPORT_PATH = "/v1/cache/import"
"""Where entries are imported, a line of JSON each."""
