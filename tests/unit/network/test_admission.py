"""Who is let in: by network, and by a key that is compared and not hashed anew for each call."""

import base64
from pathlib import Path
from typing import Any

import pytest

from askonce.faults import Faults
from askonce.network.admission import Admission
from askonce.network.api_keys import ApiKeys
from askonce.rules import AccessSpec, ConfigError, Document


class Connection:
    """Stands for a client's connection."""


def basic(user: str, password: str = "") -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


class Bench:
    def __init__(self, folder: Path, **access: Any) -> None:
        self.keys, self.faults = ApiKeys(folder), list[str]()
        self.admission = Admission(lambda: AccessSpec(**access), self.keys, Faults(self.faults.append))


def test_by_default_everybody_is_let_in(tmp_path: Path) -> None:
    admission = Bench(tmp_path).admission
    assert admission.lets_in("203.0.113.1", "10.0.0.1")
    assert admission.opens_tunnel(Connection(), None)
    assert admission.authenticates(Connection(), None)


@pytest.mark.parametrize(
    ("address", "is_let_in"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("fd00::7%eth0", True),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("11.0.0.1", False),
        ("fe80::1", False),
        ("127.0.0.1", True),
        ("::1", True),
        ("192.0.2.9", True),
        ("::ffff:127.0.0.1", True),
    ],
)
def test_clients_are_known_by_their_network(tmp_path: Path, address: str, is_let_in: bool) -> None:
    assert (
        Bench(tmp_path, clients=["10.0.0.0/8", "fd00::/8", "192.0.2.7"]).admission.lets_in(address, "192.0.2.9")
        == is_let_in
    )


def test_a_mistake_in_the_list_is_named() -> None:
    text = (
        "version: 1\nupstreams: [{name: a, hosts: [a.example], paths: [/], wire: generic}]\naccess: {clients: [%s]}\n"
    )
    expected = "rules.yaml:3: access.clients[0]: expected a network such as 10.0.0.0/8 or fd00::/8, or an address"
    for wrong in ("example.com", "5", "10.0.0.0/33"):
        with pytest.raises(ConfigError) as error:
            Document.parse(text % wrong)
        assert str(error.value) == expected
    with pytest.raises(ConfigError, match=r"or an address: 10\.0\.0\.1/8 has host bits set"):
        Document.parse(text % "10.0.0.1/8")


def test_a_key_opens_and_what_is_none_does_not(tmp_path: Path) -> None:
    bench = Bench(tmp_path, authenticate=True)
    secret, key = bench.keys.create("alice")
    opens = bench.admission.authenticates
    for good in (
        basic("alice", secret),
        basic(secret),
        basic("anybody", secret),
        basic("a", secret).replace(b"B", b"b", 1),
    ):
        assert opens(Connection(), good)
    for wrong in (
        None,
        b"",
        b"Basic",
        b"Basic !",
        b"Basic " + secret.encode(),
        b"Bearer " + secret.encode(),
        basic(""),
        basic("alice", key.hash),
        basic("alice", secret + "x"),
        b"Basic " + base64.b64encode(b"\xff:\xff"),
    ):
        assert not opens(Connection(), wrong)
    assert bench.faults == []


def test_each_request_shows_it_but_those_out_of_a_tunnel(tmp_path: Path) -> None:
    bench = Bench(tmp_path, authenticate=True)
    secret, key = bench.keys.create("alice")
    plain, tunnel = Connection(), Connection()
    assert bench.admission.authenticates(plain, basic("alice", secret))
    assert not bench.admission.authenticates(plain, None)
    assert not bench.admission.opens_tunnel(tunnel, basic("alice", "wrong"))
    assert not bench.admission.authenticates(tunnel, None)
    assert bench.admission.opens_tunnel(tunnel, basic("alice", secret))
    assert bench.admission.authenticates(tunnel, None)
    bench.keys.revoke(key.id)
    assert not bench.admission.authenticates(tunnel, None)
    assert not bench.admission.authenticates(plain, basic("alice", secret))


def test_a_connection_s_key_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, authenticate=True)
    secret, _ = bench.keys.create("alice")
    hashed = list[str]()
    is_good = bench.keys.is_good
    monkeypatch.setattr(bench.keys, "is_good", lambda given: hashed.append(given) or is_good(given))
    connection, shown = Connection(), basic("alice", secret)
    assert all(bench.admission.authenticates(connection, shown) for _ in range(10))
    assert hashed == [secret]
    bench.keys.create("bob")
    assert bench.admission.authenticates(connection, shown)
    assert hashed == [secret, secret]


def test_askonce_itself_is_let_in_and_nobody_can_guess_as_whom(tmp_path: Path) -> None:
    bench = Bench(tmp_path, authenticate=True)
    assert bench.admission.authenticates(Connection(), basic(bench.admission.own_user.partition(":")[0], "x")) is False
    assert bench.admission.authenticates(Connection(), basic(*bench.admission.own_user.split(":")))


def test_keys_that_cannot_be_read_let_nobody_in(tmp_path: Path) -> None:
    bench = Bench(tmp_path, authenticate=True)
    secret, _ = bench.keys.create("alice")
    bench.keys.path.write_text("{")
    assert not bench.admission.authenticates(Connection(), basic("alice", secret))
    assert bench.faults == ["keys"]
