"""`askonce bench workers`, with few calls: what it measures, and that it leaves nothing behind."""

import io
import os
import sys

import pytest
from rich.console import Console
from tests.support.postgres import Postgres

from askonce.lab.bench_workers import workers


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone shares a port's connections out")
def test_one_worker_and_two_are_measured_and_nothing_is_left(postgres: Postgres) -> None:
    said, affinity = io.StringIO(), os.sched_getaffinity(0)
    measured = workers(Console(file=said, width=120), postgres.place(), rounds=1, calls=80)
    assert measured["1_ratio"] == measured["1_cpu_ratio"] == 1
    assert all(measured[f"2_{figure}"] > 0 for figure in ("per_second", "ratio", "cpu_ratio"))
    assert "cores; the clients had" in said.getvalue() and os.sched_getaffinity(0) == affinity
    with postgres.connect() as connection:
        left = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'askonce_bench%'").fetchall()
    assert not left
