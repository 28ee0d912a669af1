import re
from importlib.resources import files

import pytest

from askonce.call import Usage
from askonce.rules import Price
from askonce.rules.prices import Prices, cost, listed


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("gpt-4o", True),
        ("gpt-4o-2024-08-06", True),
        ("claude-sonnet-4-5-20250929", True),
        ("gpt-4o-but-another", False),  # begins like one that is listed, and may cost anything
        ("gpt-4", True),
        ("gpt-47", False),
        ("", False),
        ("a model of our own", False),
    ],
)
def test_a_price_is_known_or_not(model: str, known: bool) -> None:
    assert (Prices({}).of(model) is not None) is known


def test_an_edition_costs_what_its_model_costs() -> None:
    assert Prices({}).of("gemini-2.5-flash-20991231") == Prices({}).of("gemini-2.5-flash")


def test_what_rules_yaml_says_counts_first() -> None:
    own = Price(input=7, output=8)
    prices = Prices({"gpt-4o": own, "house": own})
    assert prices.of("gpt-4o-mini") == prices.of("house-13b") == own
    assert prices.of("gpt-5") == listed()["gpt-5"]


def test_the_list_says_where_and_when_its_prices_were_found() -> None:
    text = files("askonce.rules").joinpath("prices.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    assert len(rows) >= 500
    assert len({row[0] for row in rows}) == len(rows)
    assert all(len(row) == 3 and float(row[1]) >= 0 and float(row[2]) >= 0 for row in rows)
    assert all(float(row[1]) or float(row[2]) for row in rows)
    assert re.search(r"Gathered on \d{4}-\d{2}-\d{2} from", text)
    assert all(re.match(r"# [\w-]+: https://", block) for block in text.split("\n\n")[1:])


def test_a_cost_is_known_where_the_price_is() -> None:
    assert cost(Usage(1_000, 200), Price(input=2, output=10)) == pytest.approx(0.004)
    assert cost(Usage(1_000, 200), None) is None
