"""Opens the store of answers. One rule: nobody else knows which one it is."""

from collections.abc import Callable
from pathlib import Path

from askonce.cache.store.embedded import database
from askonce.cache.store.embedded.answers import EmbeddedAnswers
from askonce.cache.store.entry import StoreError
from askonce.cache.store.place import SharedPlace
from askonce.cache.store.protocol import AnswerStore, CacheLimits
from askonce.faults import Faults

__all__ = ["check_folder", "open_answers"]


def open_answers(
    directory: Path,
    limits: CacheLimits,
    clock: Callable[[], float],
    faults: Faults,
    shared: SharedPlace | None = None,
) -> AnswerStore:
    """The store in `directory`, made where missing, held for this process alone; or the one at `shared`, which others
    use, too.

    Raises StoreError where another process holds it, a newer Askonce wrote it, or the disk or the database cannot be
    used.
    """
    if shared is None:
        return EmbeddedAnswers(directory, limits, clock=clock, faults=faults)
    try:
        from askonce.cache.store.shared.answers import SharedAnswers
    except ImportError as error:
        raise StoreError(f"a shared store needs psycopg ({error}): pip install 'askonce[shared]'") from error
    return SharedAnswers(shared, limits, clock=clock, faults=faults)


def check_folder(directory: Path) -> None:
    """Raises InUseError where another process holds the folder, StoreError where it cannot be used."""
    database.lock(directory).close()
