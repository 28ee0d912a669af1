"""The named events in which Anthropic streams a message: a stream to its message, and a message to its stream.

One rule: `accumulate` gives back the message that `encode` was given. Source: the provider's API reference and the
accumulator in its SDK.
"""

from collections.abc import Iterator

from askonce import jsontext
from askonce.call import Unstorable
from askonce.wire import sse
from askonce.wire.common import JsonObject, count_of, named
from askonce.wire.keeping import refuse_error
from askonce.wire.tokens import pieces

__all__ = ["accumulate", "encode"]

_PING = sse.encode(b'{"type":"ping"}', "ping")
_STOP = sse.encode(b'{"type":"message_stop"}', "message_stop")
_DELTA_USAGE = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
    "iterations",
    "fallback_credit",
)
"""What of the usage a `message_delta` repeats or is the first to say."""
_LATE_USAGE = frozenset(_DELTA_USAGE[4:])


def accumulate(body: bytes) -> JsonObject:
    """The message that a recorded stream adds up to. Raises `Unstorable`, and whatever malformed events make it."""
    message: JsonObject | None = None
    blocks: list[JsonObject] = []
    grown: dict[int, dict[str, list[str]]] = {}
    """What the deltas of each open block add, by field."""
    for event in sse.decode(body):
        data = jsontext.loads(event.data)
        kind = data["type"]
        if kind == "ping":
            continue
        if kind == "error":
            refuse_error(data)
            raise Unstorable("an error event")
        if kind == "message_start":
            if message is not None:
                raise Unstorable("a second message_start")
            message = data["message"]
            blocks = list(message.get("content") or ())
            continue
        if message is None:
            raise Unstorable(f"{named(kind)} before message_start")
        if kind == "content_block_start":
            if data["index"] != len(blocks):
                raise Unstorable(f"content block {data['index']} out of order")
            block = data["content_block"]
            blocks.append(block)
            grown[data["index"]] = {}
            if block["type"] == "fallback":
                # The JSON form names the model that served the answer in the end.
                message["model"] = block["to"]["model"]
        elif kind == "content_block_delta":
            _grow(blocks[data["index"]], grown[data["index"]], data["delta"])
        elif kind == "content_block_stop":
            _close(blocks[data["index"]], grown.pop(data["index"]))
        elif kind == "message_delta":
            _finish(message, data)
        elif kind == "message_stop":
            if grown:
                raise Unstorable("a content block was not ended")
            message["content"] = blocks
            return message
        else:
            raise Unstorable(f"unknown event {named(kind)}")
    raise Unstorable("no message_stop: the stream was cut off")


def _grow(block: JsonObject, grown: dict[str, list[str]], delta: JsonObject) -> None:
    kind = delta["type"]
    if kind == "text_delta":
        grown.setdefault("text", []).append(delta["text"] or "")
    elif kind == "input_json_delta":
        grown.setdefault("input", []).append(delta["partial_json"] or "")
    elif kind == "thinking_delta":
        grown.setdefault("thinking", []).append(delta["thinking"] or "")
    elif kind == "signature_delta":
        block["signature"] = delta["signature"]
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
    elif kind == "compaction_delta":
        block.update((name, value) for name, value in delta.items() if name != "type")
    else:
        raise Unstorable(f"unknown delta {named(kind)}")


def _close(block: JsonObject, grown: dict[str, list[str]]) -> None:
    for field, texts in grown.items():
        text = "".join(texts)
        if field != "input":
            block[field] = block[field] + text
        elif text:
            block["input"] = jsontext.loads(text)


def _finish(message: JsonObject, event: JsonObject) -> None:
    for name, value in event["delta"].items():
        if value is not None or name in message or name in ("stop_reason", "stop_sequence"):
            message[name] = value
    for name, value in event.items():
        if value is not None and name not in ("type", "delta", "usage"):
            message[name] = value
    # The counts are totals, so they replace; one that is left out or null has not changed.
    usage = message["usage"] = message.get("usage") or {}
    told = event.get("usage") or {}
    usage.update((name, value) for name, value in told.items() if value is not None or name not in usage)


def encode(message: JsonObject) -> Iterator[bytes]:
    """The events of `message`, in the provider's order."""
    usage = message.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    start = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    start["usage"] = {name: value for name, value in usage.items() if name not in _LATE_USAGE}
    if "output_tokens" in usage:
        start["usage"]["output_tokens"] = min(1, count_of(usage, "output_tokens"))
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": message.get("stop_sequence")}
    if "stop_details" in message:
        start["stop_details"], delta["stop_details"] = None, message["stop_details"]
    end: JsonObject = {"type": "message_delta", "delta": delta}
    end["usage"] = {name: usage[name] for name in _DELTA_USAGE if name in usage}
    if message.get("context_management") is not None:
        start["context_management"], end["context_management"] = None, message["context_management"]

    yield _event({"type": "message_start", "message": start})
    for index, block in enumerate(message["content"]):
        opening, deltas = _taken_apart(block)
        yield _event({"type": "content_block_start", "index": index, "content_block": opening})
        if index == 0:
            yield _PING
        for part in deltas:
            yield _event({"type": "content_block_delta", "index": index, "delta": part})
        yield _event({"type": "content_block_stop", "index": index})
    yield _event(end)
    yield _STOP


def _event(data: JsonObject) -> bytes:
    return sse.encode(jsontext.dumps(data), data["type"])


def _taken_apart(block: JsonObject) -> tuple[JsonObject, list[JsonObject]]:
    """A block as it opens in a stream, and the deltas that complete it; a block of any other kind opens complete."""
    kind = block["type"]
    if kind == "text":
        opening = {**block, "text": ""}
        deltas: list[JsonObject] = [{"type": "text_delta", "text": text} for text in pieces(block["text"])]
        if isinstance(block.get("citations"), list):
            opening["citations"] = []
            deltas += [{"type": "citations_delta", "citation": citation} for citation in block["citations"]]
        return opening, deltas
    if kind == "thinking":
        opening = {**block, "thinking": ""}
        deltas = [{"type": "thinking_delta", "thinking": text} for text in pieces(block["thinking"])]
        if block.get("signature"):
            opening["signature"] = ""
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return opening, deltas
    if kind.endswith("tool_use") and isinstance(block.get("input"), dict):
        arguments = pieces(jsontext.dumps(block["input"]).decode()) if block["input"] else []
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": text} for text in ("", *arguments)]
    if kind == "compaction" and block.get("content") is not None:
        late = {name: value for name, value in block.items() if name in ("content", "encrypted_content")}
        return {**block, **dict.fromkeys(late)}, [{"type": "compaction_delta", **late}]
    return block, []
