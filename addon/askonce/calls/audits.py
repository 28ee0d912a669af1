"""Semantic hits that the provider is asked about as well, now and then: its answer says whether they were right.

One rule: a check costs what a call costs, so that all of them are bounded by the hour, and those of one caller once
more.
"""

from askonce.cache import Identity, Lookup
from askonce.call import Request
from askonce.calls.refresh import Refreshes
from askonce.calls.state import Exchange
from askonce.network.rate_limits import Rates
from askonce.rules import Rule

__all__ = ["Audits"]

_HOUR = 3600
_CALLERS = 4
"""One caller may use up a fourth of what checks may cost."""
_AWAITED = 64
"""Checks whose answers are awaited; of one that failed nothing is heard."""


class Audits:
    """The checks of served hits. Belongs to one event loop."""

    def __init__(self, refreshes: Refreshes) -> None:
        self._refreshes = refreshes
        self._due = dict[str, float]()
        """By rule; at 1 the next hit is checked."""
        self._checked = dict[bytes, Lookup]()
        """Exact key -> the hit that is being checked."""
        self._rates = Rates()

    def consider(self, exchange: Exchange, request: Request, identity: Identity) -> None:
        """Have the provider asked what was just answered, where that is due; `request` is what it is asked with."""
        found, rule = exchange.lookup, exchange.rule
        if not found or found.outcome != "semantic" or found.stale or exchange.directives.only_if_cached:
            return
        if not found.weighed or not found.weighed.comparable:
            return  # a call that teaches nothing, whatever the provider says
        due = self._due.get(rule.name, 0.0) + rule.behaviour.audit
        may = due >= 1 and exchange.may_be_asked_again and self._may_cost(rule, identity)
        if may and self._refreshes.ask_again(rule, request, identity):
            due -= 1
            if len(self._checked) >= _AWAITED:
                self._checked.clear()
            self._checked[identity.exact] = found
        self._due[rule.name] = min(due, 1.0)

    def checked_by(self, identity: Identity) -> Lookup | None:
        """The hit that the answer to this call checks, told once; None where it checks none."""
        return self._checked.pop(identity.exact, None)

    def _may_cost(self, rule: Rule, identity: Identity) -> bool:
        """Whether one more check is within the hour's bound: one caller shall neither run up the bill of all nor leave
        the others unchecked."""
        most = rule.behaviour.audits_per_hour
        own = max(1, most // _CALLERS)
        return (
            most > 0
            and self._rates.count(own, _HOUR, str(own), rule.name, identity.tenant).allowed
            and self._rates.count(most, _HOUR, str(most), rule.name).allowed
        )
