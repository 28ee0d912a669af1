"""`certs`: the local certificate authority."""

from typing import Annotated

import typer

from askonce.cli.options import AsJson, Certs
from askonce.settings import Settings

__all__ = ["app"]

app = typer.Typer(help="The local certificate authority.", invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def show(context: typer.Context, certs: Certs = None, as_json: AsJson = False) -> None:
    """The local certificate authority: where it is, what it may vouch for, until when."""
    settings = context.obj = Settings.from_env(certs=certs)
    if context.invoked_subcommand:
        return
    from askonce import trust
    from askonce.cli.output import print_json, results
    from askonce.jsontext import rfc3339

    info = trust.ca_info(settings.certs)
    file = settings.certs / "mitmproxy-ca-cert.pem"
    if as_json:
        print_json(
            {
                "path": str(file),
                "fingerprint": info.fingerprint,
                "hosts": info.hosts,
                "not_before": rfc3339(info.not_before.timestamp()),
                "not_after": rfc3339(info.not_after.timestamp()),
            }
        )
        return
    console = results()
    for name, value in (
        ("certificate", str(file)),
        ("SHA-256", info.fingerprint),
        ("expires", f"{info.not_after:%Y-%m-%d}"),
        ("vouches for", "\n             ".join(info.hosts)),
    ):
        console.print(f"{name:>11}  {value}", markup=False, soft_wrap=True)


@app.command()
def path(
    context: typer.Context,
    bundle: Annotated[bool, typer.Option("--bundle", help="Of the file with all roots, ours among them.")] = False,
) -> None:
    """Print the path of our certificate."""
    from askonce import trust

    settings: Settings = context.obj
    trust.ca_info(settings.certs)
    typer.echo(settings.certs / ("askonce-bundle.pem" if bundle else "mitmproxy-ca-cert.pem"))
