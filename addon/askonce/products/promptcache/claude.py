"""PromptCache's way to Claude: OpenAI's chat completions in, Anthropic's messages out, and back.

One rule: the call's identity is that of what the caller sent; only what the provider is sent is translated.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from askonce import jsontext
from askonce.call import Reply, Request
from askonce.calls.response_headers import fresh_id
from askonce.products.base import Passage
from askonce.products.keys import with_key
from askonce.products.translate import ANTHROPIC, StreamTranslator, Untranslatable, WholeTranslator
from askonce.products.translate.stream import ProviderTrouble
from askonce.rules import Rule
from askonce.rules.patterns import parse_jsonpath
from askonce.wire import wire_format
from askonce.wire.base import ReadOptions

__all__ = ["HOST", "PATH", "passage"]

HOST, PATH = "api.anthropic.com", "/v1/messages"
_MAX_TOKENS = 4096
"""What Claude is given where the caller names no limit: it must be told one."""
_LEFT_OUT = ReadOptions(
    ignore=tuple(map(parse_jsonpath, ("$.user", "$.metadata", "$.safety_identifier", "$.prompt_cache_key")))
)
"""What the translation leaves out does not change the answer."""


def passage(request: Request, rule: Rule, key: str, fail: Callable[[str], Reply]) -> Passage:
    """The way of a call to Claude. `rule` is Anthropic's, `key` the operator's, and `fail` makes the answer to a call
    that failed.

    Raises `Untranslatable`.
    """
    try:
        body = jsontext.loads(request.body)
    except jsontext.NotJson as error:
        raise Untranslatable(f"request body is {error}") from None
    asked = ANTHROPIC.ask(body, max_tokens=_MAX_TOKENS)
    meant = replace(request, host=HOST, path=PATH, query="", raw=None)
    headers = {"content-type": "application/json", "accept-encoding": "identity", **dict(asked.headers)}
    outgoing = with_key(
        replace(meant, path=asked.path, query=asked.query, headers=headers, body=jsontext.dumps(asked.body)),
        "anthropic",
        key,
    )
    streams = bool(body.get("stream"))
    return Passage(
        replace(rule, wire=wire_format("openai-chat"), read=_LEFT_OUT, endpoint="/v1/chat/completions"),
        meant,
        outgoing=outgoing,
        translator=(lambda _: _stream(body)) if streams else None,
        finish=partial(_finish, body, fail),
        whole=not streams,
    )


def _stream(body: dict[str, Any]) -> StreamTranslator:
    options = body.get("stream_options")
    include_usage = isinstance(options, dict) and options.get("include_usage") is True
    return StreamTranslator(ANTHROPIC, now=time.time(), fresh_id=fresh_id, include_usage=include_usage)


def _finish(body: dict[str, Any], fail: Callable[[str], Reply], status: int, answered: bytes) -> Reply:
    if not 200 <= status < 300:
        return Reply(answered, "application/json", status)
    whole = WholeTranslator(ANTHROPIC, now=time.time(), fresh_id=fresh_id)
    translator = _stream(body) if body.get("stream") else whole  # a stream that is compressed is read whole
    try:
        told = translator.feed(answered) if answered else b""
        return Reply(told + translator.feed(b""), translator.content_type, status)
    except ProviderTrouble as error:
        return fail(str(error))
