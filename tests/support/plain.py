"""Whether mitmproxy is left as it is: what a test cannot see then, it skips."""

import os

__all__ = ["IS_PLAIN"]

IS_PLAIN = os.environ.get("ASKONCE_PLAIN", "") not in ("", "0")
