"""`exec` and `env`: a program behind the proxy."""

import enum
import json
import os
import shlex
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from askonce.cli.doctor_command import Snapshot, diagnose, settled, snapshot
from askonce.cli.options import COMMAND, CassetteOption, Certs, Data, Listen, ModeOption, RecordErrors, RulesOption
from askonce.settings import OUTER_PROXIES, Settings, without_user

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["env", "exec_", "variables_for"]


class Shell(enum.StrEnum):
    """What `env` prints for."""

    SH = "sh"
    FISH = "fish"
    JSON = "json"


def exec_(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", show_default=False, help=COMMAND)],
    listen: Listen = None,
    rules: RulesOption = None,
    data: Data = None,
    certs: Certs = None,
    mode: ModeOption = None,
    cassette: CassetteOption = None,
    record_errors: RecordErrors = False,
) -> None:
    """Run a program behind the proxy. A proxy is started for it where none listens, and always with --mode."""
    from contextlib import ExitStack
    from importlib import import_module
    from threading import Thread

    from askonce.cli.output import notes
    from askonce.exec import child, proxy_process

    settings = Settings.from_env(
        listen=listen,
        rules=rules,
        data=data,
        certs=certs,
        mode=mode,
        cassette=cassette,
        record_errors=record_errors,
    )
    if settings.mode != "normal":
        settings = replace(settings, listen_port=0)  # one of the command's own: others must not share the mode
    child.find_command(command[0], os.environ)  # a slip of the pen should not wait for a proxy
    _remark_on_other_proxy(os.environ, settings)
    before = _recorded(settings)
    console = notes()
    # What reads the rules takes half a second to load, for which a proxy that starts is waited for in any case.
    Thread(target=import_module, args=("askonce.products.document",), daemon=True).start()
    with ExitStack() as stack:
        with console.status(f"waiting for the proxy at {settings.listen}"):
            proxy = stack.enter_context(proxy_process.borrowed(settings, lambda new: _say_started(console, new)))
            variables = variables_for(proxy)
            if settings.mode == "strict" and settings.cassette:
                variables |= child.placeholder_keys(os.environ)
        seen = snapshot(proxy)
        code = child.run(command, {**os.environ, **variables})
        if why := seen and _no_call(proxy, seen):
            console.print(f"askonce: no call came through: {why}", soft_wrap=True, markup=False)
    if new := len(_recorded(settings) - before):
        console.print(f"askonce: {new} recorded in {settings.cassette}", soft_wrap=True, markup=False)
    raise typer.Exit(code)


def env(
    listen: Listen = None,
    rules: RulesOption = None,
    data: Data = None,
    certs: Certs = None,
    shell: Annotated[Shell, typer.Option(help="The language to print.")] = Shell.SH,
) -> None:
    """Print exports that put a shell behind the proxy. Use it as eval "$(askonce env)"."""
    from askonce.cli.output import notes
    from askonce.exec import proxy_process

    settings = Settings.from_env(listen=listen, rules=rules, data=data, certs=certs)
    if proxy_process.probe(settings) is proxy_process.ProxyState.ABSENT:
        notes().print(
            f"askonce: no proxy listens at {settings.listen} yet; start it with `askonce serve`", soft_wrap=True
        )
    _remark_on_other_proxy(os.environ, settings)
    variables = variables_for(settings)
    variables[OUTER_PROXIES] = without_user(variables[OUTER_PROXIES])
    typer.echo(_exports(variables, shell))


def _say_started(console: "Console", settings: Settings) -> None:
    console.print(f"askonce: starting a proxy at {settings.listen}", soft_wrap=True, markup=False)


def _no_call(settings: Settings, before: Snapshot) -> str:
    """Why no call came through since, and what to do; empty where one did, or nobody tells us."""
    after = snapshot(settings)
    if after is None or after.calls != before.calls:
        return ""
    after = settled(settings)
    if after is None or after.calls != before.calls:
        return ""
    return next((f"{one.fault}; {one.cure}" for one in diagnose(before, after) if one.fault), "")


def _recorded(settings: Settings) -> set[bytes]:
    """The lines of the cassette; none where there is none."""
    if not settings.cassette or not settings.cassette.is_file():
        return set()
    return set(settings.cassette.read_bytes().splitlines()[1:])


def variables_for(settings: Settings) -> dict[str, str]:
    """What a program needs in its environment to run behind a proxy. Raises `ProxyError`, `TrustError` or OSError."""
    from askonce import trust
    from askonce.exec.variables import variables

    if (settings.certs / "mitmproxy-ca.pem").exists():
        made = trust.load_ca(settings.certs)  # as the proxy made it, perhaps from other rules than ours
    else:
        from askonce.products.document import Config
        from askonce.rules import Rules

        made = trust.ensure_ca(settings.certs, Rules(Config.load(settings.rules)).host_names())
    return variables(settings, made, _hosts(settings), os.environ)


def _hosts(settings: Settings) -> Collection[str]:
    """What our rules name. A proxy of somebody's may have others; where we have none, the hosts that it vouches for,
    among which those of plain HTTP are not."""
    from askonce import trust
    from askonce.products.document import Config
    from askonce.rules import ConfigError, Rules

    try:
        return Rules(Config.load(settings.rules)).every_host()
    except ConfigError:
        return trust.ca_info(settings.certs).hosts


def _remark_on_other_proxy(environ: Mapping[str, str], settings: Settings) -> None:
    from askonce.cli.output import notes

    other = environ.get("https_proxy") or environ.get("HTTPS_PROXY")
    if other and not settings.leads_here(other):
        notes().print(
            f"askonce: HTTPS_PROXY was {other.rpartition('@')[2]}; Askonce takes its place, and goes through it",
            soft_wrap=True,
            markup=False,
        )


def _exports(variables: Mapping[str, str], shell: Shell) -> str:
    match shell:
        case Shell.JSON:
            return json.dumps(variables, indent=2)
        case Shell.FISH:
            return "\n".join(f"set -gx {name} {_fish_quoted(value)}" for name, value in variables.items())
        case Shell.SH:
            return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def _fish_quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
