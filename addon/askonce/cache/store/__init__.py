"""The store of answers: `protocol` is what the rest knows of it, `embedded/` keeps it in a folder, `shared/` in
PostgreSQL."""

from askonce.cache.store.entry import Entry, Filter, InUseError, StoreError
from askonce.cache.store.opening import check_folder, open_answers
from askonce.cache.store.place import SharedPlace
from askonce.cache.store.protocol import EVERYTHING, AnswerStore, CacheLimits, NotAtOnceError, StoreStats

__all__ = [
    "EVERYTHING",
    "AnswerStore",
    "CacheLimits",
    "Entry",
    "Filter",
    "InUseError",
    "NotAtOnceError",
    "SharedPlace",
    "StoreError",
    "StoreStats",
    "check_folder",
    "open_answers",
]
