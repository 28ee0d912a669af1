"""`rules …`: what rules.yaml says, and what it could say."""

from pathlib import Path
from typing import Annotated

import typer

from askonce.cli.suggest.command import suggest
from askonce.settings import Settings

__all__ = ["app"]

app = typer.Typer(help="Look at rules.yaml.", no_args_is_help=True, rich_markup_mode=None)
# What follows the command's name is the command's own, also where it looks like an option of ours.
app.command(context_settings={"allow_interspersed_args": False})(suggest)


@app.command()
def check(file: Annotated[Path | None, typer.Argument(show_default=False)] = None) -> None:
    """Read a rules file and show what it asks for. By default ./rules.yaml, or the rules that ship."""
    from rich.text import Text

    from askonce.cli.output import results, table
    from askonce.products.document import Config
    from askonce.rules import warnings

    path = Settings.from_env(rules=file).rules
    config = Config.load(path)
    rows = [
        (
            rule.name,
            Text("\n".join(rule.hosts)),
            Text("\n".join(rule.paths)),
            rule.wire,
            rule.behaviour(config.defaults).match,
        )
        for rule in config.upstreams
    ]
    console = results()
    console.print(table(("rule", "hosts", "paths", "wire", "match"), rows))
    console.print()
    for warning in warnings(config, path.read_text("utf-8")):
        console.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    console.print(f"{path}: {len(rows)} rules, no mistakes", style="dim", markup=False, soft_wrap=True)


@app.command()
def explain(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Of a provider, such as https://api.openai.com/v1/chat/completions.")
    ],
    header: Annotated[list[str] | None, typer.Option(help="NAME: VALUE, where a rule's `when` asks for it.")] = None,
    rules: Annotated[Path | None, typer.Option(show_default=False, help="The rules file.")] = None,
) -> None:
    """Say which rule takes a URL, and how it answers. Ends with 1 where none does."""
    from askonce import rules as advice
    from askonce.cli.output import results
    from askonce.products.document import Config

    config = Config.load(Settings.from_env(rules=rules).rules)
    try:
        is_taken, lines = advice.explain(config, url, dict(map(_header, header or ())))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="URL") from error
    console = results()
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if not is_taken:
        raise typer.Exit(1)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise typer.BadParameter(f"expected NAME: VALUE; got {text!r}", param_hint="--header")
    return name.strip(), value.strip()
