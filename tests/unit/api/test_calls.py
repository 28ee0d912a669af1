"""The last calls and what became of calls over time, as routes."""

import pytest
from tests.support.records import record

from askonce.accounting import Accounting, CallRecord
from askonce.accounting.history import History
from askonce.call import Usage
from askonce.faults import Faults


def numbered(number: int = 0, **more) -> CallRecord:
    return record(**{"upstream": "chat", "prompt": f"Question {number}", "usage": Usage(10, 5)} | more)


async def test_calls_come_in_order_and_those_after_a_number_alone(client, accounting):
    assert (await client.get("/v1/calls")).json()["calls"] == []
    for number in range(1, 6):
        accounting.record(numbered(number))
    told = (await client.get("/v1/calls?limit=2")).json()
    assert (told["last"], [call["prompt"] for call in told["calls"]]) == (5, ["Question 1", "Question 2"])
    told = (await client.get("/v1/calls?after=4")).json()
    assert [(call["number"], call["prompt"]) for call in told["calls"]] == [(5, "Question 5")]
    assert (await client.get("/v1/calls?after=5")).json()["calls"] == []
    assert (await client.get("/v1/calls?after=99")).json()["calls"] == []
    assert (await client.get("/v1/calls?behind=5")).status_code == 400


def test_only_the_last_calls_are_held():
    accounting = Accounting()
    for number in range(2_500):
        accounting.record(numbered(number))
    held = accounting.after(0, 10_000)
    assert (len(held), held[0][0], held[-1][0], held[0][2].prompt) == (2_000, 501, 2_500, "Question 500")
    assert len(accounting.stats()["latest"]) == 50


async def test_a_call_is_explained_by_its_number(client, accounting):
    accounting.record(numbered(1, detail="no entry", asked="ab" * 16))
    accounting.record(numbered(2, outcome="bypass", detail="no-store", prompt=""))
    told = (await client.get("/v1/why?call=1")).json()
    assert (told["prompt"], told["call"]["detail"]) == ("Question 1", "no entry")
    assert (await client.get("/v1/why?call=2")).json()["prompt"] is None
    assert (await client.get("/v1/why?call=3")).status_code == 404
    assert (await client.get("/v1/why?call=1&last=1")).status_code == 400


@pytest.fixture
def history(tmp_path, clock) -> History:
    return History(tmp_path, Faults(), clock)


async def test_history_is_summed_up_by_what_is_asked(connect, history, clock):
    for model, namespace, outcome in (("a", "", "miss"), ("a", "x", "exact"), ("b", "x", "semantic")):
        more = {"seconds_saved": 1.0, "money_saved": 0.25, "parts": {"credential": f"of {outcome}"}}
        history.count(numbered(namespace=namespace, outcome=outcome, **more), model)
        clock.now += 600

    async def read(since, until):
        return history.read(since, until)

    client = connect(history=read, clock=clock)
    told = (await client.get("/v1/history")).json()
    assert (told["step"], len(told["points"]), told["total"]["seconds_saved"]) == (600, 3, 2.0)
    assert told["models"]["a"]["miss"] == 1 and set(told["namespaces"]) == {"", "x"}
    narrowed = (await client.get("/v1/history?namespace=x&seconds=2592000")).json()
    assert (narrowed["step"], len(narrowed["points"]), narrowed["total"]["semantic"]) == (21600, 1, 1)
    assert narrowed["total"]["usd_saved"] == 0.5
    assert (await client.get("/v1/history?namespace=")).json()["total"]["miss"] == 1
    of_one = (await client.get("/v1/history?caller=of+exact")).json()
    assert (of_one["total"]["exact"], of_one["total"]["miss"], list(of_one["callers"])) == (1, 0, ["of exact"])
    assert (await client.get("/v1/history?seconds=5")).status_code == 400


async def test_a_history_that_cannot_be_read_is_told(connect):
    async def read(since, until):
        raise OSError("history.db cannot be read: disk I/O error")

    told = await connect(history=read).get("/v1/history")
    assert (told.status_code, told.json()) == (503, {"error": "history.db cannot be read: disk I/O error"})
