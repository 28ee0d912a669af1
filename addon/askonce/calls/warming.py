"""Answers that nobody asked for yet, put where calls like a stored one will find them.

One rule: a warmed answer takes everything but its prompt and its text from an entry of a real call, so that whatever
the app sends besides (model, system prompt, parameters, credential) is as it must be.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from askonce import jsontext
from askonce.cache import Cache, Entry, Record
from askonce.call import Answer, Call, Turn, Unstorable
from askonce.rules import Rules
from askonce.wire import WIRE_FORMATS
from askonce.wire.base import Replay

__all__ = ["LikeWarmer"]

_TEXTS: dict[str, tuple[tuple[str | int, ...], ...]] = {
    "openai-chat": (("choices", 0, "message", "content"),),
    "openai-completions": (("choices", 0, "text"),),
    "openai-responses": (("output", -1, "content", 0, "text"),),
    "anthropic-messages": (("content", -1, "text"),),
    "gemini": (("candidates", 0, "content", "parts", -1, "text"),),
    "cohere-chat": (("message", "content", -1, "text"),),
    "ollama": (("message", "content"), ("response",)),
}
"""Where the text is in an answer of each wire format, as JSON paths."""


class LikeWarmer:
    """Warms a cache under the rules of the moment."""

    def __init__(self, cache: Cache, rules: Callable[[], Rules], clock: Callable[[], float] = time.time) -> None:
        self._cache, self._rules, self._clock = cache, rules, clock

    async def __call__(self, like: str, pairs: Sequence[tuple[str, Any]]) -> list[tuple[str, str]]:
        """Keep answers to other prompts of the call that the entry `like` answers.

        `pairs`: a prompt, and its answer as text or as the provider's own final object. Returns for each pair the key
        under which it was kept, or why it was not. Raises LookupError where there is no such entry.
        """
        model = await self._cache.get(like)
        if model is None:
            raise LookupError("The entry to be like is not there")
        made = [self._make(model, prompt, answer) for prompt, answer in pairs]
        await self._cache.restore(one for one in made if isinstance(one, Record))
        return [(one.entry.key, "") if isinstance(one, Record) else ("", one) for one in made]

    def _make(self, model: Entry, prompt: str, answer: Any) -> Record | str:
        """The entry to keep, or why there is none."""
        call = Call(model.wire, prompt, {}, model=model.model)
        try:
            final = _with_text(model, call, answer, self._clock()) if isinstance(answer, str) else answer
            kept = WIRE_FORMATS[model.wire].assemble(jsontext.dumps(final), "application/json", call)
        except (Unstorable, TypeError) as error:
            return str(error)
        rule = next((rule for rule in self._rules() if rule.name == model.upstream), None)
        behaviour = rule.behaviour if rule else self._rules().config.defaults
        now = self._clock()
        entry = replace(
            model,
            key=self._cache.key(model.partition, prompt),
            prompt=prompt,
            turns=(*model.turns[:-1], Turn("user", prompt)),
            answer=Answer(kept.body, kept.content_type, kept.usage, model.answer.headers),
            created=now,
            expires=now + behaviour.ttl,
            stale_until=now + behaviour.ttl + behaviour.stale_while_revalidate,
            upstream_seconds=0.0,
            labels={},
        )
        return Record(entry, model.vector is not None)


def _with_text(model: Entry, call: Call, text: str, now: float) -> Any:
    """The model's answer with another text, and with no tokens: nobody was asked for it."""
    replay = Replay(now, lambda prefix: prefix + "warmed", zero_usage=True)
    final = jsontext.loads(WIRE_FORMATS[model.wire].replay(model.answer, call, replay).body)
    for path in _TEXTS.get(model.wire, ()):
        holder = final
        try:
            for step in path[:-1]:
                holder = holder[step]
            if isinstance(holder[path[-1]], str):
                holder[path[-1]] = text
                return final
        except (LookupError, TypeError):
            continue
    raise Unstorable("the entry's own answer has no text to stand for this one; give the provider's whole object")
