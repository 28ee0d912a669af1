"""The tables: made once, refused where they are newer, and whole or in parts all the same."""

import threading

import numpy as np
import psycopg
import pytest
from tests.support.entries import NOW, P, with_vector
from tests.support.postgres import Postgres
from tests.support.waiting import PATIENCE

from askonce.cache.store import CacheLimits, SharedPlace, StoreError
from askonce.cache.store.shared import schema
from askonce.cache.store.shared.answers import SharedAnswers
from askonce.faults import Faults


def opened(place: SharedPlace) -> SharedAnswers:
    return SharedAnswers(place, CacheLimits(), clock=lambda: NOW, faults=Faults())


def made(connection: psycopg.Connection, place: SharedPlace) -> list[tuple[object, ...]]:
    query = (
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = %s "
        "ORDER BY table_name, ordinal_position"
    )
    return connection.execute(query, [place.schema]).fetchall()


def test_a_newer_schema_is_refused_and_left_alone(postgres: Postgres, place: SharedPlace) -> None:
    with postgres.connect() as connection:
        schema.prepare(connection, place.schema)
        newer = schema.VERSION + 1
        connection.execute(f"UPDATE {place.schema}.meta SET value = '{newer}' WHERE name = 'version'".encode())
        before = made(connection, place)
        with pytest.raises(StoreError, match=rf"newer Askonce \(schema {newer}, this one knows {schema.VERSION}\)"):
            opened(place)
        assert made(connection, place) == before and schema.version_of(connection, place.schema) == newer


def test_tables_of_an_older_askonce_become_those_of_this_one(postgres: Postgres, place: SharedPlace) -> None:
    with postgres.connect() as connection:
        schema.prepare(connection, place.schema)
        now = made(connection, place)
        connection.execute(f"DROP TABLE {place.schema}.flight".encode())
        connection.execute(f"UPDATE {place.schema}.meta SET value = '1' WHERE name = 'version'".encode())
        schema.prepare(connection, place.schema)
        assert made(connection, place) == now and schema.version_of(connection, place.schema) == schema.VERSION


def test_many_make_the_tables_once(place: SharedPlace) -> None:
    stores: list[SharedAnswers] = []
    threads = [threading.Thread(target=lambda: stores.append(opened(place))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len({store.secret() for store in stores}) == 1 and len(stores) == 4
    finally:
        for store in stores:
            store.close()


def test_the_partition_is_the_first_column_of_every_key(postgres: Postgres, place: SharedPlace) -> None:
    with postgres.connect() as connection:
        schema.prepare(connection, place.schema)
        query = (
            "SELECT relname, (SELECT attname FROM pg_attribute WHERE attrelid = indrelid AND attnum = indkey[0]) "
            "FROM pg_index JOIN pg_class ON pg_class.oid = indrelid "
            "WHERE indisprimary AND relnamespace = %s::regnamespace AND relname = ANY(%s)"
        )
        spread = ["entry", "usage", "vector", "observation", "alias"]
        keys = connection.execute(query, [place.schema, spread]).fetchall()
    assert dict(keys) == dict.fromkeys(spread, "partition")


def test_tables_in_parts_hold_the_same_and_a_look_up_asks_one_part(postgres: Postgres, place: SharedPlace) -> None:
    with postgres.connect() as connection:
        schema.prepare(connection, place.schema, partitions=4)
    store = opened(place)
    try:
        partitions = [bytes([number]) * 16 for number in range(12)]
        kept = [store.put(with_vector(n, one, labels={"a": "1"})).result(PATIENCE) for n, one in enumerate(partitions)]
        for one in kept:
            assert store.take(one.partition, [one.id]) == {one.id: one}
            assert [near.id for near in store.nearest(one.partition, EMBEDDER, ONES, 5)] == [one.id]
        store.touch(kept[0].partition, kept[0].id)
        assert store.delete(kept[1].key).result(PATIENCE) and store.count() == 11
        with postgres.connect() as connection:
            s = place.schema
            parts = connection.execute(f"SELECT count(DISTINCT tableoid) FROM {s}.entry".encode()).fetchone()
            asked = f"EXPLAIN SELECT * FROM {s}.entry WHERE partition = %s AND key = %s".encode()
            plan = str(connection.execute(asked, [P, bytes(16)]).fetchall())
        assert (parts and parts[0] > 1 and plan.count("entry_") == plan.count("entry_pkey") + 1) or "Append" not in plan
    finally:
        store.close()


class Embedding:
    name, dimension, limit = "e", 4, 400


EMBEDDER = Embedding()
ONES = np.full(4, 0.5, np.float32)
