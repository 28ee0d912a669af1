"""What is known of the decisions, rule by rule: how right the judge's probabilities were.

The rule: counts alone, without any text; what follows from them is for `askonce tune --live` to say.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.params import Depends
from pydantic import BaseModel, Field

from askonce.api.errors import RESPONSES
from askonce.api.rules import DescribeRules
from askonce.cache import Cache, Observation, probability

__all__ = ["router"]

_DIGITS = 4
"""Of a probability; a larger share is asked of no `max_error`."""


class Seen(BaseModel):
    """Candidates of about one probability."""

    source: str = Field(description="`miss`, `audit`, `watch`, `feedback` or `verdict`: how it came out.")
    probability: float = Field(description="The judge's, that the stored answer serves.")
    right: int
    wrong: int


class RuleEvidence(BaseModel):
    rule: str
    match: str
    max_error: float
    seen: list[Seen]


class Evidence(BaseModel):
    """What came of comparing answers, of verdicts, and of what people said, over restarts; the latest 10,000."""

    rules: list[RuleEvidence]


def router(cache: Cache, rules: DescribeRules, *, protected: Sequence[Depends]) -> APIRouter:
    """The route /v1/evidence; `rules` are those in force."""
    routes = APIRouter(tags=["statistics"], dependencies=protected, responses=RESPONSES)

    @routes.get("/v1/evidence")
    async def evidence() -> Evidence:
        """How right the judge was, by rule, source and probability: what `askonce tune --live` goes by."""
        observed = await cache.evidence()
        seen = await cache.run_apart(lambda: _by_rule(observed))
        return Evidence(rules=[_evidence(rule, seen.get(rule["name"], [])) for rule in rules()])

    return routes


def _evidence(rule: Mapping[str, Any], seen: list[Seen]) -> RuleEvidence:
    return RuleEvidence(rule=rule["name"], match=rule["match"], max_error=rule["max_error"], seen=seen)


def _by_rule(observed: Iterable[tuple[str, Observation]]) -> Mapping[str, list[Seen]]:
    counts = Counter[tuple[str, str, float, bool]]()
    for upstream, one in observed:
        counts[upstream, one.source, round(probability(one.score), _DIGITS), one.right] += 1
    found = defaultdict[str, list[Seen]](list)
    for upstream, source, chance in sorted({cell[:3] for cell in counts}):
        right, wrong = (counts[upstream, source, chance, is_right] for is_right in (True, False))
        found[upstream].append(Seen(source=source, probability=chance, right=right, wrong=wrong))
    return found
