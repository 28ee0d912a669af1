"""`rules …`: what rules.yaml says."""

from pathlib import Path
from typing import Annotated

import typer

from askonce.settings import Settings

__all__ = ["app"]

app = typer.Typer(help="Look at rules.yaml.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    # A lone command would take the group's name.
    pass


@app.command()
def check(file: Annotated[Path | None, typer.Argument(show_default=False)] = None) -> None:
    """Read a rules file and show what it asks for; ./rules.yaml, or the rules that ship, by default."""
    from rich.text import Text

    from askonce.cli.output import results, table
    from askonce.products.document import Config

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
    console.print(f"\n{path}: {len(rows)} rules, no mistakes", style="dim", markup=False, soft_wrap=True)
