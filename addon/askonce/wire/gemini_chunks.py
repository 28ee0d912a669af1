"""The chunks in which Gemini streams an answer: chunks to the whole object, and the object to its chunks.

One rule: `merge` gives back the object that `chunks` was given. Source: the provider's API reference, its SDKs, and
recorded streams.
"""

from collections.abc import Iterable, Iterator
from itertools import zip_longest

from askonce.wire.common import Growing, JsonObject, count_of
from askonce.wire.keeping import refuse_error
from askonce.wire.tokens import pieces

__all__ = ["chunks", "merge"]


def merge(chunks: Iterable[JsonObject]) -> JsonObject:
    """The object that the chunks of a stream add up to. Raises `Unstorable`, and whatever malformed chunks make it."""
    rest: JsonObject = {}
    candidates: dict[int, JsonObject] = {}
    texts = Growing()
    for chunk in chunks:
        refuse_error(chunk)
        for part in chunk.get("candidates") or ():
            _merge_candidate(candidates.setdefault(part.get("index", 0), {}), part, texts)
        # Each chunk repeats what holds for the whole answer; the counts are totals so far.
        rest.update((name, value) for name, value in chunk.items() if name != "candidates")
    texts.join()
    return ({"candidates": [candidates[index] for index in sorted(candidates)]} if candidates else {}) | rest


def _merge_candidate(whole: JsonObject, part: JsonObject, texts: Growing) -> None:
    for name, value in part.items():
        if name == "content" and value is not None:
            content = whole.setdefault("content", {})
            content.update((key, item) for key, item in value.items() if key != "parts")
            _merge_parts(content.setdefault("parts", []), value.get("parts") or [], texts)
        elif name in ("citationMetadata", "logprobsResult", "groundingMetadata", "urlContextMetadata"):
            _merge_lists(whole.setdefault(name, {}), value)
        else:
            whole[name] = value


def _merge_parts(parts: list[JsonObject], more: list[JsonObject], texts: Growing) -> None:
    for position, part in enumerate(more):
        # Parts of one chunk are parts of the answer; only the first may go on with what came before.
        if position == 0 and parts and _goes_on(parts[-1], part):
            texts.add(parts[-1], "text", part["text"])
            if "thoughtSignature" in part:
                parts[-1]["thoughtSignature"] = part["thoughtSignature"]
        elif position == 0 and parts and part == {"text": ""}:
            continue  # brings a finishReason; the JSON form has no such part
        else:
            parts.append(part)


def _goes_on(before: JsonObject, part: JsonObject) -> bool:
    """Whether `part`, first in its chunk, is more of the text `before`; a signature ends the text that it signs."""
    return (
        "text" in before
        and "text" in part
        and before.keys() <= {"text", "thought"}
        and part.keys() <= {"text", "thought", "thoughtSignature"}
        and bool(before.get("thought")) == bool(part.get("thought"))
    )


def _merge_lists(whole: JsonObject, more: JsonObject) -> None:
    for name, value in more.items():
        known = whole.get(name)
        if isinstance(known, list) and isinstance(value, list):
            # A chunk either goes on or repeats what was said so far.
            whole[name] = value if value[: len(known)] == known else known + value
        else:
            whole[name] = value


def chunks(final: JsonObject) -> Iterator[JsonObject]:
    """The answer as a stream's chunks: a piece of each candidate at a time, the rest of a candidate with its last."""
    columns = zip_longest(*[_pieces(candidate) for candidate in final["candidates"]])
    rows = [[piece for piece in row if piece is not None] for row in columns]
    repeated = {name: final[name] for name in ("modelVersion", "createTime", "responseId") if name in final}
    usage = final.get("usageMetadata")
    so_far: JsonObject = {}
    if isinstance(usage, dict):
        so_far = {name: value for name, value in usage.items() if not name.startswith("candidates")}
        if "totalTokenCount" in usage:
            so_far["totalTokenCount"] = count_of(usage, "totalTokenCount") - count_of(usage, "candidatesTokenCount")
    for row in rows[:-1]:
        yield {"candidates": row} | ({"usageMetadata": so_far} if so_far else {}) | repeated
    yield {"candidates": rows[-1]} | {name: value for name, value in final.items() if name != "candidates"}


def _pieces(candidate: JsonObject) -> list[JsonObject]:
    content = candidate["content"]
    groups: list[list[JsonObject]] = []
    before: JsonObject = {}
    for part in content["parts"]:
        cut = _cut(part)
        if groups and (_goes_on(before, part) or cut[0] == {"text": ""}):
            # In a chunk of its own it would be joined to the text before it, or passed over.
            groups[-1].append(cut.pop(0))
        groups += [[piece] for piece in cut]
        before = part
    frame = {name: value for name, value in content.items() if name != "parts"}
    index = {"index": candidate["index"]} if "index" in candidate else {}
    whole = [{"content": {"parts": group, **frame}, **index} for group in groups]
    return [*whole[:-1], {**candidate, "content": whole[-1]["content"]}]


def _cut(part: JsonObject) -> list[JsonObject]:
    if "text" not in part or not part.keys() <= {"text", "thought", "thoughtSignature"}:
        return [part]
    texts = pieces(part["text"]) or [""]
    thought = {"thought": part["thought"]} if "thought" in part else {}
    return [*({"text": text, **thought} for text in texts[:-1]), {**part, "text": texts[-1]}]
