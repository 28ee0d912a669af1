"""The LangCache SDK, whatever its version, as its documentation uses it.

A conformance app that knows nothing of Askonce. A line is {"url", "key", "cache", "method", "arguments"}; the line that
answers it is {"said": what the SDK parsed} or {"error": {"type", "status", "kind"}}, `kind` being the problem's type.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from langcache import LangCache, errors
from langcache.models import SearchStrategy

channel, sys.stdout = sys.stdout, sys.stderr  # what an SDK prints is no answer
for line in sys.stdin:
    ask: dict[str, Any] = json.loads(line)
    arguments = ask["arguments"]
    if "search_strategies" in arguments:
        arguments["search_strategies"] = [SearchStrategy(name) for name in arguments["search_strategies"]]
    try:
        with LangCache(server_url=ask["url"], cache_id=ask["cache"], api_key=ask["key"]) as client:
            parsed = getattr(client, ask["method"])(**arguments)
        said: dict[str, Any] = {"said": parsed.model_dump(mode="json", by_alias=True) if parsed is not None else None}
    except errors.LangCacheError as error:
        kind = error.data.type.value if hasattr(error, "data") else None
        said = {"error": {"type": type(error).__name__, "status": error.status_code, "kind": kind, "body": error.body}}
    channel.write(json.dumps(said) + "\n")
    channel.flush()
