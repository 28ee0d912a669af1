"""What a conformance app is: a program that asks a provider with an official SDK whenever a line on its input says so.

One rule: an app knows nothing of Askonce. A line is {"sdk", "key", "question", "model", "stream", "tools"}; the line
that answers it is {"text", "calls", "whole", "events"} (see Answer), or {"error": {"type", "status"}}.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["WEATHER", "Answer", "Ask", "serve"]

WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@dataclass(frozen=True)
class Ask:
    sdk: str
    key: str
    question: str
    model: str
    stream: bool
    tools: bool


@dataclass
class Answer:
    text: str
    whole: Any
    """Everything that the SDK has parsed; for a stream, added up."""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    """Name and arguments of each tool call."""
    events: list[str] = field(default_factory=list)
    """The kinds of events of a stream, in the order of their first."""

    def line(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "calls": self.calls,
            "whole": self.whole,
            "events": list(dict.fromkeys(self.events)),
        }


def serve(sdks: dict[str, Callable[[Ask], Answer]]) -> None:
    """Answer the lines on stdin until it ends."""
    channel, sys.stdout = sys.stdout, sys.stderr  # what an SDK prints is no answer
    for line in sys.stdin:
        ask = Ask(**json.loads(line))
        try:
            said = sdks[ask.sdk](ask).line()
        except Exception as error:
            status = next((error.__dict__[name] for name in ("status_code", "code") if name in error.__dict__), 0)
            if not status:
                traceback.print_exc()
            said = {"error": {"type": type(error).__name__, "status": status, "message": str(error)[:500]}}
        channel.write(json.dumps(said) + "\n")
        channel.flush()
