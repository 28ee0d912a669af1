"""Google's `generateContent` as the other side of OpenAI's chat completions.

One rule: Google's function calls are signed, and the signature travels as on Google's own OpenAI endpoint, in
`extra_content` of the tool call. Source: the provider's API reference, its guides for tools and thought signatures.
"""

import re
from collections.abc import Iterator
from urllib.parse import quote

from askonce import jsontext
from askonce.products.translate import asking
from askonce.products.translate.answering import Arguments, Called, Ended, Opened, Piece, Text, Thought, TokenUsage
from askonce.products.translate.asking import Asked, Untranslatable
from askonce.products.translate.chat import Chat, ChatMessage, Media
from askonce.products.translate.stream import FreshId, ProviderTrouble
from askonce.wire.common import JsonObject, count_of
from askonce.wire.sse import Event

__all__ = ["GEMINI"]

_NAME = "Gemini"
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CALLING = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
"""Tokens of thought for Gemini 2.5, as on Google's own OpenAI endpoint."""
_LEVELS = {"none": "minimal", "xhigh": "high", "max": "high"}
"""OpenAI's words for those of Gemini 3, whose thinking cannot be switched off."""
_WITHOUT_THINKING = re.compile(r"gemini-(?:1|2\.0)\b|gemini-pro$")
_ENDS = {"STOP": "stop", "MAX_TOKENS": "length"}
"""Any other reason, such as SAFETY, is OpenAI's `content_filter`: there is no whole answer."""


class _Gemini:
    def ask(self, body: JsonObject, *, max_tokens: int) -> Asked:
        chat = asking.read(body, _NAME)
        if not _MODEL.fullmatch(chat.model):  # it becomes part of the path
            raise Untranslatable(f"model: {chat.model!r} is no name of a model")
        if not chat.parallel and chat.tools:
            raise Untranslatable("parallel_tool_calls: Gemini cannot be held to one call at a time")
        out: JsonObject = {"contents": _contents(chat)}
        if chat.system:
            out["systemInstruction"] = {"parts": [{"text": chat.system}]}
        out |= _tools(chat)
        if config := _config(chat):
            out["generationConfig"] = config
        method = "streamGenerateContent" if chat.stream else "generateContent"
        return Asked(f"/v1beta/models/{quote(chat.model)}:{method}", out, query="alt=sse" if chat.stream else "")

    def pieces(self, answer: JsonObject, fresh_id: FreshId) -> Iterator[Piece]:
        reader = _GeminiReader(fresh_id)
        yield from reader.take(answer)
        yield from reader.end()

    def reader(self, fresh_id: FreshId) -> "_GeminiReader":
        return _GeminiReader(fresh_id)


class _GeminiReader:
    """A chunk has the shape of a whole answer, so that both are read alike."""

    def __init__(self, fresh_id: FreshId) -> None:
        self._fresh_id = fresh_id
        self._opened = False
        self._called = False
        self._reason = ""
        self._usage: JsonObject = {}

    def read(self, event: Event) -> Iterator[Piece]:
        return self.take(jsontext.loads(event.data))

    def take(self, chunk: JsonObject) -> Iterator[Piece]:
        if "error" in chunk:
            raise ProviderTrouble(str(chunk["error"]["message"]))
        if not self._opened:
            self._opened = True
            yield Opened(chunk.get("responseId") or self._fresh_id(""), chunk.get("modelVersion", ""))
        self._usage |= chunk.get("usageMetadata") or {}  # totals so far
        if (chunk.get("promptFeedback") or {}).get("blockReason"):
            self._reason = "SAFETY"
        for candidate in chunk.get("candidates") or ():
            for part in (candidate.get("content") or {}).get("parts") or ():
                yield from self._part(part)
            # Some models say STOP with every chunk: only the end of the stream makes it true.
            self._reason = candidate.get("finishReason") or self._reason

    def _part(self, part: JsonObject) -> Iterator[Piece]:
        match part:
            case {"functionCall": {"name": str(name), **call}}:
                self._called = True
                yield Called(str(call.get("id") or self._fresh_id("call_")), name, _signed(part))
                yield Arguments(jsontext.dumps(call.get("args") or {}).decode())
            case {"text": str(text), "thought": True}:
                if text:
                    yield Thought(text)
            case {"text": str(text)}:
                if text:
                    yield Text(text)
            case _ if part.keys() - {"thoughtSignature", "thought"}:
                raise ProviderTrouble(f"the provider answered with a part of {', '.join(sorted(part))}")

    def end(self) -> Iterator[Piece]:
        if not self._reason:
            raise ProviderTrouble("the provider's stream ended before its answer did")
        reason = _ENDS.get(self._reason, "content_filter")
        usage = self._usage
        yield Ended(
            "tool_calls" if self._called and reason == "stop" else reason,
            TokenUsage(
                input=count_of(usage, "promptTokenCount", "toolUsePromptTokenCount"),
                output=count_of(usage, "candidatesTokenCount", "thoughtsTokenCount"),
                cached=count_of(usage, "cachedContentTokenCount"),
                thought=count_of(usage, "thoughtsTokenCount"),
            ),
        )


GEMINI = _Gemini()


def _signed(part: JsonObject) -> JsonObject:
    signature = part.get("thoughtSignature")
    return {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}


def _contents(chat: Chat) -> list[JsonObject]:
    contents = list[JsonObject]()
    for message in chat.messages:
        role = "model" if message.role == "assistant" else "user"
        parts = [*_parts(message)]
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        elif parts:
            contents.append({"role": role, "parts": parts})
    return contents


def _parts(message: ChatMessage) -> Iterator[JsonObject]:
    if message.role == "tool":
        response = _response("".join(map(str, message.parts)))
        yield {"functionResponse": {"id": message.answers, "name": message.tool, "response": response}}
        return
    for part in message.parts:
        if not isinstance(part, Media):
            yield {"text": part}
        elif part.url:
            yield {"fileData": {"fileUri": part.url} | ({"mimeType": part.type} if part.type else {})}
        else:
            yield {"inlineData": {"mimeType": part.type, "data": part.data}}
    for call in message.calls:
        signed = {"thoughtSignature": call.signature} if call.signature else {}
        yield {"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}, **signed}


def _response(text: str) -> JsonObject:
    """A function's result, which Google wants as an object."""
    try:
        value = jsontext.loads(text)
    except jsontext.NotJson:
        value = text
    return value if isinstance(value, dict) else {"output": value}


def _config(chat: Chat) -> JsonObject:
    settings = chat.settings
    config: JsonObject = {
        "maxOutputTokens": settings.max_tokens,
        "temperature": settings.temperature,
        "topP": settings.top_p,
        "seed": settings.seed,
        "presencePenalty": settings.presence_penalty,
        "frequencyPenalty": settings.frequency_penalty,
        "stopSequences": list(settings.stop) or None,
        "responseMimeType": "application/json" if settings.json else None,
        "responseJsonSchema": settings.schema,
        "thinkingConfig": _thinking(chat.model, settings.effort),
    }
    return {name: value for name, value in config.items() if value is not None}


def _thinking(model: str, effort: str) -> JsonObject | None:
    if not effort or _WITHOUT_THINKING.match(model):
        return None
    if model.startswith("gemini-2.5"):
        return {"thinkingBudget": _BUDGETS[effort]}
    return {"thinkingLevel": _LEVELS.get(effort, effort)}


def _tools(chat: Chat) -> JsonObject:
    if not chat.tools:
        return {}
    functions = list[JsonObject]()
    for tool in chat.tools:
        function: JsonObject = {"name": tool.name}
        if tool.description:
            function["description"] = tool.description
        if tool.parameters is not None:
            function["parametersJsonSchema"] = tool.parameters
        functions.append(function)
    out: JsonObject = {"tools": [{"functionDeclarations": functions}]}
    if chat.choice.startswith("="):
        out["toolConfig"] = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [chat.choice[1:]]}}
    elif chat.choice in ("", "auto") and any(tool.strict for tool in chat.tools):
        out["toolConfig"] = {"functionCallingConfig": {"mode": "VALIDATED"}}
    elif chat.choice:
        out["toolConfig"] = {"functionCallingConfig": {"mode": _CALLING[chat.choice]}}
    return out
