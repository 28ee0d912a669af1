"""PromptCache: OpenAI's chat completions at `/v1/chat/completions`, public, with `X-Cache: HIT|MISS`."""

from dataclasses import replace

from askonce.call import Reply, Request
from askonce.products.base import Passage
from askonce.rules import Rules

__all__ = ["PromptCache"]


class PromptCache:
    name = "promptcache"

    def claim(self, request: Request, rules: Rules) -> Passage | Reply | None:
        if request.method != "POST" or request.path != "/v1/chat/completions":
            return None
        host = "api.openai.com"
        rule = rules.find("https", host, 443, request.path)
        return Passage(rule, replace(request, host=host, raw=None)) if rule else None
