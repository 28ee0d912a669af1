"""rules.yaml as typed models, all but the products' sections (`products/document.py` has the whole of it).

One rule: a file is either accepted whole, or refused with a `ConfigError` that names, for every mistake in it, the
file, the line, the place and what was expected. Nothing here matches a request; that is `rules.py`.
"""

import os
import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from askonce.cache.store.place import SharedPlace, check_schema, check_url
from askonce.cache.store.protocol import CacheLimits
from askonce.credentials import names_caller
from askonce.rules.access import AccessSpec
from askonce.rules.dependencies import parse_place
from askonce.rules.limits import LimitsSpec
from askonce.rules.mistakes import mistakes, repeated_keys
from askonce.rules.patterns import parse_host, parse_jsonpath, parse_path, parse_text
from askonce.rules.reuse import ReuseSpec
from askonce.rules.sections import AT_START, Duration, Section, Size
from askonce.rules.upstream_proxy import UpstreamProxySection, UpstreamProxySpec
from askonce.wire import WIRE_FORMATS

__all__ = [
    "AccessSpec",
    "Behaviour",
    "CacheSpec",
    "ConfigError",
    "Document",
    "ManageSpec",
    "Price",
    "RuleSpec",
    "VerifierSpec",
    "variable_in",
]


class ConfigError(ValueError):
    """rules.yaml cannot be used; the message has one line per mistake: `file:line: place: what was expected`."""


def _checked(parse: Callable[[str], object]) -> AfterValidator:
    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


def _wire(name: str) -> None:
    if name not in WIRE_FORMATS:
        raise ValueError(f"expected one of {', '.join(WIRE_FORMATS)}; got {name!r}")


def _names_nobody(header: str) -> str:
    if names_caller(header):
        raise ValueError(f"{header} says who asks, and who shares answers is for `scope` to say")
    return header


# YAML 1.1 reads the bare words off, no and false as one and the same value.
MatchMode = Annotated[
    Literal["exact", "semantic", "watch", "off"], BeforeValidator(lambda value: "off" if value is False else value)
]
JsonPath = Annotated[str, _checked(parse_jsonpath)]
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
"""The name of a header, RFC 9110 section 5.1."""
HeaderName = Annotated[str, Field(pattern=rf"^{_TOKEN}$"), AfterValidator(str.lower)]


def _listed(value: Any) -> Any:
    """One path for a list of one; none for null, as a variable that is not set."""
    if isinstance(value, str):
        parse_jsonpath(value)  # here, so that a mistake is not told of a list that nobody wrote
        return [value]
    return [] if value is None else value


def _places(depends: dict[str, str]) -> dict[str, str]:
    for tag, where in depends.items():
        parse_place(tag, where)
    return depends


def _can_be_found(value: Any) -> Any:
    if value == "refuse" and not (find_spec("phonenumbers") and find_spec("stdnum")):
        raise ValueError("what finds personal data is not installed: pip install 'askonce[personal]'")
    return value


PersonalData = Annotated[Literal["keep", "refuse"], AfterValidator(_can_be_found)]


def _regular(pattern: str | None) -> str | None:
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise ValueError(f"expected a regular expression; got {pattern!r}: {error}") from None
    return pattern


class Behaviour(Section):
    """How a rule answers; `defaults` sets it for all rules, a rule may set any of it for itself."""

    match: MatchMode = "semantic"
    max_error: float = Field(default=0.02, gt=0, lt=1)
    """The share of semantic hits that may be wrong."""
    audit: float = Field(default=0.01, ge=0, le=1)
    """The share of semantic hits that are checked: served, and asked of the provider in the background."""
    audits_per_hour: int = Field(default=60, ge=0)
    """Checks at most, of one caller a fourth of them."""
    approve: bool = False
    """Answers are served once a person has approved them, and not before."""
    ttl: Duration = 7 * 86400.0
    scope: str = Field(default="credential", pattern=rf"^(credential|shared|header:{_TOKEN})$")
    """Who may share answers: callers with the same credential, everybody, or those with the same value of a header."""
    max_temperature: float = Field(default=1.0, ge=0)
    """Above it only identical calls are answered."""
    max_answer: Size = 4 * 2**20
    """Larger answers are not kept."""
    usage: Literal["original", "zero"] = "original"
    """What a hit says about tokens: what the provider counted, or that none were used."""
    stale_while_revalidate: Duration = 0.0
    """How long after its `ttl` an answer may be served once more while a fresh one is fetched."""
    stale_if_error: Duration = 0.0
    """How long after its `ttl` an answer may be served where the provider fails."""
    ignore_headers: tuple[Annotated[HeaderName, AfterValidator(_names_nobody)], ...] = ()
    """Request headers that change no answer, such as an app's own trace id."""
    reuse: ReuseSpec = ReuseSpec()
    """What may be done with answers that do not last."""
    personal_data: PersonalData = "keep"
    """Whether an answer is kept where personal data is found in it, or in what was asked."""

    @property
    def longest_stale(self) -> float:
        """Seconds that an answer is kept past its `ttl`."""
        return max(self.stale_while_revalidate, self.stale_if_error)


class NormaliseSpec(Section):
    """Texts that are one text but for a piece of them."""

    model_config = ConfigDict(str_strip_whitespace=False)

    path: JsonPath
    pattern: Annotated[str, Field(max_length=200), _checked(parse_text)]
    """`{number}`, `{hex}` and `{word}` stand for one each."""
    to: str
    """What is read in its place."""


class RuleSpec(Section):
    """One entry of `upstreams`: which calls, how to read them, and how they are answered."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    hosts: tuple[Annotated[str, _checked(parse_host)], ...] = Field(min_length=1)
    """`api.openai.com`, `*.openai.azure.com`, `llm.corp.example:8443`, `http://localhost:11434`."""
    paths: tuple[Annotated[str, _checked(parse_path)], ...] = Field(min_length=1)
    """`*` stands for anything within a segment, `**` for anything."""
    wire: Annotated[str, _checked(_wire)]
    prompt: Annotated[tuple[JsonPath, ...], BeforeValidator(_listed)] = ()
    """Where the prompt may be, the first that holds text; the wire format knows where none does."""
    ignore: tuple[JsonPath, ...] = ()
    """What does not change the answer."""
    normalise: tuple[NormaliseSpec, ...] = Field(default=(), max_length=16)
    """What within a text does not."""
    headers: tuple[HeaderName, ...] = ()
    """Request headers that choose the answer, also for those who share answers."""
    depends: Annotated[dict[str, str], AfterValidator(_places)] = Field(default_factory=dict)
    """What answers depend on, and where a request says it: a JSONPath, or `header:NAME`. A tag with a `*`, such as
    `doc:*`, takes what is found there in its place; of any other tag it is the version."""
    when: dict[HeaderName, str] = Field(default_factory=dict)
    """Only requests with such headers: patterns of their values, `*` for anything, in any case."""
    websocket: Literal["pass", "refuse"] = "pass"
    """What becomes of a WebSocket, in which nothing can be found; refused with 426, some clients ask without one."""
    upstream: str | None = Field(default=None, pattern=r"^https?://[^/\s]+$")
    """Where misses go instead of the host that was called: `http://10.0.0.5:8000`."""

    match: MatchMode | None = None
    max_error: float | None = Field(default=None, gt=0, lt=1)
    audit: float | None = Field(default=None, ge=0, le=1)
    audits_per_hour: int | None = Field(default=None, ge=0)
    approve: bool | None = None
    ttl: Duration | None = None
    scope: str | None = Field(default=None, pattern=Behaviour.model_fields["scope"].metadata[0].pattern)
    max_temperature: float | None = Field(default=None, ge=0)
    max_answer: Size | None = None
    usage: Literal["original", "zero"] | None = None
    stale_while_revalidate: Duration | None = None
    stale_if_error: Duration | None = None
    ignore_headers: tuple[Annotated[HeaderName, AfterValidator(_names_nobody)], ...] | None = None
    reuse: ReuseSpec | None = None
    personal_data: PersonalData | None = None

    def behaviour(self, defaults: Behaviour) -> Behaviour:
        """The defaults, with what this rule says laid over them."""
        own = {name: value for name in Behaviour.model_fields if (value := getattr(self, name)) is not None}
        if self.reuse:
            own["reuse"] = self.reuse.over(defaults.reuse)
        return defaults.model_copy(update=own)


class VerifierSpec(Section):
    """An LLM that is asked about near misses. Whoever runs it sees both questions."""

    url: str = Field(pattern=r"^https?://[^/\s]+")
    """The base URL of a chat completions endpoint: `https://api.openai.com/v1`."""
    model: str = Field(min_length=1)
    key: str | None = None
    timeout: Duration = 2.0
    """How long it may take; after that the call is a miss."""
    above: float = Field(default=0.5, ge=0, lt=1)
    """The probability, by the judge, from which it is asked."""
    mode: Literal["ask", "shadow"] = "ask"
    """`ask`: the caller waits for the verdict. `shadow`: it is asked once he has the provider's answer."""
    per_day: int = Field(default=200, ge=0)
    """Questions at most from midnight to midnight (UTC), of `shadow`."""


class CacheSpec(Section):
    """Limits of what is kept, and of how long looking for it may take. Of whoever holds most, the least recently used
    goes first."""

    max_entries: Annotated[int, AT_START] = Field(default=100_000, gt=0)
    max_bytes: Annotated[Size, AT_START] = 2 * 2**30
    max_share: Annotated[float, AT_START] = Field(default=1.0, gt=0, le=1)
    """The part of both that one credential may hold."""
    lookup_deadline: Annotated[Duration, AT_START] = Field(default=0.05, gt=0)
    """After that the call goes to the provider."""
    url: Annotated[Annotated[str, _checked(check_url)] | None, AT_START] = None
    """Of the PostgreSQL database that holds the answers, where several proxies share them; without one they are in the
    data folder."""
    database_schema: Annotated[Annotated[str, _checked(check_schema)], AT_START] = "askonce"
    """Of that database: where the tables are."""
    password: Annotated[str | None, AT_START] = None
    password_file: Annotated[str | None, AT_START] = None
    """A file that holds the password and nothing else, in its place."""

    @model_validator(mode="after")
    def _says_once_who_asks(self) -> Self:
        if self.password and self.password_file:
            raise ValueError("password and password_file are both given; expected one of them")
        return self

    def limits(self) -> CacheLimits:
        """What the answers may take."""
        return CacheLimits(self.max_entries, self.max_bytes, self.max_share)

    def place(self) -> SharedPlace | None:
        """Where the answers are shared; None where they are not. Raises `ConfigError`."""
        if self.url is None:
            return None
        return SharedPlace(self.url, self.database_schema, self.password or _password_in(self.password_file))


def _password_in(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        text = Path(file).expanduser().read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cache.password_file: {file} cannot be read: {error}; expected a password alone") from error
    if not text or "\n" in text:
        raise ConfigError(f"cache.password_file: expected one line in {file}: the password")
    return text


class ScrubSpec(Section):
    """What is taken out of recorded answers: one of a pattern, a place and a header."""

    model_config = ConfigDict(str_strip_whitespace=False)

    pattern: Annotated[str | None, AfterValidator(_regular)] = Field(default=None, min_length=1, max_length=200)
    """A regular expression, in texts of answers and of the conversation before the prompt."""
    path: JsonPath | None = None
    """A place in the answer's body."""
    header: HeaderName | None = None
    """Of the provider's response; it is left out."""
    to: str = "scrubbed"
    """What stands in its place."""

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if sum(one is not None for one in (self.pattern, self.path, self.header)) != 1:
            raise ValueError("expected one of pattern, path and header")
        return self


class CassetteSpec(Section):
    """Files of recorded answers."""

    scrub: tuple[ScrubSpec, ...] = ()


class ManageSpec(Section):
    """The management API: its reserved host, and the token that its users need."""

    host: Annotated[str, AT_START] = Field(default="askonce.internal", pattern=r"^[a-z0-9.-]+$")
    token: Annotated[str | None, AT_START] = Field(default=None, min_length=1)
    aliases: tuple[str, ...] = ()
    """Other names under which clients reach the proxy's own port, such as a container's name."""


class Price(Section):
    """US dollars for a million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class Document(Section):
    """A rules file; a model made from this one may know more sections."""

    version: Literal[1]
    defaults: Behaviour = Behaviour()
    upstreams: tuple[RuleSpec, ...] = Field(min_length=1)
    embedder: Annotated[str, AT_START] = "wordllama"
    judge: Annotated[Literal["auto", "trees", "deep"], AT_START] = "auto"
    verifier: VerifierSpec | None = None
    cache: CacheSpec = CacheSpec()
    limits: LimitsSpec = LimitsSpec()
    cassette: CassetteSpec = CassetteSpec()
    manage: ManageSpec = ManageSpec()
    access: AccessSpec = AccessSpec()
    upstream_proxy: UpstreamProxySection = UpstreamProxySpec()
    prices: dict[str, Price] = Field(default_factory=dict)
    """Instead of the list prices that are shipped, by model: the longest name that a call's model begins with."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [rule.name for rule in self.upstreams]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the name {name!r} is used by more than one entry of upstreams")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a rules file. Raises `ConfigError`."""
        try:
            text = path.read_text("utf-8")
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: expected UTF-8 text: {error.reason} at byte {error.start}") from error
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, name: str = "rules.yaml", environ: Mapping[str, str] = os.environ) -> Self:
        """Check the text of a rules file; `${NAME}` as a whole value is taken from `environ`, null where unset."""
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ConfigError(f"{name}:{line}: not valid YAML: {error.problem}") from error
        except yaml.YAMLError as error:
            raise ConfigError(f"{name}:1: not valid YAML: {error}") from error
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError(f"{name}:1: expected a mapping with version, upstreams, …")
        if repeated := list(repeated_keys(root)):
            raise ConfigError("\n".join(f"{name}:{line}: {what}" for line, what in repeated))
        try:
            return cls.model_validate(_value(root, environ))
        except yaml.YAMLError as error:
            raise ConfigError(f"{name}:1: not valid YAML: {error}") from error
        except ValidationError as error:
            raise ConfigError("\n".join(mistakes(error, root, name, cls))) from error


def _value(node: yaml.Node, environ: Mapping[str, str]) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return _fill(loader.construct_document(node), environ)
    finally:
        loader.dispose()


def _fill(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _fill(item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, environ) for item in value]
    if isinstance(value, str) and (name := variable_in(value)):
        return environ.get(name) or None
    return value


def variable_in(value: str) -> str:
    """The variable that a whole value names, as `${NAME}`; empty where it names none."""
    found = re.fullmatch(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", value)
    return found[1] if found else ""
