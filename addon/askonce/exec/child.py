"""What a program needs in its environment to run behind the proxy, and the program as a child with that environment.

One rule: the program is changed in nothing but its environment; its input, output, signals and exit code are its own.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from askonce.settings import OUTER_PROXIES, outer_proxies, without_user
from askonce.trust.roots import ADDING_VARIABLES, BUNDLE_VARIABLES, TRUSTSTORE_PASSWORD

__all__ = ["CommandError", "environment", "find_command", "placeholder_keys", "run"]

_PRELOAD = Path(__file__).parent / "preload"
_LOCAL = ("localhost", "127.0.0.1", "::1")

_PLACEHOLDER = "askonce-placeholder"
_KEYS = (
    "ANTHROPIC_API_KEY",
    "AZURE_OPENAI_API_KEY",
    "CEREBRAS_API_KEY",
    "CO_API_KEY",
    "DEEPSEEK_API_KEY",
    "FIREWORKS_API_KEY",
    "GEMINI_API_KEY",
    "GROQ_API_KEY",
    "MISTRAL_API_KEY",
    "OPENAI_API_KEY",
    "OPENROUTER_API_KEY",
    "PERPLEXITY_API_KEY",
    "TOGETHER_API_KEY",
    "XAI_API_KEY",
)
"""Without which an SDK raises before it calls anybody."""
_ONE_OF = {"GEMINI_API_KEY": "GOOGLE_API_KEY"}
"""What an SDK takes as well: it warns where both are set."""

_FORWARDED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)


class CommandError(Exception):
    """A command cannot be run; `code` is the exit code that shells use for it."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def environment(
    proxy_url: str,
    bundle: Path,
    ca_cert: Path,
    base: Mapping[str, str],
    *,
    truststore: Path | None = None,
    hosts: Iterable[str] = (),
) -> dict[str, str]:
    """The variables to set on top of `base`.

    `bundle`, `ca_cert` and `truststore` are those of `Trust`. What `hosts`, the rules' hosts, name is not in NO_PROXY,
    though it was there for another proxy; other local addresses stay direct. SSL_CERT_DIR stays as it is: programs that
    read it read our SSL_CERT_FILE as well, or instead.
    """
    no_proxy = _no_proxy(base, hosts)
    variables = {
        **_both_cases("HTTP_PROXY", proxy_url),
        **_both_cases("HTTPS_PROXY", proxy_url),
        **_both_cases("ALL_PROXY", proxy_url),
        **_both_cases("NO_PROXY", ",".join(no_proxy)),
        # For an Askonce that is started below this one: it must not take this one for the company's proxy.
        OUTER_PROXIES: json.dumps({"here": without_user(proxy_url), **outer_proxies(base)}),
        **dict.fromkeys(BUNDLE_VARIABLES, str(bundle)),
        # What these named before is in the bundle; where they named nothing, our certificate is all there is to add.
        **{name: str(bundle if base.get(name) else ca_cert) for name in ADDING_VARIABLES},
        "NODE_USE_ENV_PROXY": "1",
        "NODE_OPTIONS": _appended(base, "NODE_OPTIONS", f"--require {_quoted(_PRELOAD / 'node.cjs')}", " "),
        "PYTHONPATH": _prepended(base, "PYTHONPATH", str(_PRELOAD / "python"), os.pathsep),
        "AIOHTTP_TRUST_ENV": "True",  # LiteLLM's, which makes its sessions itself
        "PERL_LWP_ENV_PROXY": "1",
    }
    java = _java(proxy_url, no_proxy, truststore)
    variables["JAVA_TOOL_OPTIONS"] = _appended(base, "JAVA_TOOL_OPTIONS", java, " ")
    return variables


def placeholder_keys(base: Mapping[str, str]) -> dict[str, str]:
    """A key that opens nothing for each SDK that does not start without one, where `base` has none: for a run in which
    no provider is asked, and answers belong to everybody."""
    return {name: _PLACEHOLDER for name in _KEYS if not (base.get(name) or base.get(_ONE_OF.get(name, "")))}


def find_command(name: str, environ: Mapping[str, str]) -> str:
    """The file that a shell would run for `name`. Raises `CommandError`."""
    if found := shutil.which(name, path=environ.get("PATH", os.defpath)):
        return found
    if os.sep in name and Path(name).exists():
        raise CommandError(f"{name}: not a program that may be run", 126)
    raise CommandError(f"{name}: command not found", 127)


def run(command: Sequence[str], environ: Mapping[str, str], stdout: int | None = None) -> int:
    """Run a command and wait for it. Returns its exit code, 128 + N where signal N ended it. Raises `CommandError`.

    `stdout`: the file descriptor that it prints to; ours by default.
    """
    program = find_command(command[0], environ)
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        if child is None:
            early.append(number)
        elif number not in _FROM_TERMINAL or not _is_in_foreground():
            child.send_signal(number)

    # What we ignore (nohup, a shell's background) the child is to ignore as well; it inherits that, but no handler.
    heard = [number for number in _FORWARDED if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, forward) for number in heard}
    try:
        try:
            child = subprocess.Popen(command, executable=program, env=dict(environ), stdout=stdout)
        except OSError as error:
            raise CommandError(f"{program}: {error.strerror}", 126) from error
        for number in early:
            child.send_signal(number)
        code = child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def _is_in_foreground() -> bool:
    """Whether a terminal sends its signals to us, and so to our child, which has had them already."""
    try:
        return os.tcgetpgrp(sys.__stdin__.fileno() if sys.__stdin__ else 0) == os.getpgrp()
    except (OSError, ValueError):
        return False


def _both_cases(name: str, value: str) -> dict[str, str]:
    return {name: value, name.lower(): value}


def _no_proxy(base: Mapping[str, str], hosts: Iterable[str]) -> list[str]:
    given = [entry.strip() for name in ("no_proxy", "NO_PROXY") for entry in base.get(name, "").split(",")]
    named = {host.strip("[]") for host in hosts}
    if not named.isdisjoint(_LOCAL):
        named |= {*_LOCAL}  # axios takes each of them for all
    direct = [entry for entry in (*filter(None, given), *_LOCAL) if entry.lower().strip("[]") not in named]
    return list(dict.fromkeys(direct))


def _appended(base: Mapping[str, str], name: str, value: str, separator: str) -> str:
    """What the variable holds and `value` once, also where `askonce exec` runs below `askonce exec`."""
    held = base.get(name, "")
    return held if value in held else separator.join(filter(None, [held, value]))


def _prepended(base: Mapping[str, str], name: str, value: str, separator: str) -> str:
    held = [place for place in base.get(name, "").split(separator) if place and place != value]
    return separator.join([value, *held])


def _quoted(path: Path) -> str:
    """For NODE_OPTIONS and JAVA_TOOL_OPTIONS, which split at spaces."""
    return f'"{path}"' if " " in str(path) else str(path)


def _java(proxy_url: str, no_proxy: Iterable[str], truststore: Path | None) -> str:
    proxy = urlsplit(proxy_url)
    options = [
        f"-D{scheme}.proxyHost={proxy.hostname} -D{scheme}.proxyPort={proxy.port}" for scheme in ("http", "https")
    ]
    options.append(f"-Dhttp.nonProxyHosts={'|'.join(_java_patterns(no_proxy))}")
    if truststore:
        options.append(f"-Djavax.net.ssl.trustStore={_quoted(truststore)}")
        options.append(
            f"-Djavax.net.ssl.trustStoreType=PKCS12 -Djavax.net.ssl.trustStorePassword={TRUSTSTORE_PASSWORD}"
        )
    return " ".join(options)


def _java_patterns(no_proxy: Iterable[str]) -> Iterable[str]:
    for entry in no_proxy:
        if entry == "*" or entry in _LOCAL:
            yield "[::1]" if entry == "::1" else entry
        elif "/" not in entry and ":" not in entry:
            name = entry.removeprefix("*").removeprefix(".")
            yield from (name, f"*.{name}")
