"""What mitmproxy does a dozen times for each call, in fewer steps.

One rule: each gives what mitmproxy's own gives. After a wait the processor has none of this code at hand any more, and
pays a microsecond and more for each function on the way: looking up one header took twenty, and each call looks up ten.
Where mitmproxy's code is another than the one it was written for, nothing is replaced.
"""

import copy
from collections.abc import Iterable
from typing import Any

from mitmproxy import connection, http, optmanager
from mitmproxy.coretypes import multidict
from mitmproxy.proxy import context

from askonce.proxy.known_source import is_known

__all__ = ["install", "replacements"]

_PLAIN = frozenset({bool, int, str, type(None)})
"""Types whose values need no copy."""


def _raw(text: str | bytes) -> bytes:
    if isinstance(text, str):
        return text.encode("utf-8", "surrogateescape")
    if not isinstance(text, bytes):
        raise TypeError(f"Expected str or bytes, but got {type(text).__name__}.")
    return text


def _all_of(headers: http.Headers, name: str | bytes) -> list[str]:
    raw = _raw(name).lower()
    return [value.decode("utf-8", "surrogateescape") for key, value in headers.fields if key.lower() == raw]


def _get(headers: http.Headers, name: str | bytes, default: Any = None) -> Any:
    # Not by way of `_all_of`: this is the one that a call does ten times.
    raw = (name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name).lower()
    values = [value for key, value in headers.fields if key.lower() == raw]
    return b", ".join(values).decode("utf-8", "surrogateescape") if values else default


def _item(headers: http.Headers, name: str | bytes) -> str:
    if values := _all_of(headers, name):
        return ", ".join(values)
    raise KeyError(name)


def _has(headers: http.Headers, name: str | bytes) -> bool:
    return bool(_all_of(headers, name))


def _put(headers: http.Headers, name: str | bytes, value: str | bytes) -> None:
    raw, data = _raw(name), _raw(value)
    key = raw.lower()
    before = headers.fields
    at = next((at for at, (other, _) in enumerate(before) if other.lower() == key), None)
    if at is None:
        headers.fields = (*before, (raw, data))
    else:
        after = [field for field in before[at + 1 :] if field[0].lower() != key]
        headers.fields = (*before[:at], (before[at][0], data), *after)


def _make(headers: http.Headers, fields: Iterable[tuple[bytes, bytes]] = (), **more: str | bytes) -> None:
    headers.fields = tuple([(name, value) for name, value in fields])
    for name, value in headers.fields:
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise TypeError("Header fields must be bytes.")
    for key, given in more.items():
        headers[key.replace("_", "-")] = given


def _fork(old: context.Context) -> context.Context:
    new = context.Context.__new__(context.Context)  # whose __init__ makes a server, which fork throws away
    new.client, new.options, new.server, new.layers = old.client, old.options, old.server, old.layers.copy()
    return new


def _current(option: Any) -> Any:
    value = option._default if option.value is optmanager.unset else option.value
    return value if type(value) in _PLAIN else copy.deepcopy(value)


def _is_same(one: connection.Connection, other: object) -> bool:
    # Without the question whether it is a connection, which an abstract class answers slowly.
    return one is other or (type(other) in _CONNECTIONS and one.id == other.id)  # type: ignore[attr-defined]


_CONNECTIONS = frozenset({connection.Client, connection.Server})


def replacements() -> tuple[tuple[Any, dict[str, Any]], ...]:
    """The functions that are replaced, by name, and the class that each is of."""
    return (
        (
            http.Headers,
            {
                "__init__": _make,
                "__getitem__": _item,
                "__setitem__": _put,
                "__contains__": _has,
                "get": _get,
                "get_all": _all_of,
            },
        ),
        # A check of every field's type in every message, there for addons' authors; `python -O` leaves it out as well.
        (http.MessageData, {"__post_init__": lambda _: None}),
        (context.Context, {"fork": _fork}),
        (optmanager._Option, {"current": _current}),
        (connection.Connection, {"__eq__": _is_same}),
    )


def install() -> None:
    """Have mitmproxy do so, in the whole process, where it is the one that this was written for."""
    if not is_known("shorter ways through mitmproxy are", (http, multidict, optmanager, connection, context)):
        return
    for owner, functions in replacements():
        for name, function in functions.items():
            setattr(owner, name, function)
