"""Entries that were written down elsewhere, on their way back into the store.

One rule: every key is checked before anything is kept, so that an answer is found only by the call that it answers.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from askonce.cache.embed import Embedder
from askonce.cache.finder import Finder
from askonce.cache.learning.answer_comparison import kin_of
from askonce.cache.store import AnswerStore
from askonce.cache.transfer import Record

__all__ = ["RESTORED_AT_ONCE", "check_keys", "restore"]

RESTORED_AT_ONCE = 256
"""Entries that are kept together: look-ups wait for the same threads."""


def check_keys(records: Sequence[Record], first: int, key: Callable[[bytes, str], str]) -> None:
    """Raises ValueError for an entry whose key is not that of its prompt, which `key` makes of a partition and a
    prompt; `first` is the number of the first one."""
    for number, (entry, _) in enumerate(records, first):
        if key(entry.partition, entry.prompt) != entry.key:
            raise ValueError(
                f"entry {number}: the key is not that of the prompt {entry.prompt[:60]!r} in this cache: "
                "the prompt was edited, or the entry comes from another cache"
            )


def restore(
    records: Sequence[Record], store: AnswerStore, finder: Finder, embedder: Embedder | None, now: float
) -> int:
    """Keep them, but for those that are over and those that the store has a newer answer for; how many are kept."""
    kept = []
    for entry, semantic in records:
        here = store.get(entry.key)
        # Written down to the microsecond, and so perhaps a little after it was created.
        if now >= entry.stale_until or (here and entry.created - here.created < 1e-6):
            continue
        vector = finder.embed(entry.prompt, embedder)[0] if embedder and semantic else None
        entry = replace(entry, embedder=embedder.name if embedder and vector is not None else "", vector=vector)
        entry = replace(entry, kin=kin_of(entry.answer.body))
        kept.append(store.put(entry))
    for stored in kept:
        stored.result()
    return len(kept)
