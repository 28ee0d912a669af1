import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.shared.trials import rules_for
from tests.support.postgres import Postgres

from askonce.cache.store import SharedPlace
from askonce.cache.store.shared.schema import VERSION

type Askonce = Callable[..., Any]


@pytest.fixture
def rules(place: SharedPlace, tmp_path: Path) -> Path:
    file = tmp_path / "shared.yaml"
    file.write_text(rules_for(place))
    return file


def test_tables_are_made_and_looked_at(askonce: Askonce, rules: Path, place: SharedPlace) -> None:
    named = place.beside("named_stores").schema
    before = askonce("store", "check", "--rules", rules)
    assert (before.code, before.err) == (0, "")
    assert before.out.startswith("PostgreSQL ") and before.out.endswith(f"{named}: no tables yet\n")
    made = askonce("store", "migrate", "--rules", rules, "--partitions", "2")
    assert made.out == f"{place.schema}: schema 0 -> {VERSION}\n{named}: schema 0 -> {VERSION}\n"
    assert askonce("store", "migrate", "--rules", rules).out.startswith(f"{place.schema}: schema {VERSION} already\n")
    again = askonce("store", "migrate", "--rules", rules, "--partitions", "2")
    assert (again.code, again.out) == (1, "") and "there are tables in schema" in again.err
    seen = json.loads(askonce("store", "check", "--rules", rules, "--json").out)
    assert {name: (one["schema"], one["entries"], one["proxies"]) for name, one in seen.items()} == {
        place.schema: (VERSION, 0, 0),
        named: (VERSION, 0, 0),
    }


def test_somebody_else_may_make_the_tables(
    askonce: Askonce, rules: Path, place: SharedPlace, postgres: Postgres
) -> None:
    printed = askonce("store", "ddl", "--rules", rules).out
    with postgres.connect() as connection:
        connection.execute(printed.encode())
    assert askonce("store", "migrate", "--rules", rules).out.startswith(f"{place.schema}: schema {VERSION} already\n")


def test_what_cannot_be_used_is_one_line(askonce: Askonce, tmp_path: Path) -> None:
    rules = tmp_path / "other.yaml"
    rules.write_text(rules_for(SharedPlace("postgresql://nobody@/d?host=/nowhere")))
    done = askonce("store", "check", "--rules", rules)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("askonce: the cache could not use the database at /nowhere/d: ")
    rules.write_text(rules.read_text().rpartition("cache:")[0])
    done = askonce("store", "migrate", "--rules", rules)
    assert (done.code, done.err) == (2, f"askonce: {rules}: expected cache.url, the database to share; there is none\n")
