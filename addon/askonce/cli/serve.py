"""`serve` and `web`: the proxy itself."""

from typing import Annotated

import typer

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
from askonce.settings import Settings, SettingsError

__all__ = ["serve", "web"]

_MOST = 256


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
    if (count := _count(workers)) > 1:
        _run_workers(settings, count)
    else:
        _serve(settings, web=False)


def _count(workers: str) -> int:
    from askonce.exec.worker_processes import cores

    if workers == "auto":
        return cores()
    if not workers.isdecimal() or not 0 < int(workers) <= _MOST:
        raise SettingsError(f"--workers: expected a number from 1 to {_MOST}, or auto; got {workers!r}")
    return int(workers)


def _run_workers(settings: Settings, count: int) -> None:
    from askonce.exec.worker_processes import run_workers
    from askonce.proxy.log_format import log_to_stderr

    if settings.cassette:
        raise SettingsError("--workers: a cassette belongs to one process")
    log_to_stderr(settings.log_format)
    raise typer.Exit(run_workers(settings, count, _load, _serve_loaded))


def _load() -> None:
    from askonce.proxy.large_blocks import give_back_large_blocks

    give_back_large_blocks()
    from askonce.proxy.ahead import load_ahead

    load_ahead()


def _serve_loaded(settings: Settings) -> int:
    from askonce.proxy.master import serve as run

    return run(settings)


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
    _serve(settings, web=True)


def _serve(settings: Settings, web: bool) -> None:
    from askonce.exec.proxy_process import check_address

    if settings.listen_port:
        check_address(settings)  # before seconds of loading, which nobody need wait for to be told no
    _run(settings, web)


def _run(settings: Settings, web: bool) -> None:
    from askonce.proxy.light_start import load_lightly

    load_lightly(all_of_mitmproxy=web or settings.plain)
    from askonce.proxy.master import serve as run

    raise typer.Exit(run(settings, web=web))
