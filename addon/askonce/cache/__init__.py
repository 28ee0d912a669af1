"""What may be equal, what is near, whether it is the same question, and where answers are kept."""

from askonce.cache.approval import REJECTED, WAITING, Approval, approval_of, awaiting, unapproved
from askonce.cache.cache import Cache, CacheLimits, Lookup, Policy
from askonce.cache.embed import ClientOptions, Embedder, load_embedder
from askonce.cache.identity import REPEAT, Identifier, Identity
from askonce.cache.judge import Candidate, Judge, Judgement, Vector
from askonce.cache.learning.answer_comparison import Verdict, compare_bodies
from askonce.cache.learning.pools import Observation
from askonce.cache.learning.recalibration import probability
from askonce.cache.lookup import ALIAS, EMBEDDER_FAILED, watched
from askonce.cache.named_store import Item, Match, NamedStores, Strategy, TextError
from askonce.cache.pending import Pending
from askonce.cache.store import Entry, Filter, InUseError, StoreError
from askonce.cache.transfer import FOREVER, Record, TransferError, read_record, write_record
from askonce.cache.why import ComparedCall, Difference, Nearest

__all__ = [
    "ALIAS",
    "EMBEDDER_FAILED",
    "FOREVER",
    "REJECTED",
    "REPEAT",
    "WAITING",
    "Approval",
    "Cache",
    "CacheLimits",
    "Candidate",
    "ClientOptions",
    "ComparedCall",
    "Difference",
    "Embedder",
    "Entry",
    "Filter",
    "Identifier",
    "Identity",
    "InUseError",
    "Item",
    "Judge",
    "Judgement",
    "Lookup",
    "Match",
    "NamedStores",
    "Nearest",
    "Observation",
    "Pending",
    "Policy",
    "Record",
    "StoreError",
    "Strategy",
    "TextError",
    "TransferError",
    "Vector",
    "Verdict",
    "approval_of",
    "awaiting",
    "compare_bodies",
    "load_embedder",
    "probability",
    "read_record",
    "unapproved",
    "watched",
    "write_record",
]
