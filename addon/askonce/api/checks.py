"""How Askonce is, part by part, each in a sentence that says what to do.

The rule: what is told was found now, not at the start.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from fastapi.params import Depends
from pydantic import BaseModel, Field

from askonce import trust
from askonce.api.errors import RESPONSES
from askonce.api.product_routes import Shared
from askonce.workers import Compute

__all__ = ["Parts", "router"]

CheckState = Literal["ok", "warning", "failing"]

_LITTLE = 1 << 30
"""Bytes of a disk below which it is said to be nearly full."""
_SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Parts:
    """What is looked at besides the cache and the accounting."""

    data: Path
    certificates: Path
    judge: str
    """Its name in rules.yaml."""
    run: Compute


class Check(BaseModel):
    """How one part is."""

    name: str
    state: CheckState
    says: str = Field(description="A sentence.")


class Checks(BaseModel):
    """How all parts are, those that fail first."""

    checks: list[Check]


def router(shared: Shared, parts: Parts, *, protected: Sequence[Depends]) -> APIRouter:
    """The route /v1/checks."""
    routes = APIRouter(tags=["health"], dependencies=list(protected), responses=RESPONSES)

    @routes.get("/v1/checks")
    async def list_checks() -> Checks:
        """How each part is: the proxy, the store, the disk, the embedder, the judge, the certificate, the providers."""
        found = [_proxy(shared.ready()), _store(shared), *await parts.run(lambda: _on_disk(parts))]
        found += [_embedder(shared.cache.stats()["embedder"]), Check(name="judge", state="ok", says=f"{parts.judge}.")]
        found += [*_providers(shared.accounting.providers()), _faults(shared.accounting.faults())]
        return Checks(checks=sorted(found, key=lambda check: ("failing", "warning", "ok").index(check.state)))

    return routes


def _proxy(reason: str | None) -> Check:
    return Check(name="proxy", state="failing" if reason else "ok", says=f"{reason or 'Takes calls'}.")


def _store(shared: Shared) -> Check:
    stats, failure = shared.cache.stats(), shared.cache.failure
    if failure:
        return Check(name="store", state="failing", says=f"{failure}; no answer is kept until that is mended.")
    return Check(name="store", state="ok", says=f"{stats['entries']:,} answers in {stats['bytes']:,} bytes.")


def _on_disk(parts: Parts) -> list[Check]:
    return [_told("disk", lambda: _disk(parts.data)), _told("certificate", lambda: _certificate(parts.certificates))]


def _told(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except (OSError, ValueError) as error:
        return Check(name=name, state="failing", says=f"{error}.")


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    return Check(
        name="disk",
        state="warning" if free < _LITTLE else "ok",
        says=f"{free / (1 << 30):,.1f} GiB are free for {folder}.",
    )


def _certificate(folder: Path) -> Check:
    ends = trust.ca_info(folder).not_after
    left = ends - datetime.now(UTC)
    state: CheckState = "failing" if left < timedelta(0) else "warning" if left < _SOON else "ok"
    return Check(name="certificate", state=state, says=f"The authority is valid until {ends:%Y-%m-%d}.")


def _embedder(name: str) -> Check:
    if not name:
        return Check(
            name="embedder", state="warning", says="There is none, or not yet: only identical calls are answered."
        )
    return Check(name="embedder", state="ok", says=f"{name}.")


def _providers(answering: dict[str, bool]) -> list[Check]:
    return [
        Check(
            name=f"provider of {rule}",
            state="ok" if well else "warning",
            says=f"{'Answered' if well else 'Failed'} last.",
        )
        for rule, well in sorted(answering.items())
    ]


def _faults(faults: dict[str, int]) -> Check:
    told = ", ".join(f"{kind} ({count:,})" for kind, count in sorted(faults.items()))
    says = (
        f"Since the start: {told}. Each was a miss to the app; the log says more." if told else "None since the start."
    )
    return Check(name="faults", state="warning" if told else "ok", says=says)
