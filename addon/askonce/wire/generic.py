"""Any JSON over HTTP: the rule says where the prompt is, all the rest must be equal, the answer replays as it came.

One rule: nothing is taken for granted of the provider. What could shape the reply is part of the identity, so that an
answer recorded as JSON never goes to a caller who asked for a stream; and where the rule names no prompt, only the
very same body is answered.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from askonce import jsontext
from askonce.call import Answer, Call, Part, Reply, Request, Turn, Unstorable, Usage
from askonce.wire import sse
from askonce.wire.base import ReadOptions, Replay
from askonce.wire.common import JsonObject, count_of, load_object, named, number
from askonce.wire.keeping import refuse_error
from askonce.wire.prompt import cut_prompt, overlook

__all__ = ["Generic"]

_SHAPING = ("accept", "accept-language")
"""Headers that are no matter where a wire format writes what the body asks for."""
_BINARY_STREAM = "application/vnd.amazon.eventstream"
_ENDS = ("finish_reason", "finishReason", "stop_reason", "stopReason", "completionReason")
_BAD_ENDS = frozenset(
    {
        *("length", "max_tokens", "max_output_tokens", "model_context_window_exceeded", "error", "incomplete"),
        *("content_filter", "content_filtered", "guardrail_intervened", "safety", "refusal", "cancelled"),
    }
)

_COUNTS = (("input_tokens", "prompt_tokens", "inputTokens"), ("output_tokens", "completion_tokens", "outputTokens"))


class Generic:
    name = "generic"

    def read(self, request: Request, options: ReadOptions) -> Call:
        body = load_object(request.body)
        found = cut_prompt(body, options)
        no_prompt = "the rule's prompt is not there" if options.prompt else "the rule names no prompt"
        prompt, reason = found or "", "" if found is not None else no_prompt
        overlook(body, options)
        headers = {name: value for name in _SHAPING if (value := request.headers.get(name)) is not None}
        parts: dict[Part, Any] = {"other": {"method": request.method, "headers": headers, "body": body}}
        model, temperature = body.get("model"), body.get("temperature")
        return Call(
            wire=self.name,
            prompt=prompt,
            parts=parts,
            model=model if isinstance(model, str) else "",
            temperature=number(temperature),
            stream=body.get("stream") is True or sse.CONTENT_TYPE in headers.get("accept", ""),
            exact_only=reason or ("" if prompt.strip() else "empty prompt"),
            turns=(Turn("user", prompt),) if prompt else (),
        )

    def assemble(self, body: bytes, content_type: str, call: Call) -> Answer:
        if content_type.startswith(_BINARY_STREAM):
            raise Unstorable("a binary event stream, whose end cannot be told")
        if not body.strip():
            raise Unstorable("empty body")
        usage = Usage()
        if "event-stream" in content_type:
            for event in sse.decode(body):
                if event.name == "error":
                    raise Unstorable("an error event")
                if event.data.lstrip().startswith(b"{"):
                    usage = _check(event.data, "an event") or usage
        elif "json" in content_type or body.lstrip().startswith(b"{"):
            usage = _check(body, "the answer") or usage
        return Answer(body, content_type or "application/octet-stream", usage)

    def replay(self, answer: Answer, call: Call, replay: Replay) -> Reply:
        return Reply(answer.body, answer.content_type)


def _check(data: bytes, what: str) -> Usage | None:
    """The usage that some JSON tells. Raises `Unstorable` where it is none, or tells of an error or a cut."""
    try:
        value = jsontext.loads(data)
    except jsontext.NotJson as error:
        raise Unstorable(f"{what} is {error}") from None
    if not isinstance(value, dict):
        return None
    refuse_error(value)
    for holder in _holders(value):
        for key in _ENDS:
            if isinstance(end := holder.get(key), str) and end.lower() in _BAD_ENDS:
                raise Unstorable(f"{key} {named(end)}")
    return _usage(value)


def _holders(value: JsonObject) -> Iterator[Mapping[str, Any]]:
    """The object, and those in its lists, where providers say how each of several answers ended."""
    yield value
    for items in value.values():
        if isinstance(items, list):
            yield from (item for item in items if isinstance(item, dict))


def _usage(value: JsonObject) -> Usage | None:
    usage = value.get("usage")
    if not isinstance(usage, dict):
        return None
    return Usage(*(next(filter(None, (count_of(usage, name) for name in names)), 0) for names in _COUNTS))
