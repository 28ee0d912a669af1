"""`doctor`: what keeps calls from being answered on this machine, with its cure.

One rule: each check is a line in a table, changes nothing that it looks at, and says in one line what is wrong and in
one what to do.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated

import certifi
import typer

from askonce.cli.doctor_command import Finding, diagnose, settled, snapshot
from askonce.cli.options import COMMAND, AsJson, Certs, Data, Listen, RulesOption
from askonce.settings import Settings

__all__ = ["doctor"]

_PATIENCE = 120.0
"""Seconds that a program gets to fetch a page."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """A program that fetches a URL, and how it does so without looking at certificates."""

    program: str
    fetch: tuple[str, ...]
    """Arguments before the URL."""
    fetch_unverified: tuple[str, ...]
    unverified: Mapping[str, str]
    """Variables besides."""


_PYTHON = "import ssl, sys, urllib.request as u; print(u.urlopen(sys.argv[1], context={}).read().decode())"
_NODE = "require('https').get(process.argv[1], (r) => r.on('data', (d) => console.log(String(d))))"
_NO_VERIFY = {"NODE_TLS_REJECT_UNAUTHORIZED": "0", "NODE_NO_WARNINGS": "1"}
CLIENTS = (
    Fetcher("curl", ("-fsS",), ("-fsSk",), {}),
    Fetcher("wget", ("-qO-",), ("-qO-", "--no-check-certificate"), {}),
    Fetcher(
        "python3",
        ("-c", _PYTHON.format("None")),
        ("-c", _PYTHON.format("ssl._create_unverified_context()")),
        {},
    ),
    Fetcher("node", ("-e", _NODE), ("-e", _NODE), _NO_VERIFY),
)


def doctor(
    command: Annotated[list[str] | None, typer.Argument(metavar="COMMAND", show_default=False, help=COMMAND)] = None,
    listen: Listen = None,
    rules: RulesOption = None,
    data: Data = None,
    certs: Certs = None,
    as_json: AsJson = False,
) -> None:
    """Find what keeps calls from being answered. For all programs, or for a command, which is run
    behind the proxy. Exit code 0 where all is well."""
    from askonce.cli.output import print_json, printable, results
    from askonce.exec import child

    if command:
        child.find_command(command[0], os.environ)
    settings = Settings.from_env(listen=listen, rules=rules, data=data, certs=certs)
    found = [finding for check in CHECKS for finding in check(settings)]
    if not any(finding.fault for finding in found):
        # What the command prints stands beside our JSON, not in it.
        found += list(_behind_proxy(settings, command, sys.stderr.fileno() if as_json else None))
    if as_json:
        print_json([asdict(finding) for finding in found])
    else:
        for one in found:
            results().print(printable(str(one)), soft_wrap=True, markup=False)
    raise typer.Exit(int(any(finding.fault for finding in found)))


def _rules(settings: Settings) -> Iterator[Finding]:
    from askonce.products.document import Config
    from askonce.rules import ConfigError

    try:
        Config.load(settings.rules)
    except ConfigError as error:
        cure = (
            "mend these lines"
            if not settings.rules or settings.rules.is_file()
            else "give --rules a file that is there"
        )
        yield Finding("rules.yaml", " / ".join(str(error).splitlines()), cure)
    else:
        yield Finding("rules.yaml")


def _folders(settings: Settings) -> Iterator[Finding]:
    for name, folder, option in (("data folder", settings.data, "--data"), ("certificates", settings.certs, "--certs")):
        if folder.exists() and not folder.is_dir():
            yield Finding(name, f"{folder} is no folder", f"give {option} a folder that can be written")


def _clock(settings: Settings) -> Iterator[Finding]:
    from askonce import trust

    try:
        info = trust.ca_info(settings.certs)
    except trust.TrustError:
        return  # none was made yet
    now = datetime.now(UTC)
    if now < info.not_before:
        fault = f"this machine's clock says {now:%Y-%m-%d}, and the certificates begin on {info.not_before:%Y-%m-%d}"
        yield Finding("clock", fault, "set the clock; programs refuse certificates that are not valid yet")
    else:
        yield Finding("clock")


def _port(settings: Settings) -> Iterator[Finding]:
    from askonce.exec.proxy_process import ProxyState, probe

    if probe(settings) is ProxyState.FOREIGN:
        yield Finding("port", f"{settings.listen} is taken by something else", "stop it, or choose --listen HOST:PORT")
    else:
        yield Finding("port")


def _folder(settings: Settings) -> Iterator[Finding]:
    from askonce.cache import InUseError, StoreError
    from askonce.cache.store import check_folder
    from askonce.exec.proxy_process import ProxyState, holder, probe

    if probe(settings) is not ProxyState.ABSENT or not settings.data.is_dir():
        return  # it is that proxy's, or is not there yet
    try:
        check_folder(settings.data)
    except InUseError as error:
        address = holder(settings.data) or "another address"
        yield Finding("data folder", f"{error} at {address}", f"give --listen {address}, or --data another folder")
    except StoreError as error:
        yield Finding("data folder", str(error), "give --data a folder that can be written")
    else:
        yield Finding("data folder")


def _upstream_proxy(settings: Settings) -> Iterator[Finding]:
    import asyncio
    import ssl

    from askonce.network.tunnels import Tunnel, UpstreamProxyError, open_by
    from askonce.network.upstream_proxies import UpstreamProxies
    from askonce.products.document import Config
    from askonce.rules import ConfigError, Rules

    def verify() -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=certifi.where())
        if settings.upstream_ca:
            context.load_verify_locations(settings.upstream_ca)
        return context

    async def ask(tunnel: Tunnel) -> None:
        _, writer = await open_by(tunnel)
        writer.close()

    try:
        config = Config.load(settings.rules)
    except ConfigError:
        return  # which is told already
    proxies = UpstreamProxies(lambda: config.upstream_proxy, settings.outer_proxies, verify)
    for place in Rules(config).spelled_out():
        if proxy := proxies.of("https", place):
            try:
                asyncio.run(ask(Tunnel(proxy, place, verify)))
            except UpstreamProxyError as error:
                fault = str(error).removeprefix("the upstream proxy ")
                yield Finding("upstream proxy", fault, f"mend {proxy.source}, or ask whoever runs it")
            else:
                yield Finding("upstream proxy")
            return


def _behind_proxy(settings: Settings, command: Sequence[str] | None, stdout: int | None) -> Iterator[Finding]:
    from askonce.cli.exec import variables_for
    from askonce.exec.proxy_process import ProxyError, borrowed

    with ExitStack() as stack:
        try:
            proxy = stack.enter_context(borrowed(settings))
            environ = {**os.environ, **variables_for(proxy)}
        except ProxyError as error:
            fault, _, cure = str(error).partition("; ")
            yield Finding("proxy", fault, cure or "start it with `askonce serve`, which says more")
            return
        except OSError as error:
            cure = "give --data and --certs folders that can be written"
            yield Finding("proxy", f"{error.filename}: {error.strerror}", cure)
            return
        yield from _command(proxy, command, environ, stdout) if command else _clients(settings, environ)


def _command(
    settings: Settings, command: Sequence[str], environ: Mapping[str, str], stdout: int | None
) -> Iterator[Finding]:
    from askonce.exec import child

    before = snapshot(settings)
    code = child.run(command, environ, stdout)
    yield Finding("command", note=f"ended with {code}")
    after = settled(settings)
    if before and after:
        yield from diagnose(before, after)
    else:
        yield Finding("proxy", "it does not tell what it saw", "set ASKONCE_TOKEN to the token it was started with")


def _clients(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    from askonce.products.document import Config

    yield Finding("proxy")
    # Of the proxy alone: no name server knows its host, and no root but ours vouches for it.
    url = f"https://{Config.load(settings.rules).manage.host}/health/live"
    yield from (_try(one, url, environ) for one in CLIENTS if shutil.which(one.program))


def _try(client: Fetcher, url: str, environ: Mapping[str, str]) -> Finding:
    """Whether a program goes by the proxy and trusts it, in an environment of `exec`'s."""
    name = client.program
    if _fetches(name, (*client.fetch, url), environ):
        return Finding(name)
    if _fetches(name, (*client.fetch_unverified, url), {**environ, **client.unverified}):
        return Finding(name, "it does not trust the proxy", "have it trust `askonce certs path --bundle`")
    return Finding(name, "it does not go by HTTPS_PROXY", "give it the proxy in its own settings: `askonce env` has it")


def _fetches(program: str, arguments: tuple[str, ...], environ: Mapping[str, str]) -> bool:
    try:
        done = subprocess.run([program, *arguments], env=environ, capture_output=True, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b'"alive"' in done.stdout


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _rules,
    _folders,
    _clock,
    _port,
    _folder,
    _upstream_proxy,
)
"""What can be seen without a proxy, in the order of what rests on what."""
