"""`serve` and `web`: the proxy itself."""

from typing import Annotated

import typer

from askonce.cli.options import Cassette, Certs, Data, Listen, LogFormat, Mode, RecordErrors, RulesFile
from askonce.settings import Settings

__all__ = ["serve", "web"]


def serve(
    listen: Listen = None,
    rules: RulesFile = None,
    data: Data = None,
    certs: Certs = None,
    mode: Mode = None,
    cassette: Cassette = None,
    record_errors: RecordErrors = False,
    log_format: LogFormat = None,
) -> None:
    """Run the proxy until it is stopped."""
    settings = Settings.from_env(
        listen=listen,
        rules=rules,
        data=data,
        certs=certs,
        mode=mode,
        cassette=cassette,
        record_errors=record_errors,
        log_format=log_format,
    )
    _serve(settings, web=False)


def web(
    listen: Listen = None,
    rules: RulesFile = None,
    data: Data = None,
    certs: Certs = None,
    web_port: Annotated[
        int | None, typer.Option(help="Where mitmweb listens; 8081 by default.", envvar="ASKONCE_WEB_PORT")
    ] = None,
    log_format: LogFormat = None,
) -> None:
    """Run the proxy in mitmweb. It shows every conversation, and why it hit or missed."""
    settings = Settings.from_env(
        listen=listen, rules=rules, data=data, certs=certs, web_port=web_port, log_format=log_format
    )
    _serve(settings, web=True)


def _serve(settings: Settings, web: bool) -> None:
    from askonce.exec.proxy_process import check_address

    if settings.listen_port:
        check_address(settings)  # before seconds of loading, which nobody need wait for to be told no
    from askonce.proxy.large_blocks import give_back_large_blocks

    give_back_large_blocks()  # before numpy is imported, which starts a thread
    from askonce.proxy.master import serve as run

    raise typer.Exit(run(settings, web=web))
