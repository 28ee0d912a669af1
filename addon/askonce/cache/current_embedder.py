"""The embedder that a cache makes its vectors with: loaded in the background, waited for, and replaced.

One rule: whoever waits for it may stop waiting, and it goes on loading.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future

from askonce.cache.embed import Embedder
from askonce.faults import Faults

__all__ = ["CurrentEmbedder"]


class CurrentEmbedder:
    """The place of one embedder, which is empty until one is loaded. Thread-safe."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._loading = Future[Embedder | None]()

    @property
    def is_loading(self) -> bool:
        return not self._loading.done()

    @property
    def now(self) -> Embedder | None:
        """None where it is still loading, or could not be loaded."""
        return self._loading.result() if self._loading.done() else None

    async def wait(self) -> Embedder | None:
        """It once it is loaded; None where it cannot be."""
        return await asyncio.wrap_future(self._shielded())

    async def wait_for(self, seconds: float) -> None:
        """Wait until it is loaded, or could not be, and no longer than that."""
        await asyncio.wait({asyncio.wrap_future(self._shielded())}, timeout=seconds)

    def load(self, load: Callable[[], Embedder]) -> None:
        """Load it here and now. A failure is reported."""
        embedder = None
        try:
            embedder = load()
        except Exception as error:
            self._faults.report("embedder", error, "only identical questions are recognised")
        self._loading.set_result(embedder)

    def replace(self, embedder: Embedder) -> None:
        """Have another one from now on."""
        loading = Future[Embedder | None]()
        loading.set_result(embedder)
        self._loading = loading

    def give_up(self) -> None:
        """Let nobody wait any longer: its loading was cancelled before it began."""
        if not self._loading.done():
            self._loading.set_result(None)

    def _shielded(self) -> Future[Embedder | None]:
        """The loading embedder, in a future of the caller's own: cancelling it leaves the loading alone."""
        own = Future[Embedder | None]()

        def hand_on(loading: Future[Embedder | None]) -> None:
            if own.set_running_or_notify_cancel():
                own.set_result(loading.result())

        self._loading.add_done_callback(hand_on)
        return own
