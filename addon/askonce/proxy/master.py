"""mitmproxy, cut down to what a call needs: which addons run, what is logged, how it stops.

The stock chain of some thirty addons costs more than everything Askonce does for a hit: 8 hook events a call, each
offered to every addon by name look-up. Here the chain is short, and `hook_dispatch.py` looks each hook's listeners up
once.
"""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace

from mitmproxy import exceptions, http, master, options
from mitmproxy.addons import block, core, disable_h2c, errorcheck, next_layer, proxyserver, tlsconfig
from mitmproxy.utils import asyncio_utils

from askonce import trust
from askonce.cache import InUseError, StoreError
from askonce.calls.limits import SMALL
from askonce.exec.proxy_process import IN_USE, free_port
from askonce.products.document import Config
from askonce.proxy import fast_lane, hook_dispatch, listeners, mitmproxy_patches
from askonce.proxy.addon import Askonce
from askonce.proxy.collector import resume, set_aside
from askonce.proxy.log_format import log_to_stderr
from askonce.rules import ConfigError, Rules
from askonce.runtime import Runtime
from askonce.settings import Settings

__all__ = ["LeanMaster", "LetGo", "serve"]

logger = logging.getLogger("askonce")

_DESCRIPTORS = 65536
_TURN = 0.0005
"""Seconds that a thread may compute while the event loop waits for the interpreter's lock; Python's own are ten times
as many, and a miss's bytes wait behind the answer that is being stored."""
_IDLE = 3600
"""mitmproxy's tcp_timeout also ends the wait for a silent upstream; a reasoning model may think for long."""


class LeanMaster(master.Master):
    """A Master with only the addons that serving calls needs."""

    def __init__(self, opts: options.Options, askonce: Askonce, *, plain: bool = False) -> None:
        """`plain`: mitmproxy's own ways, longer by some functions."""
        super().__init__(opts)
        is_direct = False
        if not plain:
            mitmproxy_patches.install()
            if is_direct := hook_dispatch.install():
                self.addons = hook_dispatch.CachedAddons(self)
        self._legacy_log_events.uninstall()  # 65 µs for every log record, seen or not
        self.addons.add(
            core.Core(),
            block.Block(),
            disable_h2c.DisableH2C(),
            proxyserver.Proxyserver(),
            next_layer.NextLayer(),
            *(
                [fast_lane.Lanes(lambda: askonce.at_once, askonce.report)]
                if is_direct and fast_lane.is_known_here()
                else []
            ),
            tlsconfig.TlsConfig(),
            askonce,
            LetGo(askonce),
            errorcheck.ErrorCheck(),
        )


class LetGo:
    """Lets go of what a call held, once all others have seen its end.

    The objects of a stream refer to one another and wait for the collector, which counts objects and not bytes: eight
    requests of 28 MiB, one after the other, left 195 MiB.
    """

    name = "askonce-let-go"

    def __init__(self, askonce: Askonce) -> None:
        self._askonce = askonce

    def response(self, flow: http.HTTPFlow) -> None:
        self._let_go(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._let_go(flow)

    def _let_go(self, flow: http.HTTPFlow) -> None:
        self._askonce.forget(flow)
        if len(flow.request.raw_content or b"") > SMALL:
            flow.request.data.content = None


def serve(
    settings: Settings, *, web: bool = False, beside: Callable[[Runtime], Awaitable[object]] | None = None
) -> int:
    """Run the proxy until SIGTERM or SIGINT, or the end of `beside`, which begins once it is ready. Returns the
    process's exit code."""
    log_to_stderr(settings.log_format)
    _use_all_descriptors()
    sys.setswitchinterval(_TURN)
    try:
        if settings.listen_port == 0:
            settings = replace(settings, listen_port=free_port(settings.client_host))
        config = Config.load(settings.rules)
        trust.ensure_ca(settings.certs, Rules(config).host_names())
        return asyncio.run(_serve(settings, config, web, beside))
    except (
        ConfigError,
        StoreError,
        trust.TrustError,
        exceptions.OptionsError,
        OSError,
        ValueError,
    ) as error:
        print(f"askonce: {error}", file=sys.stderr)  # noqa: T201
        if isinstance(error, InUseError):
            return IN_USE
        if isinstance(error, trust.DeniedError):
            return 1
        return 2 if isinstance(error, ValueError | exceptions.OptionsError) else 1


def _use_all_descriptors() -> None:
    """Each call holds two or three; a shell's limit of 1,024 is less than the connections that one client may have."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows has no such limit; a sandbox may refuse
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _serve(
    settings: Settings, config: Config, web: bool, beside: Callable[[Runtime], Awaitable[object]] | None
) -> int:
    opts = options.Options()
    askonce = Askonce(settings, config)
    running: master.Master
    if web:
        from askonce.proxy.mitmweb import make_web_master

        running = make_web_master(opts, askonce, settings.web_port)
    else:
        running = LeanMaster(opts, askonce, plain=settings.plain)
    opts.update(
        confdir=str(settings.certs),
        listen_host=settings.listen_host,
        listen_port=settings.listen_port,
        connection_strategy="lazy",
        allow_hosts=askonce.runtime.rules.allow_hosts(),
        upstream_cert=False,  # a leaf must name the host that was called and, for the name constraints, nothing else
        tcp_timeout=_IDLE,
        websocket=web,  # whose messages mitmproxy keeps until they are whole, to show them
        # Off loopback the token guards what is worth guarding, and a container's clients have public-looking addresses.
        block_global=settings.token is None,
    )
    if bundle := trust.upstream_bundle(settings.certs, settings.upstream_ca):
        opts.update(ssl_verify_upstream_trusted_ca=str(bundle))
    loop = asyncio.get_running_loop()
    # Workers share the port, and each has a queue of its own.
    listeners.take_turns(loop, **{"reuse_port": True} if settings.worker else {})
    if settings.worker:
        _end_with_its_master(loop, running.shutdown)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.shutdown)
    if beside:

        async def run_beside() -> None:
            try:
                await askonce.runtime.warm.wait()
                await beside(askonce.runtime)
            finally:
                loop.call_soon(running.shutdown)

        asyncio_utils.create_task(run_beside(), name="beside", keep_ref=True)
    set_aside()
    resume()
    try:
        await running.run()
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        set_aside()
    return 0


def _end_with_its_master(loop: asyncio.AbstractEventLoop, shutdown: Callable[[], None]) -> None:
    """A worker ends with who looks after it."""

    def gone() -> None:
        loop.remove_reader(sys.stdin)
        shutdown()

    loop.add_reader(sys.stdin, gone)  # nobody writes: it can be read once it has ended
