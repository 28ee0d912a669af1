"""What an answer depends on, as a request says it: in a header of ours, and where the rule says that it stands.

    X-Askonce-Depends: doc:17@v3, price-list

    Depends    = #( tag [ "@" version ] )        ; a list as in RFC 9110 section 5.6.1
    tag        = version = 1*256depchar
    depchar    = %x21-2B / %x2D-3F / %x41-7E     ; visible ASCII but "," and "@"

One rule: what cannot be read is an error, never a dependency less. An answer that nobody knows to depend on a document
would outlive the document's change.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from askonce import jsontext
from askonce.call import Request
from askonce.rules.patterns import JsonPathQuery, parse_jsonpath

__all__ = ["HEADER", "DependencyPlace", "DependsError", "dependencies", "parse_place", "parse_tag", "read_depends"]

HEADER = "x-askonce-depends"
_IN_HEADER = "header:"
_ONE = re.compile(r"([!-+\--?A-~]{1,256})(?:@([!-+\--?A-~]{1,256}))?")
_MOST = 64
_LONGEST = 512
"""Characters of a version that a rule finds; in a header it has 256, and need not be ASCII here."""


class DependsError(ValueError):
    """What a request depends on cannot be read; the message says where and what was expected."""


@dataclass(frozen=True, slots=True)
class DependencyPlace:
    """Where a rule finds dependencies. With a `*` in its tag, what is found is put there; else it is the version."""

    tag: str
    header: str = ""
    """A request header's name in lower case; or empty, and `path` leads into the body."""
    path: JsonPathQuery | None = None

    def read(self, headers: Mapping[str, str], body: Any) -> Iterator[tuple[str, str]]:
        """Tag and version of each dependency; `body` is a JSON value. Raises DependsError."""
        for text in self._texts(headers, body):
            if "*" in self.tag:
                yield from ((self.tag.replace("*", tag), version) for tag, version in _listed(text, f"{self.tag!r}"))
            elif len(text) > _LONGEST:
                raise DependsError(f"{self.tag!r}: expected a version of at most {_LONGEST} characters")
            else:
                yield self.tag, text

    def _texts(self, headers: Mapping[str, str], body: Any) -> list[str]:
        values = [value for _, value in self.path(body)] if self.path else [headers.get(self.header)]
        return [_text(self.tag, value) for value in values if value is not None]


def dependencies(request: Request, places: Sequence[DependencyPlace] = ()) -> Mapping[str, str]:
    """Tag -> version, empty where none is said, of what the answer to a request depends on; at most 64.

    Raises DependsError."""
    said = request.headers.get(HEADER)
    if said is None and not places:
        return {}
    found = dict(read_depends(said or ""))
    body = _json(request.body) if any(place.path for place in places) else None
    for place in places:
        for tag, version in place.read(request.headers, body):
            _add(found, tag, version, "this rule's depends")
    return found


def read_depends(header: str) -> Mapping[str, str]:
    """The same of a header's value alone. Raises DependsError."""
    found: dict[str, str] = {}
    for tag, version in _listed(header, "X-Askonce-Depends"):
        _add(found, tag, version, "X-Askonce-Depends")
    return found


def parse_tag(text: str) -> tuple[str, str | None]:
    """`doc:17@v3`, or `doc:17` for every version of it. Raises ValueError."""
    if one := _ONE.fullmatch(text):
        return one[1], one[2]
    raise ValueError(f"expected a tag such as doc:17 or doc:17@v3, in visible ASCII without commas; got {text!r}")


def parse_place(tag: str, where: str) -> DependencyPlace:
    """An entry of a rule's `depends`. Raises ValueError."""
    if parse_tag(tag)[1] is not None or tag.count("*") > 1:
        raise ValueError(f"expected a tag such as prices, or one with a * such as doc:*; got {tag!r}")
    if where.startswith(_IN_HEADER):
        name = where.removeprefix(_IN_HEADER).lower()
        if not re.fullmatch(r"[a-z0-9!#$%&'*+.^_`|~-]+", name):
            raise ValueError(f"expected header:NAME; got {where!r}")
        return DependencyPlace(tag, header=name)
    return DependencyPlace(tag, path=parse_jsonpath(where))


def _listed(text: str, where: str) -> Iterator[tuple[str, str]]:
    for item in text.split(","):
        if not (item := item.strip(" \t")):
            continue  # RFC 9110 section 5.6.1.2: a recipient ignores empty elements
        if not (one := _ONE.fullmatch(item)):
            raise DependsError(
                f"{where}: expected tags such as doc:17@v3 with commas between them, tag and version of at most 256 "
                "visible ASCII characters each"
            )
        yield one[1], one[2] or ""


def _add(found: dict[str, str], tag: str, version: str, where: str) -> None:
    if found.setdefault(tag, version) != version:
        raise DependsError(f"{where}: a tag is there with two versions")
    if len(found) > _MOST:
        raise DependsError(f"{where}: expected at most {_MOST} dependencies")


def _text(tag: str, value: Any) -> str:
    if isinstance(value, bool | list | dict):
        raise DependsError(f"{tag!r}: expected texts or numbers where it leads to")
    return value if isinstance(value, str) else jsontext.dumps(value).decode()


def _json(body: bytes) -> Any:
    try:
        return jsontext.loads(body)
    except jsontext.NotJson:
        raise DependsError("this rule's depends: expected a body in JSON") from None
