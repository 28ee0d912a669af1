"""What may be equal, what is near, whether it is the same question, and where answers are kept."""

from askonce.cache.cache import Cache, Limits, Lookup, Policy
from askonce.cache.embed import Embedder, load_embedder
from askonce.cache.identity import Identifier, Identity, credential
from askonce.cache.judge import Candidate, Judge, Judgement, Vector
from askonce.cache.store import Entry, Filter, StoreError

__all__ = [
    "Cache",
    "Candidate",
    "Embedder",
    "Entry",
    "Filter",
    "Identifier",
    "Identity",
    "Judge",
    "Judgement",
    "Limits",
    "Lookup",
    "Policy",
    "StoreError",
    "Vector",
    "credential",
    "load_embedder",
]
