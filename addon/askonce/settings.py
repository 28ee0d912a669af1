"""Where a proxy listens and where its files are: what the command line and the `ASKONCE_*` variables say.

One rule: a `Settings` that exists can be served; what cannot is refused when it is made, with what was expected.
"""

import ipaddress
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self, cast, get_args
from urllib.parse import quote, urlsplit

import platformdirs

__all__ = [
    "DEFAULT_PORTS",
    "OUTER_PROXIES",
    "LogFormat",
    "Mode",
    "Settings",
    "SettingsError",
    "Worker",
    "authority",
    "default_rules",
    "is_checkout",
    "outer_proxies",
    "parse_listen",
    "wants_plain",
    "without_user",
]

LogFormat = Literal["text", "json"]
Mode = Literal["normal", "record", "replay", "strict"]
"""`record`: ask always, keep every answer. `replay`: as normal, with answers that do not end where there is a cassette.
`strict`: identical calls are answered, and nothing is asked."""

DEFAULT_PORTS = {"http": 80, "https": 443}
DEFAULT_LISTEN = "127.0.0.1:8080"
DEFAULT_WEB_PORT = 8081
OUTER_PROXIES = "ASKONCE_OUTER_PROXIES"
"""Set beside `HTTPS_PROXY` by `exec` and `env`: JSON of the URL that they put there (`here`), and of what was there
before, as `outer_proxies` gives it."""


class SettingsError(ValueError):
    """An option or a variable cannot be used; the message says which, and what was expected."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One of several processes that are a proxy together."""

    number: int
    """From 1."""
    folder: Path
    """For these processes alone, as long as they run."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One proxy: its address, its files, the token of its management API."""

    listen_host: str
    """Empty for every address of the machine, IPv4 and IPv6."""
    listen_port: int
    """0 lets the system choose."""
    rules: Path
    data: Path
    certs: Path
    token: str | None = None
    upstream_ca: Path | None = None
    """A PEM file that is trusted for upstreams besides the usual roots."""
    web_port: int = DEFAULT_WEB_PORT
    mode: Mode = "normal"
    cassette: Path | None = None
    """The file that answers come from and go to, in place of `data`."""
    record_errors: bool = False
    """Errors of providers go into the cassette as well."""
    log_format: LogFormat = "text"
    plain: bool = False
    """mitmproxy as it is, without shorter ways through it."""
    outer_proxies: Mapping[str, str] = field(default_factory=dict)
    """The environment's, but for those that lead here."""
    worker: Worker | None = None
    """None for a proxy that is one process."""

    def __post_init__(self) -> None:
        if not self.is_loopback and not self.token:
            raise SettingsError(
                f"listening on {self.listen} lets others reach the cache: "
                "set ASKONCE_TOKEN to a secret for the management API, or listen on 127.0.0.1"
            )
        if not 0 < self.web_port < 65536:
            raise SettingsError(f"--web-port: expected a port from 1 to 65535; got {self.web_port}")
        if self.upstream_ca and not self.upstream_ca.is_file():
            raise SettingsError(f"ASKONCE_UPSTREAM_CA: no such file: {self.upstream_ca}")
        if self.mode not in get_args(Mode):
            raise SettingsError(f"--mode: expected one of {', '.join(get_args(Mode))}; got {self.mode!r}")
        if self.log_format not in get_args(LogFormat):
            raise SettingsError(f"--log-format: expected text or json; got {self.log_format!r}")
        if self.cassette and self.mode == "normal":
            raise SettingsError("--cassette: expected a --mode besides: record, replay or strict")
        if self.record_errors and not self.cassette:
            raise SettingsError("--record-errors: expected a --cassette besides")

    @property
    def listen(self) -> str:
        """`HOST:PORT`, as `--listen` takes it."""
        return authority(self.listen_host, self.listen_port)

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can connect."""
        try:
            return ipaddress.ip_address(self.listen_host).is_loopback
        except ValueError:
            return self.listen_host == "localhost"

    @property
    def client_host(self) -> str:
        """The host under which a program on this machine reaches the proxy."""
        return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.listen_host, self.listen_host)

    @property
    def url(self) -> str:
        """The proxy's URL for programs on this machine."""
        return self.url_of("")

    def url_of(self, user: str) -> str:
        """The same for `NAME:KEY`, where the proxy asks for a key; for nobody where it is empty."""
        name, _, key = user.partition(":")
        return f"http://{f'{quote(name, safe="")}:{quote(key, safe="")}@' if user else ''}{self.place}"

    @property
    def place(self) -> str:
        """`HOST:PORT` for programs on this machine."""
        return authority(self.client_host, self.listen_port)

    def leads_here(self, url: str) -> bool:
        """Whether a proxy's URL is this proxy's, as programs on this machine may write it."""
        try:
            parts = urlsplit(url)
            hosts = {self.client_host, self.listen_host, "localhost", "127.0.0.1", "::1"}
            return parts.hostname in hosts and parts.port == self.listen_port
        except ValueError:
            return False

    @classmethod
    def from_env(
        cls,
        *,
        listen: str | None = None,
        rules: Path | None = None,
        data: Path | None = None,
        certs: Path | None = None,
        web_port: int | None = None,
        mode: str | None = None,
        cassette: Path | None = None,
        record_errors: bool = False,
        log_format: str | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> Self:
        """What the command line says, then the environment, then the defaults. Raises `SettingsError`.

        The default rules are ./rules.yaml, or those that ship where there is none. The default folders are those of a
        checkout's `run.sh`, and elsewhere the user's own: all projects of a person share one cache and one authority.
        """

        def path(given: Path | None, variable: str, default: Callable[[], Path]) -> Path:
            return (given or Path(environ.get(variable) or default())).expanduser().absolute()

        upstream_ca = environ.get("ASKONCE_UPSTREAM_CA")
        own_rules = Path("rules.yaml")
        host, port = (
            parse_listen(listen, "--listen")
            if listen
            else parse_listen(environ.get("ASKONCE_LISTEN") or DEFAULT_LISTEN, "ASKONCE_LISTEN")
        )
        settings = cls(
            listen_host=host,
            listen_port=port,
            rules=path(rules, "ASKONCE_RULES", lambda: own_rules if own_rules.is_file() else default_rules()),
            data=path(data, "ASKONCE_DATA", lambda: _home() / "data"),
            certs=path(certs, "ASKONCE_CERTS", lambda: _home() / "certs"),
            token=environ.get("ASKONCE_TOKEN") or None,
            upstream_ca=Path(upstream_ca).expanduser().absolute() if upstream_ca else None,
            web_port=web_port if web_port is not None else _web_port(environ),
            mode=cast(Mode, mode or environ.get("ASKONCE_MODE") or "normal"),
            cassette=path(cassette, "ASKONCE_CASSETTE", Path) if cassette or environ.get("ASKONCE_CASSETTE") else None,
            record_errors=record_errors,
            log_format=cast(LogFormat, log_format or environ.get("ASKONCE_LOG_FORMAT") or "text"),
            plain=wants_plain(environ),
        )
        outer = {name: value for name, value in outer_proxies(environ).items() if not settings.leads_here(value)}
        return replace(settings, outer_proxies=outer)


def wants_plain(environ: Mapping[str, str]) -> bool:
    """Whether mitmproxy is to be left as it is."""
    return environ.get("ASKONCE_PLAIN", "") not in ("", "0")


def outer_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """The proxies that an environment names, `http` and `https`, and which hosts go without, `no`; those that are set.
    Where `exec` or `env` put Askonce in their place, what was there before."""
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    http, https, either, no = (environ.get(name) or environ.get(name.upper(), "") for name in names)
    found = {"http": http or either, "https": https or either, "no": no}
    try:
        before = json.loads(environ.get(OUTER_PROXIES) or "{}")
        if without_user(found["https"]) == before.get("here"):
            found = {name: str(before.get(name, "")) for name in found}
    except (ValueError, AttributeError):  # not what we wrote
        pass
    return {name: value for name, value in found.items() if value}


def without_user(text: str) -> str:
    """A text with URLs in it, without who they are for: what a screen may show."""
    return re.sub(r'//[^/\s"]*@', "//", text)


def parse_listen(text: str, where: str = "--listen") -> tuple[str, int]:
    """`HOST:PORT`, `[V6]:PORT`, or `:PORT` for every address of the machine.

    Raises `SettingsError`, which names `where` the text came from.
    """
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/\[\]]*)):([0-9]{1,5})", text.strip())
    if not found or int(found[3]) > 65535:
        raise SettingsError(f"{where}: expected HOST:PORT, such as {DEFAULT_LISTEN} or [::1]:8080; got {text!r}")
    return (found[1] or found[2]).lower(), int(found[3])


def _web_port(environ: Mapping[str, str]) -> int:
    text = environ.get("ASKONCE_WEB_PORT") or str(DEFAULT_WEB_PORT)
    if not re.fullmatch(r"[0-9]{1,5}", text):
        raise SettingsError(f"ASKONCE_WEB_PORT: expected a port from 1 to 65535; got {text!r}")
    return int(text)


def authority(host: str, port: int) -> str:
    """`HOST:PORT` (RFC 3986, section 3.2), IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_checkout() -> bool:
    """Whether this is a checkout, which `run.sh` starts, and no installed package."""
    return default_rules().parent != Path(__file__).parent


def _home() -> Path:
    """Where the folders are: here in a checkout, else where this platform keeps a user's data."""
    try:
        return Path() if is_checkout() else platformdirs.user_data_path("askonce", appauthor=False)
    except RuntimeError as error:  # a user that the system does not know, as in a container
        raise SettingsError("there is no home folder: set HOME, or ASKONCE_DATA and ASKONCE_CERTS") from error


def default_rules() -> Path:
    """The rules that ship: beside the modules in a wheel, at the top of a checkout."""
    package = Path(__file__).parent
    beside = package / "rules.yaml"
    return beside if beside.is_file() else package.parents[1] / "rules.yaml"
