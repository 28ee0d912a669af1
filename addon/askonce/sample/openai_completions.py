"""OpenAI's completions, the format before chat. Source: https://platform.openai.com/docs/api-reference/completions."""

import re
from collections.abc import Iterator

from askonce.sample import answers, openai_chat
from askonce.sample.answers import Question, Said
from askonce.sample.formats import Ask, Format, JsonObject, fresh, sse, texts, whole

__all__ = ["FORMAT"]


def answer(ask: Ask) -> JsonObject:
    """The `text_completion` object: `n` choices for each prompt."""
    body, prompts = ask.body, texts(ask.body.get("prompt", ""))
    choices: list[JsonObject] = []
    for prompt in prompts:
        for variant in range(whole(body.get("n"), 128) or 1):
            said = answers.answer(
                Question(str(prompt), limit=body.get("max_tokens", 16), stop=texts(body.get("stop")), variant=variant)
            )
            choices.append(_choice(len(choices), said, str(prompt), body))
    return {
        "id": fresh("cmpl-"),
        "object": "text_completion",
        "created": int(ask.now),
        "model": ask.model,
        "choices": choices,
        "usage": openai_chat.usage(answers.count(prompts), sum(answers.count(choice["text"]) for choice in choices)),
    }


def events(ask: Ask, whole: JsonObject) -> Iterator[bytes]:
    """Chunks that look like the whole answer with a piece of the text, the last one with the finish reason."""
    include_usage = bool((ask.body.get("stream_options") or {}).get("include_usage"))
    frame = {key: whole[key] for key in ("id", "object", "created", "model")}
    extra = {"usage": None} if include_usage else {}
    for choice in whole["choices"]:
        rows = choice["logprobs"]
        for at, token in enumerate(answers.tokens(choice["text"])):
            logprobs = rows and {key: values[at : at + 1] for key, values in rows.items()}
            part = {"text": token, "index": choice["index"], "logprobs": logprobs, "finish_reason": None}
            yield sse(frame | {"choices": [part]} | extra)
        last = {"text": "", "index": choice["index"], "logprobs": None, "finish_reason": choice["finish_reason"]}
        yield sse(frame | {"choices": [last]} | extra)
    if include_usage:
        yield sse(frame | {"choices": [], "usage": whole["usage"]})
    yield b"data: [DONE]\n\n"


def _choice(index: int, said: Said, prompt: str, body: JsonObject) -> JsonObject:
    text = (prompt if body.get("echo") else "") + said.text
    logprobs = None
    if body.get("logprobs") is not None:
        pieces = answers.tokens(text)
        logprobs = {
            "tokens": pieces,
            "token_logprobs": [answers.logprob(piece) for piece in pieces],
            "top_logprobs": [{piece: answers.logprob(piece)} for piece in pieces],
            "text_offset": [sum(map(len, pieces[:at])) for at in range(len(pieces))],
        }
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": said.finish}


FORMAT = Format(
    name="openai-completions",
    paths=re.compile(r"(?<!/chat)/completions$"),
    answer=answer,
    events=events,
    streamed=lambda ask: bool(ask.body.get("stream")),
    error=openai_chat.error,
    keys=("authorization", "api-key"),
    headers=openai_chat.headers,
)
