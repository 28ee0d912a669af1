"""The log for people and for programs."""

import json
import logging
import sys
from datetime import datetime

from askonce.proxy.log_format import formatter


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("askonce", logging.WARNING, __file__, 1, message, arguments, None)


def test_a_line_for_programs_is_one_object() -> None:
    made = record("store: %s; answers are not kept\nmore", "the disk is full \udcff")
    line = formatter("json").format(made)
    assert "\n" not in line
    told = json.loads(line)
    assert abs(datetime.fromisoformat(told.pop("time")).timestamp() - made.created) < 0.002
    assert told == {
        "level": "warning",
        "logger": "askonce",
        "message": "store: the disk is full ?; answers are not kept\nmore",
    }


def test_where_it_was_raised_stands_beside_it() -> None:
    made = record("oops")
    try:
        raise RuntimeError("no")
    except RuntimeError:
        made.exc_info = sys.exc_info()
    assert json.loads(formatter("json").format(made))["exception"].endswith("RuntimeError: no")


def test_a_line_for_people_is_as_it_was() -> None:
    assert formatter("text").format(record("listening on %s", "a")).endswith(" WARNING listening on a")
