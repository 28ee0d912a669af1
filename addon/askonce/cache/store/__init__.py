"""Entries on disk: SQLite is the truth."""

from askonce.cache.store.entry import InUseError
from askonce.cache.store.store import Change, Entry, Filter, Store, StoreError

__all__ = ["Change", "Entry", "Filter", "InUseError", "Store", "StoreError"]
