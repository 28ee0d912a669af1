"""Modules that mitmproxy takes names from at its import and that `serve` hardly ever uses, loaded when a name is used.

`deferred` waits until a name is asked for, and `from quic import QuicStreamEvent` asks at once. Here such a name is
bound to something that stands for it: what is called, indexed, made a class of or looked into is the real one, whose
module is loaded then, and from then on it is the real one in every module that has it. QUIC is a third of mitmproxy's
import, its console's grammar a fifth, HTTP/2's table of codes a tenth; no mode that `serve` runs in speaks QUIC, and
nobody types commands there.

One rule: a name that is not listed loads its module at once, so that one too few costs time and never a call. Beside a
mitmproxy that the lists were not read for, all is loaded as ever.
"""

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from mitmproxy import version

__all__ = ["KNOWN_VERSIONS", "NAMES", "stand_in"]

KNOWN_VERSIONS = frozenset({"12.2.3", "12.3.1"})
"""Of mitmproxy: how it uses these names was read."""
NAMES: Mapping[str, tuple[str, ...]] = {
    "aioquic.h3.connection": ("H3_ALPN",),
    "aioquic.tls": ("CipherSuite",),
    "hpack.huffman_table": ("decode_huffman",),
    "mitmproxy.command_lexer": ("unquote",),
    "mitmproxy.proxy.layers.http._http3": ("Http3Client", "Http3Server"),
    "mitmproxy.proxy.layers.quic": (
        "ClientQuicLayer",
        "QuicStreamEvent",
        "QuicStreamLayer",
        "QuicTlsData",
        "RawQuicLayer",
        "ServerQuicLayer",
        "quic_parse_client_hello_from_datagrams",
    ),
    "mitmproxy.proxy.layers.websocket": ("WebSocketMessageInjected", "WebsocketLayer"),
    "pyparsing": (),
    "wsproto": (),
    "wsproto.frame_protocol": ("Opcode",),
    "wsproto.handshake": (),
}
"""By module, what others take from it when they are imported; none where they only name it."""
_TAKERS = ("aioquic.", "hpack.", "mitmproxy.", "wsproto.")
_lock = threading.RLock()


class _StandIn(type):
    """The class of what stands for a name."""

    _source: ModuleType

    def _real(cls) -> Any:
        _load(cls._source)
        return getattr(cls._source, cls.__name__)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls._real()(*args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls._real(), name)

    def __getitem__(cls, key: Any) -> Any:
        return cls._real()[key]

    def __iter__(cls) -> Iterator[Any]:
        return iter(cls._real())

    def __instancecheck__(cls, instance: object) -> bool:
        return not isinstance(cls._source, _Unloaded) and isinstance(instance, cls._real())


class _Unloaded(ModuleType):
    """A module whose code has not run."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # the interpreter asks whether it is a package
            raise AttributeError(name)
        _load(self)
        return ModuleType.__getattribute__(self, name)


class _Later(Loader):
    """Gives a module names that stand for its own, and has it loaded later by its loader."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        for name in NAMES[module.__name__]:
            setattr(module, name, _StandIn(name, (), {"_source": module}))
        module.__class__ = _Unloaded


class _Standing(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in NAMES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and spec.loader:
            spec.loader = _Later(spec.loader)
        return spec


def stand_in() -> bool:
    """From now on; what is loaded already stays so. Whether it is done for this mitmproxy."""
    if version.VERSION not in KNOWN_VERSIONS:
        return False
    if not any(isinstance(finder, _Standing) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Standing())
    return True


def _load(module: ModuleType) -> None:
    """Run a module's code, and give everybody who took one of its names the real one."""
    with _lock:
        spec = module.__spec__
        if spec is None or not isinstance(spec.loader, _Later):  # it was begun
            return
        standing = {vars(module).pop(name): name for name in NAMES[module.__name__]}
        spec.loader = module.__loader__ = spec.loader.loader
        spec.loader.exec_module(module)
        module.__class__ = ModuleType
        for name, taker in list(sys.modules.items()):
            if name.startswith(_TAKERS) and issubclass(type(taker), ModuleType):
                _hand_over(taker, module, standing)


def _hand_over(taker: ModuleType, module: ModuleType, standing: Mapping[type, str]) -> None:
    # Neither `vars` nor `isinstance`: they would load what `deferred` has put off.
    for name, value in list(object.__getattribute__(taker, "__dict__").items()):
        if type(value) is _StandIn and value in standing:
            setattr(taker, name, getattr(module, standing[value]))
