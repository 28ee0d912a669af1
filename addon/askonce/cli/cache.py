"""`cache …`: the remembered answers."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO
from urllib.parse import quote

import typer

from askonce.cli.options import AsJson, Data, Listen, RulesOption
from askonce.settings import Settings

__all__ = ["app"]

app = typer.Typer(help="List, search, move and forget remembered answers.", no_args_is_help=True, rich_markup_mode=None)

Upstream = Annotated[str | None, typer.Option(help="Only those of this rule.")]
Model = Annotated[str | None, typer.Option(help="Only those of this model.")]
Namespace = Annotated[str | None, typer.Option(help="Only those in this namespace.")]
PromptOption = Annotated[str | None, typer.Option(help="Only those whose prompt contains this.")]
Depends = Annotated[str | None, typer.Option(metavar="TAG", help="Only those that depend on this: doc:17, doc:17@v3.")]


@app.command("list")
def list_(
    upstream: Upstream = None,
    model: Model = None,
    namespace: Namespace = None,
    prompt: PromptOption = None,
    depends: Depends = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many to show.")] = 20,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    as_json: AsJson = False,
    listen: Listen = None,
    rules: RulesOption = None,
    data: Data = None,
) -> None:
    """Remembered answers, newest first."""
    from askonce.cli.client import management
    from askonce.cli.output import one_line, print_json, results, table

    which = {"upstream": upstream, "model": model, "namespace": namespace, "prompt": prompt, "depends": depends}
    with management(Settings.from_env(listen=listen, rules=rules, data=data)) as ask:
        found = ask("GET", "/v1/cache", {**which, "limit": limit, "offset": offset})
    if as_json:
        print_json(found)
        return
    rows = [
        (entry["key"], _minute(entry["created"]), entry["model"], entry["hits"], one_line(entry["prompt"]))
        for entry in found["entries"]
    ]
    console = results()
    console.print(table(("key", "asked", "model", ">hits", "prompt"), rows))
    console.print(f"\n{len(rows)} of {found['count']}", style="dim")


@app.command()
def show(
    key: str, as_json: AsJson = False, listen: Listen = None, rules: RulesOption = None, data: Data = None
) -> None:
    """One remembered answer, whole."""
    from askonce.cli.client import management
    from askonce.cli.output import print_json, printable, results

    with management(Settings.from_env(listen=listen, rules=rules, data=data)) as ask:
        entry = ask("GET", _path(key), {})
    if as_json:
        print_json(entry)
        return
    console = results()
    for name in ("key", "upstream", "host", "model", "namespace", "created", "expires", "hits", "last_used"):
        console.print(f"{name:>10}  {printable(str(entry[name]))}", markup=False, soft_wrap=True)
    for turn in entry["turns"]:
        console.print(f"\n{printable(turn['role'])}", style="bold", markup=False)
        console.print(printable(turn["text"]), markup=False, soft_wrap=True)
    console.print(f"\nanswer ({printable(entry['answer']['content_type'])})", style="bold", markup=False)
    console.print(_readable(entry["answer"]), markup=False, soft_wrap=True)


@app.command()
def search(
    text: str,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many to show.")] = 10,
    as_json: AsJson = False,
    listen: Listen = None,
    rules: RulesOption = None,
    data: Data = None,
) -> None:
    """Remembered answers to prompts near a text."""
    from askonce.cli.client import management
    from askonce.cli.output import one_line, print_json, results, table

    with management(Settings.from_env(listen=listen, rules=rules, data=data)) as ask:
        found = ask("GET", "/v1/cache/search", {"q": text, "limit": limit})
    if as_json:
        print_json(found)
        return
    rows = [
        (f"{result['similarity']:.3f}", entry["key"], entry["model"], one_line(entry["prompt"]))
        for result in found["results"]
        for entry in [result["entry"]]
    ]
    results().print(table((">similarity", "key", "model", "prompt"), rows))


@app.command()
def delete(
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", show_default=False)],
    as_json: AsJson = False,
    listen: Listen = None,
    rules: RulesOption = None,
    data: Data = None,
) -> None:
    """Forget answers."""
    from askonce.cli.client import management
    from askonce.cli.output import print_json

    with management(Settings.from_env(listen=listen, rules=rules, data=data)) as ask:
        deleted = [ask("DELETE", _path(key), {})["key"] for key in keys]
    if as_json:
        print_json({"deleted": deleted})
    else:
        typer.echo(f"deleted {len(deleted)}")


@app.command()
def wrong(
    key: str,
    prompt: Annotated[
        str | None, typer.Option(help="What was asked; else the latest hit on this answer is meant.")
    ] = None,
    as_json: AsJson = False,
    listen: Listen = None,
    rules: RulesOption = None,
    data: Data = None,
) -> None:
    """Say that an answer was wrong for another wording than its own. It is never served to that again."""
    from askonce.cli.client import management
    from askonce.cli.output import print_json

    said = {"key": key, "prompt": prompt, "right": False}
    body = json.dumps({name: value for name, value in said.items() if value is not None}).encode()
    with management(Settings.from_env(listen=listen, rules=rules, data=data)) as ask:
        noted = ask("POST", "/v1/feedback", {}, body)
    if as_json:
        print_json(noted)
    else:
        typer.echo("never served to that again" + ("; learned" if noted["learned"] else ""))


@app.command()
def clear(
    upstream: Upstream = None,
    model: Model = None,
    namespace: Namespace = None,
    prompt: PromptOption = None,
    depends: Depends = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    as_json: AsJson = False,
    listen: Listen = None,
    rules: RulesOption = None,
    data: Data = None,
) -> None:
    """Forget all answers, or those that the options name."""
    from askonce.cli.client import management
    from askonce.cli.output import print_json

    which = {"upstream": upstream, "model": model, "namespace": namespace, "prompt": prompt, "depends": depends}
    with management(Settings.from_env(listen=listen, rules=rules, data=data)) as ask:
        if not yes:
            count = ask("GET", "/v1/cache", {**which, "limit": 1})["count"]
            typer.confirm(f"forget {count} answers?", abort=True, err=True)
        cleared = ask("DELETE", "/v1/cache", which)
    if as_json:
        print_json(cleared)
    else:
        typer.echo(f"deleted {cleared['deleted_count']}")


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(show_default=False)] = None,
    listen: Listen = None,
    rules: RulesOption = None,
    data: Data = None,
) -> None:
    """Write every remembered answer to a file, or print them. One JSON object a line."""
    from askonce.cli.client import management
    from askonce.cli.output import notes
    from askonce.cli.transfer import pages

    count = 0
    with management(Settings.from_env(listen=listen, rules=rules, data=data)) as ask, _written(file) as out:
        for page in pages(ask):
            out.write(page)
            count += page.count(b"\n")
    if file:
        notes().print(f"{count - 1} answers in {file}", soft_wrap=True, markup=False)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, show_default=False)],
    as_json: AsJson = False,
    listen: Listen = None,
    rules: RulesOption = None,
    data: Data = None,
) -> None:
    """Take in the answers of an export of the same cache. Those that are over, or older than what is here, are not."""
    from askonce.cli.client import management
    from askonce.cli.output import print_json
    from askonce.cli.transfer import batches

    done = {"imported": 0, "skipped": 0}
    with management(Settings.from_env(listen=listen, rules=rules, data=data)) as ask, file.open("rb") as lines:
        for batch in batches(lines):
            for name, number in ask("POST", "/v1/cache/import", {}, batch).items():
                done[name] += number
    if as_json:
        print_json(done)
    else:
        typer.echo(f"imported {done['imported']}, skipped {done['skipped']}")


@app.command()
def warm(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, show_default=False)],
    like: Annotated[
        str, typer.Option(metavar="KEY", help="An entry of a call of the app; the answers serve calls like it.")
    ],
    as_json: AsJson = False,
    listen: Listen = None,
    rules: RulesOption = None,
    data: Data = None,
) -> None:
    """Keep answers before anybody asked. JSON lines of "prompt" and "response", a text or the provider's object."""
    from askonce import jsontext
    from askonce.cli.client import management
    from askonce.cli.output import notes, print_json, printable
    from askonce.cli.transfer import pairs

    warmed, errors = 0, list[dict[str, Any]]()
    with management(Settings.from_env(listen=listen, rules=rules, data=data)) as ask, file.open("rb") as lines:
        for batch in pairs(lines, str(file)):
            body = {"like": like, "entries": [pair for _, pair in batch]}
            done = ask("POST", "/v1/warm", {}, jsontext.dumps(body))
            warmed += done["warmed"]
            outcomes = zip(batch, done["entries"], strict=True)
            errors += [{"line": number, "error": one["error"]} for (number, _), one in outcomes if one["error"]]
    if as_json:
        print_json({"warmed": warmed, "errors": errors})
    else:
        for one in errors:
            notes().print(printable(f"{file}:{one['line']}: {one['error']}"), markup=False, soft_wrap=True)
        typer.echo(f"warmed {warmed}, failed {len(errors)}")
    if errors:
        raise typer.Exit(1)


@app.command()
def why(
    key: Annotated[
        str | None,
        typer.Argument(help="The key of a call or an entry, or its beginning; the last call by default."),
    ] = None,
    other: Annotated[str | None, typer.Argument(help="An entry to compare with; the nearest by default.")] = None,
    last: Annotated[int | None, typer.Option(min=1, max=50, help="The last call but N-1.")] = None,
    prompt: Annotated[str | None, typer.Option(help="The call of the entry with this prompt, or the nearest.")] = None,
    as_json: AsJson = False,
    listen: Listen = None,
    rules: RulesOption = None,
    data: Data = None,
) -> None:
    """Why a call was not answered, and what differs from the nearest."""
    from askonce.cli.client import management
    from askonce.cli.output import print_json, printable, results

    which = {"key": key, "other": other, "last": last, "prompt": prompt}
    with management(Settings.from_env(listen=listen, rules=rules, data=data)) as ask:
        found = ask("GET", "/v1/why", which)
    if as_json:
        print_json(found)
        return
    console = results()
    call, nearest = found["call"], found["nearest"]
    lines = [("why", found["why"])]
    if call:
        lines += [
            ("call", f"{call['key'] or '-'}  {call['time']}  {call['upstream']} {call['model']} {call['status']}")
        ]
        if call["unkept"]:
            lines.append(("not kept", call["unkept"]))
    if found["prompt"] is not None:
        lines.append(("prompt", found["prompt"]))
    if nearest:
        lines += [("nearest", f"{nearest['key']}  {nearest['upstream']} {nearest['model']}"), ("", nearest["prompt"])]
    for difference in found["differs"]:
        at = f" at {difference['path']}" if difference["path"] else ""
        lines.append(("differs", f"{difference['part'] or 'something'}{at}"))
        if difference["stored"] or difference["asked"]:
            lines += [("", f"- {difference['stored']}"), ("", f"+ {difference['asked']}")]
    for name, text in lines:
        console.print(f"{name:>9}  {printable(text)}", markup=False, soft_wrap=True)


@contextmanager
def _written(file: Path | None) -> Iterator[BinaryIO]:
    """A file that takes the place of `file` when all of it is written; stdout for None."""
    if file is None:
        yield sys.stdout.buffer
        return
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as out:
            yield out
        fresh.replace(file)
    except OSError as error:
        error.filename = str(file)
        raise
    finally:
        fresh.unlink(missing_ok=True)


def _path(key: str) -> str:
    return f"/v1/cache/{quote(key, safe='')}"


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _readable(answer: dict[str, Any]) -> str:
    from askonce.cli.output import printable

    match answer["encoding"]:
        case "json":
            return printable(json.dumps(answer["body"], indent=2, ensure_ascii=False))
        case "text":
            return printable(answer["body"])
        case _:
            return f"{len(answer['body']) * 3 // 4} bytes"
