"""Opens the store of answers. One rule: nobody else knows which one it is."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from askonce.cache.store.embedded import database
from askonce.cache.store.embedded.answers import EmbeddedAnswers
from askonce.cache.store.entry import StoreError
from askonce.cache.store.place import SharedPlace
from askonce.cache.store.protocol import AnswerStore, CacheLimits
from askonce.faults import Faults
from askonce.files import make_folder

__all__ = ["check_folder", "open_answers", "upkeep"]


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
    _need_client()
    from askonce.cache.store.shared.answers import SharedAnswers

    try:
        make_folder(directory)
    except OSError as error:
        raise StoreError(f"{directory} cannot be made: {error}") from error
    folder = database.lock(directory)  # what else is in it belongs to one process all the same
    try:
        return SharedAnswers(shared, limits, clock=clock, faults=faults, closing=folder.close)
    except BaseException:
        folder.close()
        raise


def upkeep() -> ModuleType:
    """What the keepers of a shared store ask for: `shared/upkeep.py`. Raises StoreError where psycopg is missing."""
    _need_client()
    from askonce.cache.store.shared import upkeep

    return upkeep


def _need_client() -> None:
    try:
        import psycopg_pool  # noqa: F401
    except ImportError as error:
        raise StoreError(f"a shared store needs psycopg ({error}): pip install 'askonce[shared]'") from error


def check_folder(directory: Path) -> None:
    """Raises InUseError where another process holds the folder, StoreError where it cannot be used."""
    database.lock(directory).close()
