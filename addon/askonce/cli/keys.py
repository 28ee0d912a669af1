"""`keys …`: the gateway's own API keys."""

from typing import Annotated

import typer

from askonce.cli.options import AsJson, Data
from askonce.settings import Settings

__all__ = ["app"]

app = typer.Typer(
    help="Make, list and revoke the API keys of gateway and proxy.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def create(
    owner: Annotated[str, typer.Argument(help="Whose key it is, for statistics and limits.")],
    admin: Annotated[bool, typer.Option("--admin", help="It may also reload the rules and clear the cache.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Make a key and show it, this once."""
    from askonce.cli.output import print_json
    from askonce.network.api_keys import ApiKeys

    secret, key = ApiKeys(Settings.from_env(data=data).data).create(owner, admin=admin)
    if as_json:
        print_json({"id": key.id, "owner": key.owner, "admin": key.admin, "key": secret})
        return
    typer.echo(secret)
    typer.echo(f"{key.id} for {key.owner}: keep the key, it is not shown again", err=True)


@app.command("list")
def list_(as_json: AsJson = False, data: Data = None) -> None:
    """The keys, without what they are."""
    from askonce.cli.output import print_json, results, table
    from askonce.network.api_keys import ApiKeys

    keys = ApiKeys(Settings.from_env(data=data).data).all()
    if as_json:
        shown = ("id", "owner", "hint", "admin", "created", "revoked")
        print_json([{name: getattr(key, name) for name in shown} for key in keys])
        return
    rows = [(key.id, key.owner, key.hint, "admin" if key.admin else "", key.created, key.revoked) for key in keys]
    results().print(table(("id", "owner", "key", "may", "created", "revoked"), rows))


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="As `askonce keys list` shows it.")],
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Make a key worth nothing, at once, for a running proxy too."""
    from askonce.cli.output import print_json
    from askonce.network.api_keys import ApiKeys

    revoked = ApiKeys(Settings.from_env(data=data).data).revoke(key)
    if as_json:
        print_json({"id": revoked.id, "owner": revoked.owner, "revoked": revoked.revoked})
    else:
        typer.echo(f"revoked {revoked.id} of {revoked.owner}")
