import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.shared.trials import rules_for
from tests.support.postgres import Postgres

from askonce.cache.store import CacheLimits, SharedPlace, open_answers
from askonce.cache.store.shared.schema import VERSION
from askonce.faults import Faults

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


def test_answers_are_copied_there_and_back(askonce: Askonce, rules: Path, place: SharedPlace, tmp_path: Path) -> None:
    data = tmp_path / "answers"
    nothing = askonce("store", "copy", "--to", "database", "--rules", rules, "--data", data)
    assert nothing.code == 0 and nothing.out.count("no answers") == 2
    open_answers(data, CacheLimits(), time.time, Faults()).close()
    there = askonce("store", "copy", "--to", "database", "--rules", rules, "--data", data)
    assert (there.code, there.err) == (0, "")
    assert there.out.startswith(f"{place.schema}: 0 answers copied, 0 there already")
    back = askonce("store", "copy", "--to", "folder", "--rules", rules, "--data", tmp_path / "back")
    assert back.code == 0 and back.out.count("0 answers copied") == 2
    wrong = askonce("store", "copy", "--to", "nowhere", "--rules", rules)
    assert wrong.code == 2 and "--to: expected database or folder" in wrong.err
