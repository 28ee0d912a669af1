"""`serve` and `web`: the proxy itself."""

from typing import Annotated

import typer

from askonce.cli import plain_serve
from askonce.cli.options import (
    CassetteOption,
    Certs,
    Data,
    Listen,
    LogFormatOption,
    ModeOption,
    RecordErrors,
    RulesOption,
)
from askonce.settings import Settings

__all__ = ["serve", "web"]


def serve(
    listen: Listen = None,
    rules: RulesOption = None,
    data: Data = None,
    certs: Certs = None,
    mode: ModeOption = None,
    cassette: CassetteOption = None,
    record_errors: RecordErrors = False,
    log_format: LogFormatOption = None,
    workers: Annotated[
        str,
        typer.Option(
            metavar="N", help="Processes that share the port, or auto: one for each core.", envvar="ASKONCE_WORKERS"
        ),
    ] = "1",
) -> None:
    """Run the proxy until it is stopped."""
    raise typer.Exit(
        plain_serve.serve(
            listen=listen,
            rules=rules,
            data=data,
            certs=certs,
            mode=mode,
            cassette=cassette,
            record_errors=record_errors,
            log_format=log_format,
            workers=workers,
        )
    )


def web(
    listen: Listen = None,
    rules: RulesOption = None,
    data: Data = None,
    certs: Certs = None,
    web_port: Annotated[
        int | None, typer.Option(help="Where mitmweb listens; 8081 by default.", envvar="ASKONCE_WEB_PORT")
    ] = None,
    log_format: LogFormatOption = None,
) -> None:
    """Run the proxy in mitmweb. It shows every conversation, and why it hit or missed."""
    settings = Settings.from_env(
        listen=listen, rules=rules, data=data, certs=certs, web_port=web_port, log_format=log_format
    )
    raise typer.Exit(plain_serve.run(settings, web=True))
