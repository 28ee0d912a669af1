"""Everything that lives longer than one call: rules, cache, accounting, and what watches and closes them.

One rule: it is made before any listener opens, so that a mistake in rules.yaml or a data folder that cannot be used
stops the start with a clear error, and never a call.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import watchfiles

from askonce import trust
from askonce.accounting import Accounting
from askonce.cache import Cache, Limits, load_embedder
from askonce.cache.judge import default_judge
from askonce.config import Config, ConfigError, load
from askonce.faults import Faults
from askonce.life import Life
from askonce.rules import Rules
from askonce.settings import Settings

__all__ = ["Runtime"]

logger = logging.getLogger("askonce")


class Runtime:
    """The long-lived half of Askonce. Raises ConfigError or OSError where it cannot start."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        config = load(settings.rules)
        self.rules = Rules(config)
        self.accounting = Accounting()
        self.faults = Faults(self.accounting.fault)
        self.cache = Cache.open(
            settings.data,
            embedder=None if config.embedder == "wordllama" else load_embedder(config.embedder),
            judge=default_judge(),
            limits=Limits(config.cache.max_entries, config.cache.max_bytes),
        )
        self.life = Life(rules=self.rules, cache=self.cache, accounting=self.accounting, faults=self.faults)
        self._pool = ThreadPoolExecutor(2, "askonce-body")
        self._pending = 0
        self._watcher: asyncio.Task[None] | None = None

    def watch(self, reload: Callable[[], Awaitable[None]]) -> None:
        """Call `reload` whenever the rules file changes; mistakes are logged and the old rules stay."""
        self._watcher = asyncio.ensure_future(self._watch(reload))

    async def _watch(self, reload: Callable[[], Awaitable[None]]) -> None:
        path = self.settings.rules.resolve()
        # The folder, not the file: editors replace a file, and a watch on it would end there.
        async for changes in watchfiles.awatch(path.parent, recursive=False, step=100):
            if any(changed == str(path) for _, changed in changes):
                with contextlib.suppress(ConfigError):
                    await reload()

    def reload(self) -> bool:
        """Take up a changed rules file; whether it changed. Raises ConfigError and keeps the old rules."""
        try:
            config = load(self.settings.rules)
        except ConfigError as error:
            logger.error("the rules stay as they were:\n%s", error)
            raise
        if config == self.rules.config:
            return False
        fixed = [name for name in ("embedder", "cache", "manage") if _differs(config, self.rules.config, name)]
        if fixed:
            logger.warning("a change of %s takes effect at the next start", ", ".join(fixed))
        rules = Rules(config)
        trust.ensure_ca(self.settings.certs, rules.host_names())
        self.rules = self.life.rules = rules
        logger.info("rules reloaded from %s: %d upstreams", self.settings.rules, len(config.upstreams))
        return True

    async def compute[**P, R](self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run in Askonce's own threads: the default executor resolves names for upstream connections."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: function(*args, **kwargs))

    @contextlib.contextmanager
    def pending(self) -> Iterator[None]:
        """Work that `close` waits for."""
        self._pending += 1
        try:
            yield
        finally:
            self._pending -= 1

    async def close(self, patience: float = 10.0) -> None:
        """Wait for pending work, at most `patience` seconds, then write everything down."""
        if self._watcher:
            self._watcher.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._pending:
                    await asyncio.sleep(0.01)
        await self.cache.close()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _differs(new: Config, old: Config, name: str) -> bool:
    return bool(getattr(new, name) != getattr(old, name))
