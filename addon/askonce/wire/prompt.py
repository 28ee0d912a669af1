"""The prompt, cut out of a request, and the conversation around it.

One rule: text is cut out, never copied, so that each word of a request counts either as prompt or as part.
"""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from askonce.call import Part, Turn
from askonce.jsontext.differences import Path
from askonce.wire.base import Find, ReadOptions
from askonce.wire.common import JsonObject

__all__ = [
    "MEDIA",
    "NOT_THE_USER",
    "NO_PROMPT",
    "TOOL_RESULT",
    "around_the_prompt",
    "cut_instructions",
    "cut_prompt",
    "cut_text",
    "find_prompt",
    "is_reminder",
    "overlook",
    "plain_text",
    "turns_of",
    "where_it_asks",
]

# Why a call may only be answered by an identical one.
MEDIA = "media in the last message"
NOT_THE_USER = "last message is not from the user"
NO_PROMPT = "no text in the last message"
TOOL_RESULT = "tool result in the last turn"

# What agents put beside the user's words, in texts of their own: the date, their memory, the folder they are in.
# Claude Code writes the first, gemini-cli the second.
_REMINDER = re.compile(r"\s*<(system-reminder|session_context)>")


def overlook(body: JsonObject, options: ReadOptions) -> None:
    """Take out of `body` what the rule says does not change the answer, and write as one what it says is one."""
    for find, rewrite in options.normalise:
        for path, text in find(body):
            if path and isinstance(text, str):
                _holder(body, path)[path[-1]] = rewrite(text)
    for find in options.ignore:
        # From the last match to the first, so that an index in a list still means the same item.
        for path, _ in reversed(find(body)):
            try:
                del _holder(body, path)[path[-1]]
            except (LookupError, TypeError):
                continue  # its parent is gone already


def _holder(body: JsonObject, path: Sequence[str | int]) -> Any:
    holder: Any = body
    for step in path[:-1]:
        holder = holder[step]
    return holder


def cut_text(holder: Any, key: str | int) -> str | None:
    """Cut the text out of `holder[key]` and leave it empty there; None where that holds no text.

    The text is a string, or the texts of a block or a list of blocks, joined by line breaks. A block's text is under
    `text`; blocks of another `type` than "text", thoughts and reminders keep theirs.
    """
    value = holder[key]
    if isinstance(value, str):
        if is_reminder(value):
            return None
        holder[key] = ""
        return value
    blocks = _text_blocks(value)
    if not blocks:
        return None
    texts = [block["text"] for block in blocks]
    for block in blocks[:-1]:
        # With the line breaks left behind, what is cut and what is left tell where each text ended.
        block["text"] = "\n" * block["text"].count("\n")
    blocks[-1]["text"] = ""
    return "\n".join(texts)


def _text_blocks(value: Any) -> list[JsonObject]:
    return [
        block
        for block in (value if isinstance(value, list) else (value,))
        if isinstance(block, dict)
        and isinstance(block.get("text"), str)
        and block.get("type", "text") == "text"
        and not block.get("thought")
        and not is_reminder(block["text"])
    ]


def is_reminder(text: str) -> bool:
    """Whether an agent says all of a text, beside the words of its user."""
    # From one to the next, as a pattern for a whole one would look for the end of each to the end of the text.
    at = 0
    while found := _REMINDER.match(text, at):
        closing = f"</{found[1]}>"
        end = text.find(closing, found.end())
        if end < 0:
            return False
        at = end + len(closing)
    return at > 0 and not text[at:].strip()


def find_prompt(body: JsonObject, find: Find) -> Path | None:
    """Where a rule's JSONPaths find the prompt; None where they find no text, and the wire format's own is meant."""
    for path, _ in reversed(find(body)):
        if path and (isinstance(value := _holder(body, path)[path[-1]], str) or _text_blocks(value)):
            return path
    return None


def cut_prompt(body: JsonObject, options: ReadOptions, own: Collection[Path] = ()) -> str | None:
    """Cut out the prompt where the rule's JSONPaths find it; None where they do not, or find it in one of the wire
    format's `own` places, where the format itself looks.

    Whatever is not the prompt stays in `body`, and so becomes part of what must be equal.
    """
    path = find_prompt(body, options.prompt) if options.prompt else None
    return cut_text(_holder(body, path), path[-1]) if path and path not in own else None


def where_it_asks(messages: Sequence[JsonObject], instructs: Callable[[JsonObject], bool]) -> int:
    """The place of the last message, at least one being there, but for those behind it that instruct: agents say after
    a question how they want their edits. The very last where all do."""
    last = len(messages) - 1
    return next((at for at in range(last, -1, -1) if not instructs(messages[at])), last)


def cut_instructions(messages: list[JsonObject]) -> list[JsonObject]:
    """Take the system messages off that follow the last other one: an agent's, about its tools, and not the prompt."""
    behind = where_it_asks(messages, lambda message: message["role"] == "system") + 1
    instructions = messages[behind:]
    del messages[behind:]
    return instructions


def around_the_prompt(
    messages: list[JsonObject],
    instructions: list[JsonObject],
    field: str,
    reason: str,
    *,
    empty: Any = "",
    system_first: bool = False,
) -> dict[Part, Any]:
    """What must be equal of a conversation whose prompt is cut out: the history, and the last message's media.

    `messages`: at least one, their content under `field`; `instructions`: those that followed. The user's last message
    leaves the history where its content is `empty`, and nothing else is in it, or where `reason` says that it holds
    media; never before instructions. `system_first`: a system message that comes first is a part of its own.
    """
    last, history, parts = messages[-1], messages, dict[Part, Any]()
    if instructions:
        history = messages + instructions
    elif last["role"] == "user":
        if last[field] == empty and len(last) == 2:
            history = messages[:-1]
        elif reason == MEDIA:
            history, parts["media"] = messages[:-1], last
    if system_first and history and history[0]["role"] == "system":
        parts["system"], history = history[0], history[1:]
    if history:
        parts["history"] = history
    return parts


def turns_of(messages: Sequence[JsonObject], field: str = "content") -> list[Turn]:
    """The conversation for people."""
    return [Turn(message["role"], plain_text(message[field])) for message in messages]


def plain_text(content: Any) -> str:
    """The words in a message's content, for people; a block without words shows as its [type]."""
    if isinstance(content, str):
        return content
    words = []
    for block in content if isinstance(content, list) else (content,):
        if isinstance(block, dict):
            text = block.get("text")
            words.append(text if isinstance(text, str) else f"[{block.get('type') or next(iter(block), '')}]")
    return "\n".join(words)
