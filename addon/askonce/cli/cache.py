"""`cache …`: the remembered answers."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from askonce.cli.options import AsJson, Data, Listen, RulesFile
from askonce.settings import Settings

__all__ = ["app"]

app = typer.Typer(help="List, search and forget remembered answers.", no_args_is_help=True, rich_markup_mode=None)

Upstream = Annotated[str | None, typer.Option(help="Only those of this rule.")]
Model = Annotated[str | None, typer.Option(help="Only those of this model.")]
Namespace = Annotated[str | None, typer.Option(help="Only those in this namespace.")]
Prompt = Annotated[str | None, typer.Option(help="Only those whose prompt contains this.")]


@app.command("list")
def list_(
    upstream: Upstream = None,
    model: Model = None,
    namespace: Namespace = None,
    prompt: Prompt = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many to show.")] = 20,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    as_json: AsJson = False,
    listen: Listen = None,
    rules: RulesFile = None,
    data: Data = None,
) -> None:
    """Remembered answers, newest first."""
    from askonce.cli.client import management
    from askonce.cli.output import one_line, print_json, results, table

    which = {"upstream": upstream, "model": model, "namespace": namespace, "prompt": prompt}
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
def show(key: str, as_json: AsJson = False, listen: Listen = None, rules: RulesFile = None, data: Data = None) -> None:
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
    rules: RulesFile = None,
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
    rules: RulesFile = None,
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
def clear(
    upstream: Upstream = None,
    model: Model = None,
    namespace: Namespace = None,
    prompt: Prompt = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    as_json: AsJson = False,
    listen: Listen = None,
    rules: RulesFile = None,
    data: Data = None,
) -> None:
    """Forget all answers, or those that the options name."""
    from askonce.cli.client import management
    from askonce.cli.output import print_json

    which = {"upstream": upstream, "model": model, "namespace": namespace, "prompt": prompt}
    with management(Settings.from_env(listen=listen, rules=rules, data=data)) as ask:
        if not yes:
            count = ask("GET", "/v1/cache", {**which, "limit": 1})["count"]
            typer.confirm(f"forget {count} answers?", abort=True, err=True)
        cleared = ask("DELETE", "/v1/cache", which)
    if as_json:
        print_json(cleared)
    else:
        typer.echo(f"deleted {cleared['deleted_count']}")


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
