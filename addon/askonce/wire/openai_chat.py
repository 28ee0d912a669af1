"""OpenAI's chat completions, which most providers speak (`POST …/chat/completions`).

One rule: the stored answer is the `chat.completion` object; a stream is folded into it (`fold`) and cut out of it
again (`Chunks`), and whatever a provider adds travels along. Source: OpenAI's API reference and its SDK's types.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from askonce import jsontext
from askonce.call import Answer, Call, Part, Reply, Request, Unreadable, Unstorable, Usage
from askonce.wire import openai_answers as answers
from askonce.wire import openai_reading as reading
from askonce.wire.base import ReadOptions, Replay
from askonce.wire.common import JsonObject, by_part, count_of, estimate, load_object, named
from askonce.wire.keeping import assembling, holds, refuse_bad_arguments, refuse_error
from askonce.wire.openai_deltas import Chunks, fold
from askonce.wire.prompt import cut_prompt, overlook, plain_text, where_it_asks

__all__ = ["OpenAIChat"]

_PARTS: dict[str, Part] = {
    **dict.fromkeys(
        ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "web_search_options"), "tools"
    ),
    **dict.fromkeys(("response_format", "modalities", "audio", "verbosity", "n", "logprobs", "top_logprobs"), "format"),
    **dict.fromkeys(
        (
            *("temperature", "top_p", "top_k", "min_p", "top_a", "seed", "random_seed", "stop", "logit_bias"),
            *("max_tokens", "max_completion_tokens", "presence_penalty", "frequency_penalty", "repetition_penalty"),
            *("reasoning", "reasoning_effort", "thinking"),
        ),
        "sampling",
    ),
}
_SYSTEM = frozenset({"system", "developer"})
_RESULTS = frozenset({"tool", "function"})
_GOOD_ENDS = frozenset({"stop", "tool_calls", "function_call", "eos", "eos_token", "stop_sequence", "end_turn"})
"""Finish reasons of a whole answer; those beyond OpenAI's are of Together, Text Generation Inference and others."""


_THOUGHTS = frozenset({"text", "thinking", "reasoning"})
_ANSWERS = ("refusal", "tool_calls", "function_call", "audio", "images")
"""Fields of a message that are an answer without a content; the images are of Gemini's models at OpenRouter."""


class OpenAIChat:
    name = "openai-chat"

    def read(self, request: Request, options: ReadOptions) -> Call:
        body = load_object(request.body)
        messages = _messages(body)
        prompt = cut_prompt(body, options, own=[("messages", len(messages) - 1, "content")])
        if options.ignore or options.normalise:
            overlook(body, options)
            messages = _messages(body)
        del body["messages"]

        stream, include_usage = reading.cut_stream(body)
        temperature = reading.number(body, "temperature")
        model = reading.string(body, "model")

        conversation = reading.Conversation(messages, "messages", prompt, _words)
        body.pop("model", None)
        parts = by_part(body, _PARTS)
        parts["model"] = model
        parts |= conversation.parts()
        return Call(
            wire=self.name,
            prompt=conversation.prompt,
            parts=parts,
            model=model,
            temperature=temperature,
            stream=stream,
            include_usage=include_usage,
            exact_only=_why_exact(messages, body) or reading.if_empty(conversation.prompt),
            turns=tuple(conversation.turns),
        )

    def assemble(self, body: bytes, content_type: str, call: Call) -> Answer:
        with assembling(self.name):
            record = answers.load_record(body, content_type)
            if isinstance(record, list):
                final, ended = fold(record)
                _refuse_cut_off(final, ended, call)
            else:
                refuse_error(record)
                final = record
            data = jsontext.dumps(final)
            _refuse_bad(final)
            if b'"expires_at"' in data and holds(final["choices"], "expires_at"):
                raise Unstorable("the answer refers to something that expires")
            return Answer(data, "application/json", _usage(final, call))

    def replay(self, answer: Answer, call: Call, replay: Replay) -> Reply:
        final: JsonObject = jsontext.loads(answer.body)
        final["id"] = answers.fresh_like(final.get("id"), replay, "chatcmpl-")
        # Providers whose identifiers are not OpenAI's (Mistral, DeepSeek, xAI, Perplexity, OpenRouter, Together,
        # Fireworks) end every stream with the usage, asked or not; and of Mistral's a tool call must come whole, for
        # its SDK refuses a piece without the function's name.
        foreign = not final["id"].startswith("chatcmpl-")
        unasked = foreign and not call.include_usage and bool(final.get("usage"))
        final["created"] = int(replay.now)
        answers.settle_usage(final, answer.usage, replay)
        if not call.stream:
            return Reply(jsontext.dumps(final), "application/json")
        chunks = Chunks(final, include_usage=call.include_usage, unasked_usage=unasked, whole_calls=foreign)
        return Reply(jsontext.line_safe(chunks.stream()), answers.STREAM_TYPE)


def _messages(body: JsonObject) -> list[JsonObject]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Unreadable(f"messages: {reading.kind(messages)}, expected a list with at least one message")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Unreadable(f"messages[{index}]: expected an object with a role")
    return messages


def _why_exact(messages: list[JsonObject], body: JsonObject) -> str:
    if body.get("prediction"):
        return "predicted output"
    last = messages[where_it_asks(messages, reading.instructs)]
    if last["role"] in _RESULTS:
        return "tool result in the last turn"
    if last["role"] != "user":
        return f"last message from the {named(last['role'])}"
    for message in reversed(messages):
        if message["role"] in _RESULTS:
            return "tool result in the last turn"
        if message["role"] == "assistant":
            if message.get("tool_calls") or message.get("function_call"):
                return "tool call in the last turn"
            break
    return reading.media_in(last)


def _words(message: Mapping[str, Any]) -> str:
    """A message as a person would read it."""
    content = message.get("content")
    if isinstance(content, str) and "tool_calls" not in message:
        return content
    words = [plain_text(content)] if content else []
    words += (f"{name}({arguments})" for name, arguments in _tool_calls(message))
    return "\n".join(words)


def _tool_calls(message: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """The name and the arguments of each function that is to be called, by the older field, too."""
    calls = message.get("tool_calls")
    functions = [call.get("function") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    for function in (*functions, message.get("function_call")):
        if isinstance(function, dict):
            yield function.get("name"), function.get("arguments")


def _refuse_cut_off(final: JsonObject, ended: bool, call: Call) -> None:
    """A stream is whole with its end mark. Some servers leave that out: then all that was asked for must be there."""
    if ended:
        return
    wanted = call.parts.get("format", {}).get("n")
    if (type(wanted) is int and len(final["choices"]) < wanted) or (call.include_usage and not final.get("usage")):
        raise Unstorable("the stream ends without [DONE]")


def _refuse_bad(final: JsonObject) -> None:
    choices = final.get("choices")
    if not isinstance(choices, list) or not choices:
        raise Unstorable("no choices")
    for choice in choices:
        if not isinstance(choice, dict) or not isinstance(message := choice.get("message"), dict):
            raise Unstorable("a choice without a message")
        refuse_error(choice)
        end = choice.get("finish_reason")
        if end not in _GOOD_ENDS:
            raise Unstorable("cut off: no finish_reason" if end is None else f"finish_reason {named(end)}")
        for name, arguments in _tool_calls(message):
            if not name:
                raise Unstorable("a tool call without a name")
            refuse_bad_arguments(arguments)
        if not _says_something(message):
            raise Unstorable("an empty answer")


def _says_something(message: JsonObject) -> bool:
    """Whether there is an answer in it: reasoning is none, and neither is white space."""
    content = message.get("content")
    for part in content if isinstance(content, list) else (content,):
        text = part.get("text") if isinstance(part, dict) else part
        if text.strip() if isinstance(text, str) else isinstance(part, dict) and part.get("type") not in _THOUGHTS:
            return True
    return any(message.get(name) for name in _ANSWERS)


def _usage(final: JsonObject, call: Call) -> Usage:
    """Tokens as the provider counted them; where it did not say, as we count them."""
    if isinstance(usage := final.get("usage"), dict):
        return Usage(count_of(usage, "prompt_tokens"), count_of(usage, "completion_tokens"))
    messages = [choice["message"] for choice in final["choices"]]
    said = "\n".join(_words(message) + str(message.get("reasoning_content") or "") for message in messages)
    return estimate(call, said)
