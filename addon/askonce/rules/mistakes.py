"""What is wrong with a rules file, as it is told: its line, its place, what was expected, and what may have been meant.

One rule: every mistake is told at once, in the order in which a person reads the file.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from askonce.rules.sections import Section

__all__ = ["mistakes", "repeated_keys"]


def repeated_keys(node: yaml.Node, seen: tuple[int, ...] = ()) -> Iterator[tuple[int, str]]:
    """The lines of keys that stand twice, and what is wrong: PyYAML keeps the last of two without a word."""
    if id(node) in seen:
        return
    if isinstance(node, yaml.MappingNode):
        keys = set[str]()
        for key, value in node.value:
            if key.value in keys:
                yield key.start_mark.line + 1, f"{key.value}: written twice in the same mapping"
            keys.add(key.value if isinstance(key.value, str) else repr(key.value))
            yield from repeated_keys(value, (*seen, id(node)))
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from repeated_keys(item, (*seen, id(node)))


def mistakes(error: ValidationError, root: yaml.Node, name: str, model: type[Section]) -> Iterator[str]:
    """A line for each mistake that a model found in a file, in the order of the file's lines."""
    found = sorted(error.errors(include_url=False), key=lambda mistake: _locate(root, mistake["loc"])[0])
    for mistake in found:
        if any(other["loc"][: len(mistake["loc"])] == mistake["loc"] != other["loc"] for other in found):
            continue  # a list whose items are wrong is reported as too short besides
        line, place = _locate(root, mistake["loc"])
        message = mistake["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        if mistake["type"] == "extra_forbidden":
            message = f"unknown setting{_meant(model, mistake['loc'])}"
        elif mistake["type"] == "too_short":
            message = "expected at least one"
        elif mistake["type"] not in ("missing", "value_error"):
            message += f"; got {mistake['input']!r}"
        yield f"{name}:{line}: {place + ': ' if place else ''}{message}"


def _meant(model: type[Section], loc: tuple[int | str, ...]) -> str:
    """The setting that is written almost like the one at `loc`, in words; empty where none is."""
    *way, last = loc
    for step in way:
        if isinstance(step, str):
            field = model.model_fields.get(step)
            sections = _sections_in(field.annotation) if field else []
            if not sections:
                return ""
            model = sections[0]
    near = get_close_matches(str(last), model.model_fields, 1)
    return f"; did you mean {near[0]}?" if near else ""


def _sections_in(annotation: Any) -> list[type[Section]]:
    """The sections that a setting may be."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections_in(part)]


def _locate(root: yaml.Node, loc: tuple[int | str, ...]) -> tuple[int, str]:
    """The line of the node that `loc` leads to (or of its nearest parent), and the place as a person writes it."""
    node, line, place = root, root.start_mark.line + 1, ""
    for step in loc:
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else str(step)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == step:
                    node, line = value, key.start_mark.line + 1
                    break
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line, place
