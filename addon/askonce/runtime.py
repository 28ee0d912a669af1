"""Everything that lives longer than one call: rules, cache, accounting, and what watches and closes them.

One rule: it is made before any listener opens, so that a mistake in rules.yaml or a data folder that cannot be used
stops the start with a clear error, and never a call.
"""

import asyncio
import contextlib
import logging
import os
import signal
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
from threadpoolctl import threadpool_limits

from askonce import __version__, trust
from askonce.accounting import Accounting
from askonce.accounting.history import Group, History, Sums
from askonce.accounting.telemetry import Telemetry
from askonce.accounting.workmates import Workmates
from askonce.api.vital_signs import Answered, Fields, vital_sign
from askonce.cache import Cache, Entry, NamedStores, Record, StoreError
from askonce.cache.cassette import Cassette
from askonce.cache.judge import load_judge
from askonce.calls.comparison import Compare
from askonce.calls.dependencies import Dependencies
from askonce.calls.gray_zone import GrayZone, asking
from askonce.calls.life import Life
from askonce.calls.limits import Limits
from askonce.calls.refresh import Refresher
from askonce.calls.scrubbing import scrubbed
from askonce.calls.shadow import Shadow
from askonce.calls.verifier import Verifier
from askonce.calls.warming import LikeWarmer
from askonce.credentials import is_secret
from askonce.exec.proxy_process import note_holder
from askonce.faults import Faults
from askonce.network.admission import Admission
from askonce.network.api_keys import ApiKeys
from askonce.network.peers import Peers
from askonce.network.rate_limits import Rates
from askonce.network.strays import Strays
from askonce.network.upstream_proxies import UpstreamProxies
from askonce.products.cachecore.calls import Cachecore
from askonce.products.document import Config
from askonce.products.gateway.calls import Gateway
from askonce.products.gateway.errors import Users
from askonce.products.keys import KeyName
from askonce.products.promptcache.calls import PromptCache
from askonce.products.promptcache.state import PromptCacheState
from askonce.products.promptcache.warming import Warmer
from askonce.products.registry import Products
from askonce.products.semcache.calls import Semcache
from askonce.products.semcache.dashboard import INTERVAL, Dashboard
from askonce.rules import ConfigError, Rules, describe, explain, review, take_up
from askonce.settings import Settings
from askonce.workers import Workers

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["Runtime"]

logger = logging.getLogger("askonce")

_SETTLED = 2.0
"""Seconds of being ready after which a proxy is taken for one that stays: its first calls, and one that serves a single
command, are not made to wait for what pays later."""


class Runtime:
    """The long-lived half of Askonce. Raises ConfigError, StoreError or OSError where it cannot start."""

    def __init__(self, settings: Settings, config: Config | None = None) -> None:
        """`config`: what the rules file says, where it was just read."""
        self.settings = settings
        config = self._config = self._written = config or Config.load(settings.rules)
        self.rules = Rules(config)
        Limits.in_force = config.limits
        self._token = settings.token or config.manage.token
        self.accounting = Accounting()
        self.faults = Faults(self.accounting.fault)
        self._telemetry = Telemetry.asked_for(__version__, self.faults)
        if self._telemetry:
            self.accounting.listeners.append(self._telemetry.record)
        self._cassette = (
            Cassette(settings.cassette, must_exist=settings.mode == "strict") if settings.cassette else None
        )
        self._is_loaded = False
        """The cassette's answers are in the cache; before that the file must not be written."""
        self._folder = self._cassette.open_folder() if self._cassette else None
        data = self._data = Path(self._folder.name) if self._folder else settings.data
        self.upstream_proxies = UpstreamProxies(
            lambda: self.rules.config.upstream_proxy, settings.outer_proxies, lambda: _verification(settings)
        )
        self._limits = config.cache.limits()
        shared = None if self._cassette else config.cache.place()
        if (worker := settings.worker) and not shared:
            raise ConfigError(
                "--workers: several processes need their answers in a database, cache.url in rules.yaml, as a data "
                "folder belongs to one; run one worker, or see docs/scale.md"
            )
        self._workmates = Workmates(self.accounting, worker.folder, worker.number, self.faults) if worker else None
        own = data / "workers" / str(worker.number) if worker else data
        """What one process holds for itself."""
        self.cache = Cache.open(
            own,
            shared=shared,
            embedder=config.embedder,
            client_options=self.upstream_proxies.client_options,
            judge=load_judge(config.judge),
            limits=self._limits,
            # Where nothing else can answer, late is better than never.
            lookup_deadline=None if settings.mode == "strict" else config.cache.lookup_deadline,
            faults=self.faults,
        )
        if not self._folder:
            note_holder(data, settings.listen)
        self.history = History(data, self.faults)
        self.accounting.listeners.append(self.history.count)
        self._promptcache = PromptCacheState(
            lambda: self._config.products.promptcache,
            self._key_of,
            self.cache,
            embedder=config.embedder,
            client_options=self.upstream_proxies.client_options,
        )
        self._verifier = Verifier(self.faults, self.upstream_proxies.client_options)
        self._keys, self._users = ApiKeys(settings.data), Users()
        self.admission = Admission(lambda: self.rules.config.access, self._keys, self.faults)
        self.strays = Strays()
        self.peers = Peers(lambda: self.rules, everywhere=settings.is_loopback)
        self._gateway = Gateway(
            self._keys,
            self._users,
            Rates(),
            self.accounting,
            self.faults,
            lambda: self._config.products.gateway,
            self._key_of,
        )
        self._dependencies = Dependencies(self.cache)
        self.products = Products(
            [
                Cachecore(
                    self._dependencies,
                    Rates(),
                    lambda: self._config.products.cachecore,
                    self._key_of,
                    believe=settings.is_loopback,
                ),
                self._gateway,
                Semcache(lambda: self._config.products.semcache, self._key_of),
                PromptCache(self.cache, self._promptcache, self._verifier),
            ],
            self.faults,
            self._is_ours,
            self._gateway.has_keys,
            lambda: self._config.products.default_dialect,
        )
        self.named_stores = NamedStores(
            own / "named-stores",
            self.cache.embed,
            max_entries=self._limits.max_entries,
            max_bytes=self._limits.max_bytes,
            index_bytes=self._limits.index_bytes,
            faults=self.faults,
            shared=shared and shared.beside("named_stores"),
        )
        if self._token is None:  # said of a start that can be
            logger.warning(
                "no management token: whoever reaches %s may see, change and clear what is remembered; that is this "
                "machine's programs, and where others use it too, set ASKONCE_TOKEN or manage.token to a secret",
                settings.listen,
            )
        # A product over thousands of vectors takes 0.3 ms; shared with a second core it takes 0.3 too, and 2 to 8 where
        # that core has other work, which a proxy's has (95th percentile at 4,000 vectors).
        threadpool_limits(limits=1, user_api="blas")
        self._workers = Workers(2, "askonce-compute")
        self.compute = self._workers.run
        """Runs a function in Askonce's own threads."""
        self._refresher = refresher = Refresher(
            settings.url_of(self.admission.own_user),
            settings.certs / "mitmproxy-ca-cert.pem",
            self.compute,
            config.manage.host,
        )
        self._gray_zone = GrayZone(self.cache, self._verifier, config.verifier)
        self._shadow = Shadow(self.cache, self._verifier, config.verifier, self.faults)
        self.life = Life(
            rules=self.rules,
            cache=self.cache,
            accounting=self.accounting,
            faults=self.faults,
            compute=self.compute,
            mode=settings.mode,
            lasting=self._cassette is not None,
            keeps_errors=settings.record_errors,
            refresh=refresher,
            ask_again=refresher.reply,
            gray_zone=self._gray_zone,
            dependencies=self._dependencies,
            traces=self._telemetry is not None and self._telemetry.traces,
            shadow=self._shadow,
        )
        self._dashboard = Dashboard(self.accounting, self.cache)
        self._sampler: asyncio.Task[None] | None = None
        self._pending = 0
        self._watcher: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self.warm = asyncio.Event()
        """Set once everything that loads in the background is there."""
        self.not_ready: str | None = "starting"
        """Why the proxy should get no traffic yet, or no more; None while it should."""

    def _key_of(self, name: KeyName) -> str | None:
        return self._config.products.provider_keys.of(name)

    def _is_ours(self, secret: str) -> bool:
        return (self._token is not None and is_secret(secret, self._token)) or self._keys.find(secret) is not None

    def vital_sign(self, method: str, url: str, fields: Fields) -> Answered | None:
        """The answer to a probe, which needs no application; None for any other request."""
        return vital_sign(
            method,
            url,
            fields,
            own_host=self.rules.config.manage.host,
            ready=self.not_ready,
            failure=self.cache.failure,
            uptime=self.accounting.uptime,
        )

    def management(self, reload: Callable[[], Awaitable[None]]) -> "FastAPI":
        """The management API over this runtime. Slow the first time, since all that serves it is imported here."""
        from askonce.api.app import create_app
        from askonce.api.checks import Parts
        from askonce.api.rules import RulesFile
        from askonce.products.cachecore.routes import cachecore
        from askonce.products.gateway.routes import gateway
        from askonce.products.langcache.routes import langcache
        from askonce.products.promptcache import routes as promptcache_routes
        from askonce.products.semcache import routes as semcache_routes

        return create_app(
            self.cache,
            self.accounting,
            token=self._token,
            version=__version__,
            ready=lambda: self.not_ready,
            reload=partial(self._reload_all, reload),
            counts=self._workmates.all if self._workmates else None,
            limits=self._limits,
            ttl=lambda: self.rules.config.defaults.ttl,
            warm=LikeWarmer(self.cache, lambda: self.rules),
            compare=Compare(self.cache, lambda: self.rules, self.compute),
            strays=self.strays,
            dependencies=self._dependencies,
            rewind=self.life.rewind,
            approving=lambda: [rule.name for rule in self.rules if rule.behaviour.approve],
            rules=lambda: describe(self.rules.config),
            history=self._read_history,
            rules_file=RulesFile(
                self.settings.rules,
                review=lambda: review(self.settings.rules, Config.load),
                explain=lambda url, headers: explain(self.rules.config, url, headers),
                run=self.compute,
            ),
            parts=Parts(self._data, self.settings.certs, self._config.judge, self.compute),
            products=[
                partial(
                    promptcache_routes.routes,
                    state=self._promptcache,
                    warm=Warmer(self.cache, self._promptcache, lambda: self.rules),
                ),
                partial(
                    semcache_routes.routes,
                    named_stores=self.named_stores,
                    dashboard=self._dashboard,
                    spec=lambda: self._config.products.semcache,
                ),
                lambda shared: gateway(shared, self._keys, self._users, lambda: self._gateway.providers(self.rules)),
                lambda shared: cachecore(
                    self._dependencies,
                    lambda: self._config.products.cachecore,
                    token=shared.token,
                    believe=self.settings.is_loopback,
                ),
                lambda shared: langcache(
                    self.named_stores,
                    lambda: self._config.products.langcache,
                    shared.accounting,
                    token=shared.token,
                ),
            ],
            host=self.rules.config.manage.host,
            is_key=self._keys.is_good,
        )

    async def _reload_all(self, reload: Callable[[], Awaitable[None]]) -> None:
        await reload()
        if self._workmates:
            os.kill(os.getppid(), signal.SIGHUP)  # who looks after the workers tells all of them

    async def _read_history(self, since: float, until: float) -> list[tuple[int, Group, Sums]]:
        return await self.compute(lambda: self.history.read(since, until))

    async def warm_up(self) -> None:
        """Wait until everything that loads in the background is there."""
        config = self.rules.config
        await self.cache.ready()
        for asked in (self._promptcache.verifier, config.verifier and asking(config.verifier)):
            if asked:
                await self._verifier.prepare(asked)
        if self._cassette:
            await self.cache.restore(self._cassette.records)
            self._is_loaded = True
        self.not_ready = "stopping" if self._closing.is_set() else None
        self.warm.set()

    async def run_later(self, then: Callable[[], object]) -> None:
        """Do `then`, in a thread, once this proxy has stayed a while: it pays only for one that stays."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), _SETTLED)
        if not self._closing.is_set():
            await self._workers.run(then)

    async def listening(self) -> None:
        """Let the other workers know, where there are any."""
        if self._workmates:
            await self._workmates.start()

    def watch(self, reload: Callable[[], Awaitable[None]]) -> None:
        """Call `reload` whenever the rules file changes; mistakes are logged and the old rules stay."""
        self._watcher = asyncio.ensure_future(self._watch(reload))
        self._sampler = asyncio.ensure_future(self._sample())

    async def _sample(self) -> None:
        while not self._closing.is_set():
            self._dashboard.sample()
            await self.compute(self.history.write)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), INTERVAL)

    async def _watch(self, reload: Callable[[], Awaitable[None]]) -> None:
        path = self.settings.rules.parent.resolve() / self.settings.rules.name
        target = path.resolve()
        # The folders, not the file: editors replace a file, and a watch on it would end there; Kubernetes replaces a
        # link on the way to it.
        folders = {path.parent, target.parent}
        try:
            watchfiles = await self.compute(lambda: import_module("watchfiles"))
            async for changes in watchfiles.awatch(*folders, recursive=False, step=100, stop_event=self._closing):
                moved, target = path.resolve() != target, path.resolve()
                if moved or any(Path(changed) in (path, target) for _, changed in changes):
                    with contextlib.suppress(ConfigError):
                        await reload()
        except Exception as error:
            logger.warning("changes of %s are no longer noticed (%s): after one, send SIGHUP", path, error)

    def reload(self) -> bool:
        """Take up a changed rules file; whether it changed. Raises ConfigError and keeps the old rules."""
        try:
            written = Config.load(self.settings.rules)
        except ConfigError as error:
            logger.error("the rules stay as they were:\n%s", error)
            raise
        if written == self._written:
            return False
        config, waiting = take_up(self._config, written)
        rules = Rules(config)
        try:
            trust.ensure_ca(self.settings.certs, rules.host_names())
        except trust.TrustError as error:
            logger.error("the rules stay as they were: %s", error)
            raise ConfigError(str(error)) from error
        self._config, self._written, self.rules = config, written, rules
        self.life.rules = rules
        self._gray_zone.spec = self._shadow.spec = config.verifier
        Limits.in_force = config.limits
        if waiting:
            logger.warning("a change of %s takes effect at the next start", ", ".join(waiting))
        logger.info("rules reloaded from %s: %d upstreams", self.settings.rules, len(config.upstreams))
        return True

    def stopping(self) -> None:
        """Say that no new traffic is wanted; what is under way goes on."""
        self.not_ready = "stopping"

    async def close(self) -> None:
        """Write everything down and let go; a second time does nothing."""
        if self._closing.is_set():
            return
        self._closing.set()
        if self._watcher:
            with contextlib.suppress(Exception):
                await self._watcher
        if self._sampler:
            await self._sampler
        if self._workmates:
            await self._workmates.close()
        await self._shadow.close()
        await self._verifier.close()
        await self.named_stores.close()
        await self.life.close()
        await self.compute(self.history.write)
        await self._refresher.close()
        await self._save()
        await self.cache.close()
        if self._folder:
            self._folder.cleanup()
        if self._telemetry:
            await self.compute(self._telemetry.close)
        self._workers.close()

    def recorded(self, entry: Entry) -> Record:
        """An answer as a cassette may hold it."""
        return scrubbed(Record(entry, entry.vector is not None), self.rules.config.cassette.scrub)

    async def _save(self) -> None:
        if not self._cassette or self.settings.mode == "strict" or not self._is_loaded:
            return
        try:
            entries, last = list[Entry](), 0
            while page := await self.cache.after(last, 500):
                entries, last = entries + page, page[-1].id
            self._cassette.save([self.recorded(entry) for entry in entries])
        except (OSError, StoreError) as error:
            logger.error("nothing was recorded in %s: %s", self._cassette.path, error)


def _verification(settings: Settings) -> ssl.SSLContext:
    """How certificates of servers are checked where Askonce itself is the client."""
    bundle = trust.upstream_bundle(settings.certs, settings.upstream_ca)
    return ssl.create_default_context(cafile=str(bundle or certifi.where()))
