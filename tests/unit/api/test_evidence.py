"""What was observed, by rule: counts and no text, and advice from them by way of the command's own report."""

from askonce.cache import Observation
from askonce.cache.learning.recalibration import logit
from askonce.cli.live_tables import live_report, show_live


async def test_what_was_observed_is_told_by_rule_and_advice_made_of_it(cache, remember, connect, capsys):
    entry = await remember("What is the capital of France?")
    for right, score, source in [(True, 0.999, "watch")] * 400 + [(False, 0.5, "miss"), (True, 0.7, "verdict")]:
        observed = Observation(entry.partition, entry.tenant, entry.id, logit(score), 0.0, right, source, 1.0)
        cache._store.observe_answer(observed)
    await cache.flush()
    rules = [
        {"name": "openai-chat", "match": "watch", "max_error": 0.02},
        {"name": "other", "match": "semantic", "max_error": 0.05},
    ]
    told = (await connect(rules=lambda: rules).get("/v1/evidence")).raise_for_status().json()
    assert [(one["rule"], one["match"], one["max_error"]) for one in told["rules"]] == [
        ("openai-chat", "watch", 0.02),
        ("other", "semantic", 0.05),
    ]
    assert told["rules"][1]["seen"] == []
    assert told["rules"][0]["seen"] == [
        {"source": "miss", "probability": 0.5, "right": 0, "wrong": 1},
        {"source": "verdict", "probability": 0.7, "right": 1, "wrong": 0},
        {"source": "watch", "probability": 0.999, "right": 400, "wrong": 0},
    ]
    report = live_report(told["rules"], None, 0.95)
    assert [(one["rule"], one["say"], one["lines"]) for one in report["rules"]] == [
        ("openai-chat", "loosen", ["match: semantic", "max_error: 0.02"])
    ]
    show_live(report)
    shown = capsys.readouterr().out
    assert shown.startswith("openai-chat: loosen\n")
    assert "verdict 1 right and 0 wrong" in shown
    show_live({"confidence": 0.95, "rules": []})
    assert "nothing was seen yet" in capsys.readouterr().out
