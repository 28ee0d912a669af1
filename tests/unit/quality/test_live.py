"""What evidence says of a rule's setting, and that nothing is loosened which it does not show."""

import pytest

from askonce.quality.live import Proven, advise

SURE, FAIR = 0.99, 0.9


def test_without_evidence_all_stays() -> None:
    advice = advise([], match="semantic", max_error=0.02)
    assert (advice.say, advice.lines, advice.now.served) == ("keep", (), 0)
    assert advice.needed > 149, "one bound for each value that could be chosen"


@pytest.mark.parametrize("match", ["watch", "exact"])
def test_what_is_shown_to_keep_within_the_target_is_to_be_served(match: str) -> None:
    advice = advise([Proven(SURE, 400, 0)], match=match, max_error=0.02)
    assert (advice.say, advice.lines) == ("loosen", ("match: semantic", "max_error: 0.02"))
    assert advise([Proven(SURE, 100, 0)], match=match, max_error=0.02).say == "keep"


def test_a_target_above_the_setting_may_be_used() -> None:
    seen = [Proven(SURE, 400, 0), Proven(FAIR, 400, 20)]
    assert advise(seen, match="semantic", max_error=0.02).say == "keep"
    advice = advise(seen, match="semantic", max_error=0.02, target=0.1)
    assert (advice.say, advice.lines) == ("loosen", ("max_error: 0.1",))
    assert advise(seen, match="semantic", max_error=0.02, target=0.05).lines == ("max_error: 0.05",)


def test_what_is_shown_to_break_the_target_is_tightened() -> None:
    seen = [Proven(0.995, 1000, 0), Proven(0.985, 100, 40)]
    advice = advise(seen, match="semantic", max_error=0.02)
    assert (advice.say, advice.lines, advice.now.wrong) == ("tighten", ("max_error: 0.01",), 40)
    assert advise([Proven(0.985, 100, 40)], match="semantic", max_error=0.02).lines == ("match: watch",)


def test_a_few_that_were_wrong_show_nothing() -> None:
    assert advise([Proven(SURE, 40, 1)], match="semantic", max_error=0.02).say == "keep"


def test_what_a_rule_that_only_watches_would_serve_wrongly_is_left() -> None:
    assert advise([Proven(SURE, 40, 40)], match="watch", max_error=0.02).say == "keep"
