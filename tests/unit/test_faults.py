"""Faults are counted each and said once."""

import logging
from collections import Counter

import pytest

from askonce.faults import Faults


@pytest.fixture
def counted() -> Counter[str]:
    return Counter()


@pytest.fixture
def faults(counted: Counter[str]) -> Faults:
    return Faults(lambda kind: counted.update([kind]))


def test_each_is_counted_and_each_kind_is_said_once(
    faults: Faults, counted: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        faults.report("store", OSError(28, "No space left on device"), "it is not kept")
    faults.report("judge", ValueError("odd"), "the call goes to the provider")
    assert counted == {"store": 3, "judge": 1}
    assert caplog.messages == [
        "store: [Errno 28] No space left on device; it is not kept (said once in ten minutes)",
        "judge: odd; the call goes to the provider (said once in ten minutes)",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_after_ten_minutes_it_is_said_again(
    faults: Faults, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now, said in ((1000.0, 1), (1599.0, 1), (1601.0, 2)):
        monkeypatch.setattr("askonce.faults.time.monotonic", lambda now=now: now)
        faults.report("store", OSError("full"), "it is not kept")
        assert len(caplog.messages) == said


def test_an_error_that_nobody_foresaw_is_said_with_its_place(faults: Faults, caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError
    except KeyError as error:
        faults.report("reading", error, "it is forwarded")
    assert caplog.messages == ["reading: KeyError; it is forwarded (said once in ten minutes)"]
    assert "test_an_error_that_nobody_foresaw" in caplog.text  # the traceback


def test_an_error_in_our_own_words_needs_no_traceback(faults: Faults, caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("expected a JSON object")
    except ValueError as error:
        faults.report("unreadable", error, "it is forwarded")
    assert "Traceback" not in caplog.text
