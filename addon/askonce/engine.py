"""mitmproxy, cut down to what a call needs: which addons run, how hooks reach them, what is logged, how it stops.

The stock chain of some thirty addons costs more than everything Askonce does for a hit: 8 hook events a call, each
offered to every addon by name look-up. Here the chain is short and each hook's listeners are looked up once.
"""

import asyncio
import gc
import inspect
import logging
import signal
import sys
from collections.abc import Callable
from typing import Any

from mitmproxy import addonmanager, exceptions, flow, hooks, master, options
from mitmproxy.addons import block, core, disable_h2c, errorcheck, next_layer, proxyserver, tlsconfig

from askonce import trust
from askonce.addon import Askonce
from askonce.cache import StoreError
from askonce.config import ConfigError, load
from askonce.rules import Rules
from askonce.settings import Settings

__all__ = ["CachedAddons", "LeanMaster", "serve"]

logger = logging.getLogger("askonce")

type Listener = Callable[..., Any]

_IDLE = 3600
"""mitmproxy's tcp_timeout also ends the wait for a silent upstream; a reasoning model may think for long."""


class CachedAddons(addonmanager.AddonManager):
    """Looks up each hook's listeners once. One addon's exception is logged and does not reach the others."""

    def __init__(self, owner: master.Master) -> None:
        super().__init__(owner)  # type: ignore[no-untyped-call]
        self._listeners = dict[str, tuple[Listener, ...]]()

    def register(self, addon: object) -> object:
        self._listeners.clear()
        return super().register(addon)  # type: ignore[no-untyped-call]

    def remove(self, addon: object) -> None:
        self._listeners.clear()
        super().remove(addon)  # type: ignore[no-untyped-call]

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        await self.trigger_event(event)
        if self.listeners("update") and isinstance(message := event.args()[0], flow.Flow):
            await self.trigger_event(hooks.UpdateHook([message]))

    async def trigger_event(self, event: hooks.Hook) -> None:
        if not (listeners := self.listeners(event.name)):
            return
        arguments = event.args()
        for listener in listeners:
            try:
                result = listener(*arguments)
                if result is not None and inspect.isawaitable(result):
                    await result
            except exceptions.AddonHalt:
                return
            except exceptions.OptionsError:
                raise
            except Exception as error:
                logger.exception("Addon error in %s: %s", event.name, error)

    def listeners(self, name: str) -> tuple[Listener, ...]:
        """The listeners of a hook, in the chain's order."""
        found = self._listeners.get(name)
        if found is None:
            addons = addonmanager.traverse(self.chain)
            found = tuple(listener for addon in addons if callable(listener := getattr(addon, name, None)))
            if self.chain:
                self._listeners[name] = found
        return found


class LeanMaster(master.Master):
    """A Master with only the addons that serving calls needs."""

    def __init__(self, opts: options.Options, askonce: Askonce) -> None:
        super().__init__(opts)
        self.addons = CachedAddons(self)
        self._legacy_log_events.uninstall()  # 65 µs for every log record, seen or not
        self.addons.add(  # type: ignore[no-untyped-call]
            core.Core(),
            block.Block(),
            disable_h2c.DisableH2C(),
            proxyserver.Proxyserver(),
            next_layer.NextLayer(),
            tlsconfig.TlsConfig(),
            askonce,
            errorcheck.ErrorCheck(),
        )


def serve(settings: Settings, *, web: bool = False) -> int:
    """Run the proxy until SIGTERM or SIGINT. Returns the process's exit code."""
    _log_to_stderr()
    try:
        trust.ensure_ca(settings.certs, Rules(load(settings.rules)).host_names())
        return asyncio.run(_serve(settings, web))
    except (ConfigError, StoreError, trust.TrustError, OSError, ValueError) as error:
        print(f"askonce: {error}", file=sys.stderr)  # noqa: T201
        return 1


async def _serve(settings: Settings, web: bool) -> int:
    opts = options.Options()
    askonce = Askonce(settings)
    running: master.Master
    if web:
        from askonce.mitmweb import make_web_master

        running = make_web_master(opts, askonce, settings.web_port)
    else:
        running = LeanMaster(opts, askonce)
    opts.update(
        confdir=str(settings.certs),
        listen_host=settings.listen_host,
        listen_port=settings.listen_port,
        connection_strategy="lazy",
        allow_hosts=askonce.runtime.rules.allow_hosts(),
        upstream_cert=False,  # a leaf must name the host that was called and, for the name constraints, nothing else
        tcp_timeout=_IDLE,
        # Off loopback the token guards what is worth guarding, and a container's clients have public-looking addresses.
        block_global=settings.token is None,
    )
    if bundle := trust.upstream_bundle(settings.certs, settings.upstream_ca):
        opts.update(ssl_verify_upstream_trusted_ca=str(bundle))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.shutdown)
    # What is loaded stays: the collector need not walk half a million objects again, neither between calls nor at exit.
    gc.freeze()
    try:
        await running.run()
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        gc.freeze()
    return 0


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logger.setLevel(logging.INFO)
