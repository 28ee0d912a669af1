import re
from pathlib import Path

import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import askonce.settings
from askonce.exec.child import environment
from askonce.settings import OUTER_PROXIES, Settings, SettingsError, default_rules, outer_proxies, parse_listen


def test_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_env(environ={})
    assert settings == Settings(
        listen_host="127.0.0.1",
        listen_port=8080,
        rules=default_rules(),
        data=tmp_path / "data",
        certs=tmp_path / "certs",
        token=None,
        upstream_ca=None,
        web_port=8081,
    )
    assert default_rules().is_file()
    assert (settings.listen, settings.url) == ("127.0.0.1:8080", "http://127.0.0.1:8080")


def test_outside_a_checkout_the_folders_are_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "askonce.settings.default_rules", lambda: Path(askonce.settings.__file__).with_name("rules.yaml")
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    home = platformdirs.user_data_path("askonce")
    found = Settings.from_env(environ={})
    assert (found.data, found.certs) == (home / "data", home / "certs")
    assert home.is_relative_to(tmp_path)


def test_without_a_home_the_folders_must_be_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(*_: object, **__: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("askonce.settings.is_checkout", lambda: False)
    monkeypatch.setattr(platformdirs, "user_data_path", homeless)
    with pytest.raises(SettingsError, match="no home folder: set HOME, or ASKONCE_DATA and ASKONCE_CERTS"):
        Settings.from_env(environ={"ASKONCE_DATA": str(tmp_path / "data")})
    told = {"ASKONCE_DATA": str(tmp_path / "data"), "ASKONCE_CERTS": str(tmp_path / "certs")}
    assert Settings.from_env(environ=told).certs == tmp_path / "certs"


def test_options_win_over_variables_and_those_over_defaults(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    environ = {
        "ASKONCE_LISTEN": "localhost:1",
        "ASKONCE_RULES": "/r",
        "ASKONCE_DATA": "/d",
        "ASKONCE_CERTS": "/c",
        "ASKONCE_TOKEN": "t",
        "ASKONCE_WEB_PORT": "9",
        "ASKONCE_UPSTREAM_CA": str(tmp_path / "ca.pem"),
    }
    settings = Settings.from_env(environ=environ)
    assert settings == Settings("localhost", 1, Path("/r"), Path("/d"), Path("/c"), "t", tmp_path / "ca.pem", 9)
    chosen = Settings.from_env(
        listen="[::1]:2", rules=Path("/R"), data=Path("/D"), certs=Path("/C"), web_port=10, environ=environ
    )
    assert chosen == Settings("::1", 2, Path("/R"), Path("/D"), Path("/C"), "t", tmp_path / "ca.pem", 10)
    assert chosen.url == "http://[::1]:2"


def test_rules_in_the_working_folder_come_before_those_that_ship(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").touch()
    assert Settings.from_env(environ={}).rules == tmp_path / "rules.yaml"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_needs_no_token(host: str) -> None:
    assert Settings.from_env(listen=f"{host}:8080", environ={}).is_loopback


def test_the_proxies_that_were_there_before_askonce() -> None:
    outer = {"HTTPS_PROXY": "http://me:pw@corp:3128", "all_proxy": "http://all:1", "no_proxy": ".lan"}
    assert outer_proxies(outer) == {"http": "http://all:1", "https": "http://me:pw@corp:3128", "no": ".lan"}
    below = environment("http://k:key@127.0.0.1:9090", Path("b"), Path("c"), outer)
    assert outer_proxies(below) == outer_proxies(outer)
    again = environment("http://127.0.0.1:9091", Path("b"), Path("c"), below)
    assert outer_proxies(again) == outer_proxies(outer)
    assert outer_proxies(again | {"https_proxy": "http://mine:1"})["https"] == "http://mine:1"
    assert outer_proxies(environment("http://127.0.0.1:9090", Path("b"), Path("c"), {})) == {}
    assert outer_proxies({"HTTPS_PROXY": "http://a", OUTER_PROXIES: "[]"}) == {"https": "http://a"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_askonce_is_not_its_own_outer_proxy(host: str) -> None:
    environ = {"HTTPS_PROXY": f"http://{host}:9090", "HTTP_PROXY": "http://corp:3128"}
    settings = Settings.from_env(listen="127.0.0.1:9090", environ=environ)
    assert settings.outer_proxies == {"http": "http://corp:3128"}


@pytest.mark.parametrize("host", ["", "0.0.0.0", "[::]", "10.0.0.1", "box.example", "localhost.example"])
def test_anywhere_else_needs_one(host: str) -> None:
    with pytest.raises(SettingsError, match="set ASKONCE_TOKEN"):
        Settings.from_env(listen=f"{host}:8080", environ={})
    with pytest.raises(SettingsError, match="set ASKONCE_TOKEN"):
        Settings.from_env(listen=f"{host}:8080", environ={"ASKONCE_TOKEN": ""})
    assert Settings.from_env(listen=f"{host}:8080", environ={"ASKONCE_TOKEN": "t"}).token == "t"


@pytest.mark.parametrize(
    ("host", "reached"),
    [("", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("[::]", "[::1]"), ("10.0.0.1", "10.0.0.1")],
)
def test_programs_on_this_machine_get_an_address_that_they_can_reach(host: str, reached: str) -> None:
    assert Settings.from_env(listen=f"{host}:1", environ={"ASKONCE_TOKEN": "t"}).url == f"http://{reached}:1"


@pytest.mark.parametrize("text", ["8080", "host:", "host:http", "host:65536", "::1:8080", "a b:1", "http://h:1"])
def test_a_wrong_address_is_refused(text: str) -> None:
    message = f"{{where}}: expected HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080; got {text!r}"
    with pytest.raises(SettingsError, match=re.escape(message.format(where="--listen"))):
        Settings.from_env(listen=text, environ={})
    with pytest.raises(SettingsError, match=re.escape(message.format(where="ASKONCE_LISTEN"))):
        Settings.from_env(environ={"ASKONCE_LISTEN": text})


@pytest.mark.parametrize("text", ["0", "65536", "-1", "web"])
def test_a_wrong_web_port_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="expected a port from 1 to 65535; got"):
        Settings.from_env(environ={"ASKONCE_WEB_PORT": text})


def test_a_missing_upstream_ca_is_refused() -> None:
    with pytest.raises(SettingsError, match="ASKONCE_UPSTREAM_CA: no such file: /no/such"):
        Settings.from_env(environ={"ASKONCE_UPSTREAM_CA": "/no/such"})


@given(st.ip_addresses(), st.integers(0, 65535))
def test_an_address_is_read_as_it_is_written(address: object, port: int) -> None:
    settings = Settings.from_env(
        listen=f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}", environ={"ASKONCE_TOKEN": "t"}
    )
    assert (settings.listen_host, settings.listen_port) == (str(address), port)
    assert parse_listen(settings.listen) == (str(address), port)


def test_a_mode_and_its_cassette(tmp_path: Path) -> None:
    plain = Settings.from_env(environ={})
    assert (plain.mode, plain.cassette) == ("normal", None)
    environ = {"ASKONCE_MODE": "replay", "ASKONCE_CASSETTE": "/c.jsonl"}
    settings = Settings.from_env(environ=environ)
    assert (settings.mode, settings.cassette) == ("replay", Path("/c.jsonl"))
    chosen = Settings.from_env(mode="strict", cassette=tmp_path / "c", environ=environ)
    assert (chosen.mode, chosen.cassette) == ("strict", tmp_path / "c")
    with pytest.raises(SettingsError, match="--mode: expected one of normal, record, replay, strict; got 'play'"):
        Settings.from_env(mode="play", environ={})
    with pytest.raises(SettingsError, match="--cassette: expected a --mode besides"):
        Settings.from_env(cassette=tmp_path / "c", environ={})
    with pytest.raises(SettingsError, match="--record-errors: expected a --cassette besides"):
        Settings.from_env(mode="record", record_errors=True, environ={})
