"""Calls that are over."""

import dataclasses

from askonce.accounting import CallRecord
from askonce.call import Usage

HIT = CallRecord(
    outcome="exact",
    upstream="openai-chat",
    wire="openai-chat",
    model="gpt-4o",
    status=200,
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
