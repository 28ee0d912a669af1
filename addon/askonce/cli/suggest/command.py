"""`rules suggest`: a command, run twice behind proxies of its own, and what to add to rules.yaml.

One rule: nothing is changed. What is printed is YAML, and all besides the lines are comments in it.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from askonce.cli.options import COMMAND, AsJson, Certs, Data, Listen, RulesOption
from askonce.settings import Settings

if TYPE_CHECKING:
    from askonce.cli.client import AskProxy
    from askonce.cli.suggest.suggestion import Content, Recorded, Suggestion
    from askonce.rules import Document

__all__ = ["suggest"]

_WAITING = 30.0
"""Seconds for answers to be kept after the command has ended."""
_SHOWN = 60
"""Characters of a value."""
_WHY = {
    "content": "content, which is never proposed",
    "prompt": "the prompt, which may be worded differently and is never ignored",
    "answer": "an answer of before, the same once that call is a hit",
}


class SuggestError(Exception):
    """There are no two calls to compare; the message says why."""


def suggest(
    command: Annotated[list[str] | None, typer.Argument(metavar="COMMAND", show_default=False, help=COMMAND)] = None,
    last: Annotated[bool, typer.Option("--last", help="Take the last two recorded calls, and run nothing.")] = False,
    rule: Annotated[str | None, typer.Option(help="Only the calls of this rule.")] = None,
    as_json: AsJson = False,
    listen: Listen = None,
    rules: RulesOption = None,
    data: Data = None,
    certs: Certs = None,
) -> None:
    """Find what to add to a rule so that an app's calls hit. Runs a command twice; nothing is changed.

    Each run has a proxy and an empty cache of its own, so the provider is asked twice.
    """
    from askonce.cli.output import print_json
    from askonce.cli.suggest.suggestion import pair
    from askonce.cli.suggest.suggestion import suggest as suggest_lines
    from askonce.products.document import Config

    if bool(command) is last:
        raise typer.BadParameter("expected a command after --, or --last")
    settings = Settings.from_env(listen=listen, rules=rules, data=data, certs=certs)
    config = Config.load(settings.rules)
    first, second = _last_two(settings, rule) if last else _two_runs(settings, command or [], rule)
    pairs, alone = pair(first, second)
    if not pairs:
        raise SuggestError("no call of the first run has its like in the second")
    found = suggest_lines(config, pairs)
    if as_json:
        print_json({"rules": [_as_json(config, one) for one in found], "unpaired": alone})
        return
    for one in found:
        typer.echo("\n".join(_yaml(config, one)))
    if alone:
        typer.echo(f"# {alone} calls have no like in the other run")


def _two_runs(settings: Settings, command: list[str], rule: str | None) -> tuple[list["Recorded"], list["Recorded"]]:
    from askonce.exec import child

    child.find_command(command[0], os.environ)
    return _run(settings, command, rule, "first"), _run(settings, command, rule, "second")


def _run(settings: Settings, command: list[str], rule: str | None, which: str) -> list["Recorded"]:
    """The calls of one run whose answers were kept, in the order of these."""
    from askonce.cli.client import running_proxy, wait_until_idle
    from askonce.cli.exec import variables_for
    from askonce.cli.output import notes
    from askonce.exec import child, proxy_process

    console = notes()
    with tempfile.TemporaryDirectory(prefix="askonce-") as folder:
        own = replace(settings, listen_port=0, data=Path(folder), mode="normal", cassette=None)
        with proxy_process.borrowed(own) as proxy:
            console.print(f"askonce: the {which} run", soft_wrap=True, markup=False)
            # Our own output is the lines, which may go to a file.
            code = child.run(command, {**os.environ, **variables_for(proxy)}, stdout=sys.stderr.fileno())
            if code:
                console.print(f"askonce: the command ended with {code}", soft_wrap=True, markup=False)
            ask = running_proxy(proxy)
            stats = wait_until_idle(ask, _WAITING)
            found = _recorded(ask, {"upstream": rule, "limit": 1000})
    if lost := stats["calls"] - stats["stored"]:
        console.print(f"askonce: {lost} calls had no answer to keep", soft_wrap=True, markup=False)
    if not found:
        raise SuggestError(f"nothing to compare: no answer was kept in the {which} run; `askonce doctor` says why")
    return found


def _last_two(settings: Settings, rule: str | None) -> tuple[list["Recorded"], list["Recorded"]]:
    from askonce.cli.client import management

    with management(settings) as ask:
        if rule is None:
            entries = ask("GET", "/v1/cache", {"limit": 1})["entries"]
            rule = entries[0]["upstream"] if entries else None
        found = _recorded(ask, {"upstream": rule, "limit": 2})
    if len(found) < 2:
        whose = f" of the rule {rule}" if rule else ""
        raise SuggestError(f"expected two recorded calls{whose} with their requests; there are {len(found)}")
    return found[:1], found[1:]


def _recorded(ask: "AskProxy", which: dict[str, Any]) -> list["Recorded"]:
    """The calls of the entries whose requests were kept, the oldest first."""
    from askonce.calls.kept_request import KeptRequest
    from askonce.cli.suggest.suggestion import Recorded

    keys = [entry["key"] for entry in ask("GET", "/v1/cache", which)["entries"]]
    entries = [ask("GET", f"/v1/cache/{key}", {}) for key in reversed(keys)]
    return [
        Recorded(
            entry["upstream"],
            entry["host"],
            KeptRequest(**entry["request"]),
            json.dumps(entry["answer"]["body"], ensure_ascii=False),
        )
        for entry in entries
        if entry["request"]
    ]


def _yaml(config: "Document", found: "Suggestion") -> Iterator[str]:
    """What to add to a rule, as it is written there; and in comments what that does."""
    from askonce.cli.suggest.lines import Ignore, Normalise

    yield f"# {found.rule}: {_summary(found)}"
    ignore = [line for line in found.lines if isinstance(line, Ignore)]
    normalise = [line for line in found.lines if isinstance(line, Normalise)]
    if ignore or normalise or found.headers:
        yield f"# to the rule {found.rule}, besides what it has:"
    if ignore:
        yield "    ignore:"
    for line in ignore:
        yield f"      - {_quoted(line.path)}  # {_overlooks(found, line)}"
    if normalise:
        yield "    normalise:"
    for text in normalise:
        yield f"      - path: {_quoted(text.path)}  # {_overlooks(found, text)}"
        yield f"        pattern: {_quoted(text.pattern)}"
        yield f"        to: {_quoted(text.to)}"
    if found.headers:
        yield f"    ignore_headers: [{', '.join(_ignored_headers(config, found))}]"
    for content in found.content:
        yield from _comment(content)


def _summary(found: "Suggestion") -> str:
    """`of 3 calls, 1 hits as it is, 2 with these lines`."""
    counts = [f"{len(found.same)} as they are"]
    if found.lines or found.headers:
        counts.append(f"{len(found.hits)} with these lines")
    if found.after:
        counts.append(f"{len(found.after)} once the calls before them are hits")
    return f"of {len(found.pairs)} calls of the second run, these would hit: {', '.join(counts)}"


def _overlooks(found: "Suggestion", line: Any) -> str:
    """`id, in 4 places: "a1", "b2"`."""
    from askonce.cli.suggest.suggestion import overlooked

    what = overlooked(line, found.pairs)
    examples = ", ".join(_quoted(_short(text)) for text in what.examples[:2])
    more = ", …" if len(what.examples) > 2 else ""
    return f"{line.kind}, in {what.places} places: {examples}{more}"


def _comment(content: "Content") -> Iterator[str]:
    yield f"# call {content.call} differs at {_quoted(content.path)[1:-1]}: {_WHY[content.why]}"
    if content.why != "answer" and (content.one or content.other):
        from askonce.jsontext.differences import excerpts

        one, other = excerpts(content.one, content.other, _SHOWN)
        yield f"#   - {_quoted(one)}"
        yield f"#   + {_quoted(other)}"


def _as_json(config: "Document", found: "Suggestion") -> dict[str, Any]:
    from askonce.cli.suggest.lines import Ignore, Normalise
    from askonce.cli.suggest.suggestion import overlooked

    overlooks = [(line, overlooked(line, found.pairs)) for line in found.lines]
    return {
        "rule": found.rule,
        "calls": len(found.pairs),
        "hits": {"same": found.same, "with_lines": found.hits, "after_those": found.after},
        "ignore": [line.path for line in found.lines if isinstance(line, Ignore)],
        "normalise": [
            {"path": line.path, "pattern": line.pattern, "to": line.to}
            for line in found.lines
            if isinstance(line, Normalise)
        ],
        "ignore_headers": _ignored_headers(config, found) if found.headers else [],
        "overlooks": [
            {"path": line.path, "kind": line.kind, "places": what.places, "examples": what.examples[:5]}
            for line, what in overlooks
        ],
        "content": [
            {"call": one.call, "path": one.path, "one": one.one, "other": one.other, "why": one.why}
            for one in found.content
        ],
    }


def _ignored_headers(config: "Document", found: "Suggestion") -> Sequence[str]:
    """A rule's own list takes the place of that in `defaults`."""
    spec = next(spec for spec in config.upstreams if spec.name == found.rule)
    return [*spec.behaviour(config.defaults).ignore_headers, *found.headers]


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _quoted(text: str) -> str:
    """As YAML has it between double quotes, where JSON is YAML; nothing in it reaches a terminal."""
    from askonce.cli.output import printable

    written = json.dumps(text, ensure_ascii=False)
    return written if printable(written) == written else json.dumps(text)
