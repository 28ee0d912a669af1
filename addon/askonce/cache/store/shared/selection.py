"""Which entries a `Filter` names, in PostgreSQL's words. One rule: what a caller wrote is a value, never a word."""

from typing import Any

from askonce.cache.store.entry import Filter
from askonce.cache.store.shared.values import text

__all__ = ["where"]

_LABELLED = (
    "EXISTS (SELECT FROM {s}.label AS label WHERE label.partition = entry.partition AND label.id = entry.id "
    "AND md5(label.name) = md5(%s) AND label.name = %s"
)
_VALUED = " AND md5(label.value) = md5(%s) AND label.value = %s"


def where(filter: Filter) -> tuple[str, list[Any]]:
    """The condition over `entry`, and its values. Raises ValueError for a text that cannot be in the database."""
    terms: list[str] = []
    values: list[Any] = []

    def add(term: str, *given: Any) -> None:
        terms.append(term)
        values.extend(given)

    for name in ("upstream", "model", "namespace"):
        if (value := getattr(filter, name)) is not None:
            add(f"entry.{name} = %s", text(value))
    if filter.partition is not None:
        add("entry.partition = %s", filter.partition)
    if filter.since is not None:
        add("entry.created >= %s", filter.since)
    if filter.prompt is not None:
        escaped = text(filter.prompt).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        add("entry.prompt ILIKE %s", f"%{escaped}%")
    if filter.alive is not None:
        add("entry.expires > %s", filter.alive)
    if filter.semantic is not None:
        add(f"entry.embedder {'!=' if filter.semantic else '='} ''")
    if filter.keys is not None:
        add("entry.key BETWEEN %s AND %s", *filter.keys)
    if filter.upstreams is not None:
        add("entry.upstream = ANY(%s)", [text(name) for name in filter.upstreams])
    if filter.without is not None:
        add(f"NOT {_LABELLED})", *[text(filter.without)] * 2)
    for name, value in (filter.labels or {}).items():
        named = [text(name)] * 2
        if value is None:
            add(f"{_LABELLED})", *named)
        else:
            add(f"{_LABELLED}{_VALUED})", *named, *[text(value)] * 2)
    return " AND ".join(terms) or "true", values
