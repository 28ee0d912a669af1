"""Which proxy a connection goes through: who names it, and what is direct."""

import logging
import ssl

import pytest

from askonce.network.upstream_proxies import UpstreamProxies
from askonce.rules import ConfigError, Document

OPENAI = ("api.openai.com", 443)
RULES = """\
version: 1
upstreams: [{name: a, hosts: [api.openai.com], paths: [/v1/x], wire: openai-chat}]
"""


def proxies(section: str = "", variables: dict[str, str] | None = None, **environment: str) -> UpstreamProxies:
    written = f"{RULES}upstream_proxy: {section}\n" if section else RULES
    config = Document.parse(written, environ=variables or {})
    return UpstreamProxies(lambda: config.upstream_proxy, environment, ssl.create_default_context)


def way(proxies: UpstreamProxies, scheme: str = "https", place: tuple[str, int] = OPENAI) -> str:
    return str(proxies.of(scheme, place) or "")  # type: ignore[arg-type]


def test_without_any_everything_is_direct() -> None:
    assert way(proxies()) == way(proxies(no="*")) == ""


def test_the_environment_names_one_for_each_scheme() -> None:
    both = proxies(https="http://secure.corp:3128", http="plain.corp")
    assert way(both) == "http://secure.corp:3128"
    assert way(both, "http", ("neverssl.com", 80)) == "http://plain.corp:80"
    assert way(proxies(http="http://plain.corp:3128")) == ""


def test_credentials_are_decoded_and_not_shown() -> None:
    proxy = proxies(https="https://me:p%40ss%C3%A9@[fd00::1]").of("https", OPENAI)
    assert proxy
    assert (proxy.host, proxy.port, proxy.user, proxy.password) == ("fd00::1", 443, "me", "p@ssé")
    assert proxy.credentials == b"Basic bWU6cEBzc8Op"
    assert (str(proxy), proxy.source) == ("https://[fd00::1]:443", "HTTPS_PROXY")


def test_rules_come_before_the_environment() -> None:
    section = "{url: 'http://corp:8', user: me, password: '${PASS}', no_proxy: [.lan]}"
    told = proxies(section, {"PASS": "pass"}, https="http://other:1", no="inner.example")
    proxy = told.of("http", ("neverssl.com", 80))
    assert proxy
    assert (str(proxy), proxy.user, proxy.password) == ("http://corp:8", "me", "pass")
    assert proxy.source == "upstream_proxy of rules.yaml"
    assert way(told, place=("inner.example", 443)) == way(told, place=("a.lan", 443)) == ""
    for off in ("off", "'off'", "{url: off}"):
        assert way(proxies(off, https="http://other:1")) == ""


def test_a_url_alone_will_do_and_a_variable_that_is_not_set_is_nothing() -> None:
    assert way(proxies("${CORP}", {"CORP": "http://u:p@corp:8"}, https="http://other:1")) == "http://corp:8"
    assert way(proxies("${CORP}", {}, https="http://other:1")) == "http://other:1"


@pytest.mark.parametrize("url", ["socks5://corp:1080", "http://", "http://corp:x", "http://u:secret@corp/path"])
def test_what_is_no_proxy_is_refused_in_rules_and_left_out_in_the_environment(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError) as refused:
        proxies(f"{{url: '{url}'}}")
    with caplog.at_level(logging.WARNING):
        assert way(proxies(https=url)) == ""
    (record,) = caplog.records
    assert record.message.startswith("HTTPS_PROXY of the environment is not gone through: expected http://HOST:PORT")
    assert str(refused.value).startswith("rules.yaml:3: upstream_proxy.url: expected http://HOST:PORT or")
    assert "secret" not in str(refused.value) + record.message


@pytest.mark.parametrize(
    ("no_proxy", "direct", "through"),
    [
        ("*", ["api.openai.com"], []),
        ("openai.com", ["openai.com", "api.openai.com", "api.openai.com."], ["notopenai.com", "openai.com.evil"]),
        (".openai.com", ["api.openai.com"], ["notopenai.com"]),
        ("*.openai.com", ["api.openai.com"], ["notopenai.com"]),
        (" A.Example , b.example", ["a.example", "x.b.example"], ["c.example"]),
        ("openai.com:443", ["api.openai.com"], []),
        ("openai.com:8443", [], ["api.openai.com"]),
        ("10.0.0.0/8,fd00::/8", ["10.1.2.3", "fd00::1", "::ffff:10.1.2.3"], ["11.0.0.1", "ten.example"]),
        ("192.0.2.1:443,[2001:db8::1]:443", ["192.0.2.1", "2001:db8::1"], ["192.0.2.2", "2001:db8::2"]),
        ("[2001:db8::1]", ["2001:db8::1"], []),
        ("2001:db8::1", ["2001:db8::1"], []),
        ("", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "a.localhost"], ["10.0.0.1", "localhost.example"]),
    ],
)
def test_no_proxy(no_proxy: str, direct: list[str], through: list[str]) -> None:
    told = proxies(https="http://corp:1", no=no_proxy)
    assert [host for host in direct if way(told, place=(host, 443))] == []
    assert [host for host in through if not way(told, place=(host, 443))] == []


def test_our_own_clients_go_the_same_way() -> None:
    told = proxies(https="https://me:pw@corp:1", no="inner.example")
    options = told.client_options("https://api.openai.com/v1")
    assert (str(options["proxy"].url), options["proxy"].auth) == ("https://corp:1", ("me", "pw"))
    assert options["proxy"].ssl_context is options["verify"]
    assert set(told.client_options("https://inner.example/v1")) == {"verify"}
    assert set(told.client_options("http://127.0.0.1:9/v1")) == {"verify"}
