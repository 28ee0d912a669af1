"""What became of every call: one table of counts, from which each statistic and each metric is a projection.

One rule: whoever wants a figure reads it from the table, so that two places cannot count the same thing differently.
"""

from askonce.accounting.accounting import Accounting
from askonce.accounting.labels import Labels
from askonce.accounting.records import OUTCOMES, Agreed, CallRecord, Outcome, StoreRequest, Watched
from askonce.accounting.stats import Stats
from askonce.accounting.tally import BUCKETS, Exemplar, Tally, Totals

__all__ = [
    "BUCKETS",
    "OUTCOMES",
    "Accounting",
    "Agreed",
    "CallRecord",
    "Exemplar",
    "Labels",
    "Outcome",
    "Stats",
    "StoreRequest",
    "Tally",
    "Totals",
    "Watched",
]
