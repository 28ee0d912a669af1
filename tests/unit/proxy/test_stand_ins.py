"""Modules that stand for others until one of their names is used, each try in an interpreter of its own."""

import subprocess
import sys

from askonce.proxy import stand_ins

BEGIN = "from askonce.proxy import stand_ins as s; assert s.stand_in(); import sys; unloaded = s._Unloaded\n"
ALL = (
    "import askonce.proxy.master, mitmproxy.addons.tlsconfig as tlsconfig, mitmproxy.addons.next_layer as next_layer\n"
)
SHOWN = "assert tlsconfig.TlsConfig and next_layer.NextLayer\n"


def _run(*code: str) -> None:
    done = subprocess.run([sys.executable, "-c", "".join(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_of_them_is_loaded_by_what_serve_imports() -> None:
    _run(
        BEGIN,
        ALL,
        SHOWN,
        "assert {name for name in s.NAMES if type(sys.modules[name]) is unloaded} == set(s.NAMES)\n"
        "assert not {'aioquic.buffer', 'attr', 'pyparsing.core', 'pylsqpack', 'wsproto.events'} & set(sys.modules)",
    )


def test_every_name_is_the_real_one_for_everybody_once_it_is_used() -> None:
    _run(
        BEGIN,
        ALL,
        SHOWN,
        "stood = {(m, n): getattr(sys.modules[m], n) for m, names in s.NAMES.items() for n in names}\n"
        "for module in s.NAMES: s._load(sys.modules[module])\n"
        "assert not [n for n, m in sys.modules.items() if type(m) is unloaded]\n"
        "left = [(n, k) for n, m in list(sys.modules.items()) if type(m) is type(sys)\n"
        "        for k, v in list(vars(m).items()) if type(v) is s._StandIn]\n"
        "assert not left, left\n"
        "for (module, name), standing in stood.items():\n"
        "    assert standing._real() is getattr(sys.modules[module], name)",
    )


def test_what_stands_for_a_name_does_what_the_real_one_does() -> None:
    _run(
        BEGIN,
        ALL,
        SHOWN,
        "from hpack import Decoder, Encoder\n"
        "assert Decoder().decode(Encoder().encode([('name', 'value')])) == [('name', 'value')]\n"
        "assert type(sys.modules['hpack.huffman_table']) is not unloaded\n"
        "from mitmproxy import command\n"
        "unquote = command.unquote\n"
        "assert unquote('\"a\"') == 'a' and command.unquote is not unquote and command.unquote('x') == 'x'\n"
        "standing = tlsconfig.CipherSuite\n"
        "real = standing['AES_128_GCM_SHA256']\n"
        "assert isinstance(real, standing) and isinstance(real, tlsconfig.CipherSuite)\n"
        "assert not isinstance(1, standing) and list(tlsconfig.H3_ALPN) == ['h3']\n"
        "from mitmproxy.proxy import layers\n"
        "event = layers.http.QuicStreamEvent\n"
        "assert not isinstance(1, event) and type(layers.quic) is unloaded\n"
        "from mitmproxy.proxy.layers.quic import QuicStreamDataReceived\n"
        "assert isinstance(QuicStreamDataReceived.__new__(QuicStreamDataReceived), (event, int))\n"
        "assert layers.http.QuicStreamEvent is layers.quic.QuicStreamEvent is not event",
    )


def test_a_name_that_is_not_listed_loads_its_module() -> None:
    _run(
        BEGIN,
        "import wsproto.frame_protocol\n"
        "assert type(wsproto) is unloaded\n"
        "from wsproto import ConnectionState\n"
        "assert ConnectionState.OPEN and type(wsproto) is not unloaded\n"
        "try: wsproto.nothing\n"
        "except AttributeError as error: assert 'nothing' in str(error)\n"
        "else: raise AssertionError",
    )


def test_beside_another_mitmproxy_all_is_loaded_as_ever() -> None:
    _run(
        "from askonce.proxy import stand_ins as s\n"
        "s.version.VERSION = '99.0'\n"
        "assert not s.stand_in()\n"
        "import sys, mitmproxy.command\n"
        "assert 'pyparsing.core' in sys.modules",
    )


def test_asking_twice_asks_once() -> None:
    _run(BEGIN, "before = list(sys.meta_path); assert s.stand_in() and sys.meta_path == before")


def test_the_lists_were_read_for_the_mitmproxy_that_is_installed() -> None:
    assert stand_ins.version.VERSION in stand_ins.KNOWN_VERSIONS
