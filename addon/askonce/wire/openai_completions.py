"""OpenAI's older completions (`POST …/completions`): a text to go on with, no messages.

One rule: a single text may be worded differently; several texts, or tokens, are only ever answered as they are.
Source: OpenAI's API reference and its SDK's types.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from askonce import jsontext
from askonce.call import Answer, Call, Part, Reply, Request, Turn, Unreadable, Unstorable, Usage
from askonce.wire import openai_answers as answers
from askonce.wire import openai_reading as reading
from askonce.wire.base import ReadOptions, Replay
from askonce.wire.common import JsonObject, by_part, count_of, estimate, load_object, named
from askonce.wire.keeping import assembling, refuse_error
from askonce.wire.openai_deltas import collect
from askonce.wire.prompt import cut_prompt, overlook
from askonce.wire.sse import Event
from askonce.wire.tokens import pieces

__all__ = ["OpenAICompletions"]

_PARTS: dict[str, Part] = {
    **dict.fromkeys(("n", "best_of", "echo", "logprobs", "suffix", "response_format"), "format"),
    **dict.fromkeys(
        (
            *("temperature", "top_p", "top_k", "min_p", "seed", "stop", "logit_bias", "max_tokens"),
            *("presence_penalty", "frequency_penalty", "repetition_penalty"),
        ),
        "sampling",
    ),
}
_GOOD_ENDS = frozenset({"stop", "eos", "eos_token", "stop_sequence"})


class OpenAICompletions:
    name = "openai-completions"

    def read(self, request: Request, options: ReadOptions) -> Call:
        body = load_object(request.body)
        elsewhere = cut_prompt(body, options, own=[("prompt",)])
        overlook(body, options)
        stream, include_usage = reading.cut_stream(body)
        temperature = reading.number(body, "temperature")
        model = reading.string(body, "model")
        body.pop("model", None)
        text, exact_only = _prompt(body, elsewhere)
        parts = by_part(body, _PARTS)
        parts["model"] = model
        return Call(
            wire=self.name,
            prompt=text,
            parts=parts,
            model=model,
            temperature=temperature,
            stream=stream,
            include_usage=include_usage,
            exact_only=exact_only or reading.if_empty(text),
            turns=(Turn("user", text),),
        )

    def assemble(self, body: bytes, content_type: str, call: Call) -> Answer:
        with assembling(self.name):
            record = answers.load_record(body, content_type)
            if isinstance(record, list):
                final, ended = _fold(record)
                if not ended and call.include_usage and not final.get("usage"):
                    raise Unstorable("the stream ends without [DONE]")
            else:
                refuse_error(record)
                final = record
            _refuse_bad(final)
            if isinstance(used := final.get("usage"), dict):
                usage = Usage(count_of(used, "prompt_tokens"), count_of(used, "completion_tokens"))
            else:
                usage = estimate(call, "".join(choice["text"] for choice in final["choices"]))
            return Answer(jsontext.dumps(final), "application/json", usage)

    def replay(self, answer: Answer, call: Call, replay: Replay) -> Reply:
        final: JsonObject = jsontext.loads(answer.body)
        final["id"] = answers.fresh_like(final.get("id"), replay, "cmpl-")
        final["created"] = int(replay.now)
        answers.settle_usage(final, answer.usage, replay)
        if not call.stream:
            return Reply(jsontext.dumps(final), "application/json")
        return Reply(jsontext.line_safe(_chunks(final, call.include_usage)), answers.STREAM_TYPE)


def _prompt(body: JsonObject, elsewhere: str | None) -> tuple[str, str]:
    """The prompt, taken out of the body where it may be reworded, and why it may not."""
    asked = body.get("prompt")
    if elsewhere is not None:
        return elsewhere, ""
    if isinstance(asked, str):
        del body["prompt"]
        return asked, ""
    if not isinstance(asked, list) or not asked:
        raise Unreadable(f"prompt: {reading.kind(asked)}, expected a string or a list of strings or tokens")
    texts = [text for text in asked if isinstance(text, str)]
    if len(texts) == len(asked) == 1:  # the same as a string
        del body["prompt"]
        return texts[0], ""
    return "\n".join(texts), "several prompts" if len(texts) == len(asked) else "a prompt of tokens"


def _fold(events: Iterable[Event]) -> tuple[JsonObject, bool]:
    """The `text_completion` that a stream tells, and whether its end mark `[DONE]` came. Raises `Unstorable`."""
    final, deltas, ended = collect(events, "text_completion")
    for index in sorted(deltas):
        choice: JsonObject = {"text": "", "index": index, "logprobs": None, "finish_reason": None}
        for delta in deltas[index]:
            _add(choice, delta)
        final["choices"].append(choice)
    return final, ended


def _add(choice: JsonObject, delta: JsonObject) -> None:
    for key, value in delta.items():
        if key == "text":
            if not isinstance(value, str):
                raise Unstorable("a text that is no string")
            choice[key] += value
        elif key == "logprobs" and isinstance(value, dict):
            known = choice[key] = choice[key] or {}
            for name, rows in value.items():
                grows = isinstance(rows, list) and isinstance(known.get(name), list)
                known[name] = known[name] + rows if grows else rows
        elif key != "index" and (value is not None or key not in choice):
            choice[key] = value


def _refuse_bad(final: JsonObject) -> None:
    choices = final.get("choices")
    if not isinstance(choices, list) or not choices:
        raise Unstorable("no choices")
    for choice in choices:
        if not isinstance(choice, dict) or not isinstance(choice.get("text"), str):
            raise Unstorable("a choice without a text")
        end = choice.get("finish_reason")
        if end not in _GOOD_ENDS:
            raise Unstorable("cut off: no finish_reason" if end is None else f"finish_reason {named(end)}")
        if not choice["text"].strip():
            raise Unstorable("an empty answer")


def _chunks(final: JsonObject, include_usage: bool) -> bytes:
    """The stream: each choice's text cut at token borders, then its finish reason; the usage where asked for."""
    frame = {key: value for key, value in final.items() if key not in ("choices", "usage")}
    head = b"data: " + jsontext.dumps(frame)[:-1] + b',"choices":['
    end = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"
    model = frame.get("model")
    out = list[bytes]()
    for position, choice in enumerate(final["choices"]):
        index = index if type(index := choice.get("index")) is int else position
        logprobs = choice.get("logprobs")
        for text, rows in _cut(choice["text"], logprobs, model if isinstance(model, str) else ""):
            tail = jsontext.dumps({"index": index, "logprobs": rows, "finish_reason": None})[1:]
            out.append(b'%b{"text":%b,%b%b' % (head, orjson.dumps(text), tail, end))
        last = choice | {"text": "", "index": index, "logprobs": None}
        out.append(head + jsontext.dumps(last) + end)
    if include_usage:
        out.append(head + b'],"usage":' + jsontext.dumps(final["usage"]) + b"}\n\n")
    out.append(b"data: [DONE]\n\n")
    return b"".join(out)


def _cut(text: str, logprobs: Any, model: str) -> Iterable[tuple[str, JsonObject | None]]:
    """The text in pieces, each with its share of the log-probabilities; they all go with the first piece where they
    do not spell the text."""
    if not isinstance(logprobs, dict):
        return ((piece, None) for piece in pieces(text, model))
    lists = {key: rows for key, rows in logprobs.items() if isinstance(rows, list)}
    tokens = lists.get("tokens", [])
    spelled = all(isinstance(token, str) for token in tokens) and "".join(tokens) == text
    if spelled and all(len(rows) == len(tokens) for rows in lists.values()):
        return (
            (token, logprobs | {key: [rows[place]] for key, rows in lists.items()})
            for place, token in enumerate(tokens)
        )
    return ((piece, None if place else logprobs) for place, piece in enumerate(pieces(text, model)))
