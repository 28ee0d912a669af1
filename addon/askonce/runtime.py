"""Everything that lives longer than one call: rules, cache, accounting, and what watches and closes them.

One rule: it is made before any listener opens, so that a mistake in rules.yaml or a data folder that cannot be used
stops the start with a clear error, and never a call.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import watchfiles
from fastapi import FastAPI

from askonce import __version__, trust
from askonce.accounting import Accounting
from askonce.cache import Cache, Limits, Shelves, load_embedder
from askonce.cache.judge import default_judge
from askonce.config import Config, ConfigError, load
from askonce.faults import Faults
from askonce.life import Life
from askonce.manage import create_app
from askonce.products.registry import Products
from askonce.rules import Rules
from askonce.settings import Settings
from askonce.wire import tokens

__all__ = ["Runtime"]

logger = logging.getLogger("askonce")


class Runtime:
    """The long-lived half of Askonce. Raises ConfigError or OSError where it cannot start."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        config = load(settings.rules)
        self.rules = Rules(config)
        self.accounting = Accounting()
        self.products = Products()
        self.faults = Faults(self.accounting.fault)
        self._limits = Limits(config.cache.max_entries, config.cache.max_bytes)
        self.cache = Cache.open(
            settings.data,
            embedder=None if config.embedder == "wordllama" else load_embedder(config.embedder),
            judge=default_judge(),
            limits=self._limits,
        )
        self.shelves = Shelves(
            settings.data / "shelves",
            self.cache.embed,
            max_entries=self._limits.max_entries,
            max_bytes=self._limits.max_bytes,
            index_bytes=self._limits.index_bytes,
        )
        self._pool = ThreadPoolExecutor(2, "askonce-compute")
        self.life = Life(
            rules=self.rules,
            cache=self.cache,
            accounting=self.accounting,
            faults=self.faults,
            compute=self._compute,
        )
        tokens.load()
        self._pending = 0
        self._watcher: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self.not_ready: str | None = "starting"
        """Why the proxy should get no traffic yet, or no more; None while it should."""

    def management(self, reload: Callable[[], Awaitable[None]]) -> FastAPI:
        """The management API over this runtime."""
        return create_app(
            self.cache,
            self.accounting,
            token=self.settings.token or self.rules.config.manage.token,
            version=__version__,
            ready=lambda: self.not_ready,
            reload=reload,
            limits=self._limits,
            ttl=lambda: self.rules.config.defaults.ttl,
        )

    async def warm_up(self) -> None:
        """Wait until everything that loads in the background is there."""
        await self.cache.ready()
        self.not_ready = "stopping" if self._closing.is_set() else None

    def watch(self, reload: Callable[[], Awaitable[None]]) -> None:
        """Call `reload` whenever the rules file changes; mistakes are logged and the old rules stay."""
        self._watcher = asyncio.ensure_future(self._watch(reload))

    async def _watch(self, reload: Callable[[], Awaitable[None]]) -> None:
        path = self.settings.rules.resolve()
        # The folder, not the file: editors replace a file, and a watch on it would end there.
        async for changes in watchfiles.awatch(path.parent, recursive=False, step=100, stop_event=self._closing):
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

    async def _compute[R](self, function: Callable[[], R], /) -> R:
        # Not the default executor: that one resolves names for upstream connections.
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)

    def stopping(self) -> None:
        """Say that no new traffic is wanted; what is under way goes on."""
        self.not_ready = "stopping"

    async def close(self) -> None:
        """Write everything down and let go."""
        self._closing.set()
        if self._watcher:
            with contextlib.suppress(Exception):
                await self._watcher
        await self.shelves.close()
        await self.cache.close()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _differs(new: Config, old: Config, name: str) -> bool:
    return bool(getattr(new, name) != getattr(old, name))
