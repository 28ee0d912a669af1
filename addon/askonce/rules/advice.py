"""What rules.yaml comes to: which rule takes a URL, which is never reached, which variable is not set."""

import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from askonce.rules.document import ConfigError, Document, variable_in
from askonce.rules.patterns import parse_host
from askonce.rules.rules import Rule, Rules
from askonce.settings import DEFAULT_PORTS

__all__ = ["describe", "explain", "review", "warnings"]

_ANY = "anything-here"
"""Stands for what a pattern leaves open: an earlier rule that takes it takes all the rest."""


def describe(config: Document) -> list[dict[str, Any]]:
    """What each rule says, the defaults filled in, as JSON values: which calls it takes, and how it answers them."""
    told = [(spec, spec.behaviour(config.defaults)) for spec in config.upstreams]
    return [
        {
            **spec.model_dump(include={"name", "hosts", "paths", "wire", "when"}),
            **behaviour.model_dump(include={"match", "scope", "ttl", "max_error"}),
        }
        for spec, behaviour in told
    ]


def review(path: Path, load: Callable[[Path], Document]) -> tuple[list[str], list[str]]:
    """The mistakes in a file, each with its line; of one without any, what it probably does not mean."""
    try:
        config = load(path)
        return [], warnings(config, path.read_text("utf-8"))
    except (ConfigError, OSError) as error:
        return str(error).splitlines(), []


def warnings(config: Document, text: str) -> list[str]:
    """What a file without mistakes probably does not mean. `text` is what `config` was read from."""
    unreached = [f"{name} is never reached: {by} takes all of its calls" for name, by in never_reached(config)]
    return unreached + [f"line {line}: {name} is not set" for line, name in unset_variables(text)]


def never_reached(config: Document) -> Iterator[tuple[str, str]]:
    """The names of rules whose every call an earlier rule takes, and of the rule that takes the first of them."""
    rules = Rules(config)
    for spec, rule in zip(config.upstreams, rules, strict=True):
        takers = [_takers(rules, host, path) for host, path in itertools.product(spec.hosts, spec.paths)]
        if not any(rule in them for them in takers):
            yield rule.name, takers[0][-1].name


def _takers(rules: Rules, host: str, path: str) -> list[Rule]:
    """Who may take what a host and a path, as the file writes them, may be."""
    place = parse_host(host)
    name = place.name.replace("*", _ANY, 1)
    return list(rules.takers(place.scheme, name, place.port, re.sub(r"\*+", _ANY, path)))


def unset_variables(text: str, environ: Mapping[str, str] = os.environ) -> list[tuple[int, str]]:
    """The line and name of each `${NAME}` that stands for nothing. `text` is that of a rules file without mistakes."""
    nodes, unset = [yaml.compose(text, Loader=yaml.SafeLoader)], list[tuple[int, str]]()
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.ScalarNode):
            name = variable_in(node.value)
            if name and not environ.get(name):
                unset.append((node.start_mark.line + 1, name))
        elif isinstance(node, yaml.CollectionNode):
            nodes += itertools.chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value
    return sorted(unset)


def explain(config: Document, url: str, headers: Mapping[str, str]) -> tuple[bool, list[str]]:
    """Whether a rule takes a URL; in words which one, how it answers, and why others do not. Raises `ValueError`."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError(f"expected a URL such as https://api.openai.com/v1/chat/completions; got {url!r}")
    rules, host, port = Rules(config), parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme]
    sent = {name.lower().encode(): value.encode() for name, value in headers.items()}
    found = rules.find(parts.scheme, host, port, parts.path, sent)
    passed_by = [rule for rule in rules.takers(parts.scheme, host, port, parts.path) if not rule.is_for(sent)]
    said = [f"{rule.name} asks for headers that were not given: {_conditions(config, rule)}" for rule in passed_by]
    if found:
        return True, [*said, f"{found.name} takes it", *_how(found)]
    at_host = [rule.name for rule in rules if any(h.port == port and h.matches(host) for h in rule.hosts)]
    if at_host:
        why = f"no rule takes it: {', '.join(at_host)} name the host, and other paths; the call passes by, uncached"
    else:
        why = f"no rule names {host}:{port}: the call passes through a blind tunnel, unread and uncached"
    return False, [*said, why]


def _conditions(config: Document, rule: Rule) -> str:
    spec = next(spec for spec in config.upstreams if spec.name == rule.name)
    return ", ".join(f"{name}: {value}" for name, value in spec.when.items())


def _how(rule: Rule) -> Iterator[str]:
    told = rule.behaviour
    semantic = f", at most {told.max_error:.2%} of the semantic hits wrong" if told.match == "semantic" else ""
    yield f"  read as {rule.wire.name}, match: {told.match}{semantic}"
    yield f"  answers are kept for {told.ttl:g} seconds, and shared by scope: {told.scope}"
    if told.approve:
        yield "  an answer is served once a person has approved it, and not before"
    if rule.target:
        yield f"  misses go to {rule.target.scheme}://{rule.target.host}:{rule.target.port}"
