"""Calls that are over."""

import dataclasses

from tests.support.records import record

from askonce.call import Usage

HIT = record(
    outcome="exact",
    seconds=0.001,
    decision_seconds=0.0004,
    similarity=1.0,
    usage=Usage(10, 40),
    seconds_saved=0.8,
    money_saved=0.002,
    key="ab",
    endpoint="/v1/chat/completions",
)
MISS = dataclasses.replace(
    HIT, outcome="miss", detail="no entry", seconds=0.8, similarity=None, seconds_saved=0, money_saved=0, stored=True
)
