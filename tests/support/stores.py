"""Both stores of answers, for tests of what stands on them: those that are marked `both_stores`."""

import pytest
from tests.waiting import PATIENCE

from askonce.cache.store.shared import lease, reading, writer

__all__ = ["be_patient"]


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a database may take long, and nobody gives up."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", PATIENCE)
    monkeypatch.setattr(lease, "BEAT_PATIENCE", PATIENCE)
    monkeypatch.setattr(reading, "LOOK_SECONDS", PATIENCE)
    monkeypatch.setattr(writer, "WRITE_SECONDS", PATIENCE)
