"""Google's Gemini: the method is in the path, and a stream is server-sent events or one JSON array.

Source: https://ai.google.dev/api/generate-content. Vertex AI has the same bodies under longer paths.
"""

import re
from collections.abc import Iterator
from itertools import batched

import orjson

from askonce.sample import answers
from askonce.sample.answers import Question, Said, Tool
from askonce.sample.formats import Ask, Format, JsonObject, Trouble, dumps, fresh, texts

__all__ = ["FORMAT"]

_TOKENS_PER_CHUNK = 4
"""Gemini streams in larger pieces than the others."""


def answer(ask: Ask) -> JsonObject:
    """The `GenerateContentResponse`."""
    settings = ask.body.get("generationConfig") or {}
    wanted = int(settings.get("candidateCount") or 1)
    candidates = [_candidate(ask.body, settings, index) for index in range(wanted)]
    parts = [part for candidate in candidates for part in candidate["content"]["parts"]]
    thought = answers.count([part["text"] for part in parts if part.get("thought")])
    spent = answers.count([[part.get("text"), part.get("functionCall")] for part in parts]) - thought
    read = answers.count([ask.body.get(key) for key in ("contents", "systemInstruction", "tools")])
    usage = {
        "promptTokenCount": read,
        "candidatesTokenCount": spent,
        "totalTokenCount": read + spent + thought,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": read}],
    }
    return {
        "candidates": candidates,
        "usageMetadata": usage | ({"thoughtsTokenCount": thought} if thought else {}),
        "modelVersion": ask.model,
        "responseId": fresh("", 22),
    }


def events(ask: Ask, whole: JsonObject) -> Iterator[bytes]:
    """The answer in pieces, each a `GenerateContentResponse`; the last one of a candidate says why it ended."""
    pieces = list(_pieces(whole))
    if ask.query.get("alt") == "sse":
        for piece in pieces:
            yield b"data: " + orjson.dumps(piece) + b"\r\n\r\n"
        return
    for at, piece in enumerate(pieces):
        yield (b",\r\n" if at else b"[") + orjson.dumps(piece, option=orjson.OPT_INDENT_2)
    yield b"\n]"


def _pieces(whole: JsonObject) -> Iterator[JsonObject]:
    told = whole["usageMetadata"]["promptTokenCount"]
    for candidate in whole["candidates"]:
        cut = list(_cut(candidate["content"]["parts"]))
        for at, part in enumerate(cut):
            piece = {"content": {"parts": [part], "role": "model"}}
            last = at == len(cut) - 1
            if last:
                piece |= {key: value for key, value in candidate.items() if key != "content"}
            usage = {"promptTokenCount": told, "totalTokenCount": told}
            yield whole | {
                "candidates": [piece | {"index": candidate["index"]}],
                "usageMetadata": whole["usageMetadata"] if last else usage,
            }


def _cut(parts: list[JsonObject]) -> Iterator[JsonObject]:
    for part in parts:
        if "text" not in part:
            yield part
            continue
        for tokens in batched(answers.tokens(part["text"]), _TOKENS_PER_CHUNK) if part["text"] else [("",)]:
            yield part | {"text": "".join(tokens)}


def _candidate(body: JsonObject, settings: JsonObject, index: int) -> JsonObject:
    asked = _question(body, settings, index)
    said = answers.answer(asked)
    candidate: JsonObject = {
        "content": {"parts": list(_parts(asked, said, settings)), "role": "model"},
        "finishReason": "MAX_TOKENS" if said.finish == "length" else "STOP",
        "index": index,
    }
    if settings.get("responseLogprobs"):
        rows = [{"token": token, "logProbability": answers.logprob(token)} for token in answers.tokens(said.text)]
        candidate["avgLogprobs"] = sum(answers.logprob(token) for token in answers.tokens(said.text)) / max(
            len(rows), 1
        )
        candidate["logprobsResult"] = {
            "chosenCandidates": rows,
            "topCandidates": [{"candidates": [row]} for row in rows],
        }
    return candidate


def _parts(asked: Question, said: Said, settings: JsonObject) -> Iterator[JsonObject]:
    if (settings.get("thinkingConfig") or {}).get("includeThoughts"):
        yield {"text": f"The user asks: {asked.text}", "thought": True}
    for use in said.tool_uses:
        yield {"functionCall": {"name": use.name, "args": use.arguments}}
    if not said.tool_uses:
        yield {"text": said.text}


def _question(body: JsonObject, settings: JsonObject, variant: int) -> Question:
    contents = body.get("contents") or [{}]
    contents = [contents] if isinstance(contents, dict) else contents
    parts = contents[-1].get("parts") or []
    # What an agent says beside its user's words is no question.
    parts = [part for part in parts if not str(part.get("text", "")).startswith("<session_context>")]
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    tools = [function for tool in body.get("tools") or () for function in tool.get("functionDeclarations") or ()]
    as_json = settings.get("responseMimeType") == "application/json"
    return Question(
        text="\n".join(part["text"] for part in parts if "text" in part),
        attachments=tuple(dumps(part) for part in parts if "inlineData" in part or "fileData" in part),
        tools=tuple(_tool(function) for function in tools),
        tool_choice=_tool_choice(calling),
        results=tuple(dumps(part["functionResponse"].get("response")) for part in parts if "functionResponse" in part),
        schema=(settings.get("responseJsonSchema") or settings.get("responseSchema") or {}) if as_json else None,
        limit=settings.get("maxOutputTokens"),
        stop=texts(settings.get("stopSequences")),
        variant=variant,
    )


def _tool(function: JsonObject) -> Tool:
    schema = function.get("parametersJsonSchema") or function.get("parameters_json_schema")  # as the Python SDK has it
    schema = schema or function.get("parameters")
    return Tool(function["name"], function.get("description", ""), schema)


def _tool_choice(calling: JsonObject) -> str:
    match calling:
        case {"mode": "ANY", "allowedFunctionNames": [str(name), *_]}:
            return name
        case {"mode": "ANY"}:
            return "required"
        case {"mode": "NONE"}:
            return "none"
    return "auto"


def error(trouble: Trouble, model: str) -> tuple[int, JsonObject]:
    """Google's status and error object; it calls a missing key forbidden, not unauthorized."""
    code, status, message = {
        "body": (400, "INVALID_ARGUMENT", "Invalid JSON payload received."),
        "key": (403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers. Please use API Key."),
        "model": (404, "NOT_FOUND", f"models/{model} is not found for API version v1beta."),
    }[trouble]
    return code, {"error": {"code": code, "message": message, "status": status}}


def headers() -> dict[str, str]:
    """What Google sends beside the answer."""
    return {
        "vary": "Origin, X-Origin, Referer",
        "server-timing": "gfet4t7; dur=412",
        "x-content-type-options": "nosniff",
    }


def _streamed(ask: Ask) -> bool:
    return ask.path["method"] == "streamGenerateContent"


def _stream_type(ask: Ask) -> str:
    return "text/event-stream" if ask.query.get("alt") == "sse" else "application/json; charset=UTF-8"


FORMAT = Format(
    name="gemini",
    paths=re.compile(r"/models/(?P<model>[^/:]+):(?P<method>generateContent|streamGenerateContent)$"),
    answer=answer,
    events=events,
    streamed=_streamed,
    error=error,
    keys=("x-goog-api-key", "authorization", "?key"),
    stream_type=_stream_type,
    headers=headers,
)
