import hashlib
import json
import stat
import threading
from pathlib import Path

import pytest

from askonce.network.api_keys import ApiKeyError, ApiKeys


def test_a_key_is_shown_once_and_kept_as_its_hash(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path / "data")
    secret, key = keys.create("ann", admin=True)
    assert secret.startswith("sk-")
    assert len(secret) == 46
    assert (key.owner, key.admin, key.revoked, key.hint) == ("ann", True, "", f"sk-…{secret[-4:]}")
    assert key.hash == hashlib.sha256(secret.encode()).hexdigest()
    written = keys.path.read_text()
    assert secret[3:-4] not in written
    assert [stat.S_IMODE(path.stat().st_mode) for path in (keys.path, keys.path.parent)] == [0o600, 0o700]
    assert keys.find(secret) == key == ApiKeys(tmp_path / "data").find(secret)
    assert keys.find(secret[:-1]) is keys.find("") is keys.find("sk-ünïcode\udcff") is None


def test_no_file_is_no_keys(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path)
    assert (keys.all(), keys.find("sk-x")) == ((), None)


def test_revoked_keys_stay_known(tmp_path: Path) -> None:
    keys, elsewhere = ApiKeys(tmp_path), ApiKeys(tmp_path)
    secret, key = keys.create("ann")
    other, _ = keys.create("bob")
    assert elsewhere.find(secret) == key
    revoked = keys.revoke(key.id)
    assert revoked.revoked
    assert keys.revoke(key.id) == revoked
    assert elsewhere.find(secret) == revoked
    found = elsewhere.find(other)
    assert found is not None and found.revoked == ""
    with pytest.raises(ApiKeyError, match="no key with the id 'nope'"):
        keys.revoke("nope")


@pytest.mark.parametrize("owner", ["", "  ", "a\nb", "x" * 101])
def test_owners_have_names(tmp_path: Path, owner: str) -> None:
    with pytest.raises(ApiKeyError, match="the owner must be a name"):
        ApiKeys(tmp_path).create(owner)


@pytest.mark.parametrize("text", ["", "[]", '{"version": 2, "keys": []}', '{"version": 1, "keys": [{"id": "x"}]}'])
def test_a_damaged_file_is_named_and_kept(tmp_path: Path, text: str) -> None:
    keys = ApiKeys(tmp_path)
    keys.path.write_text(text)
    for work in (keys.all, lambda: keys.create("ann"), lambda: keys.revoke("x")):
        with pytest.raises(ApiKeyError, match=r"gateway-keys\.json"):
            work()
    assert keys.path.read_text() == text


def test_keys_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    threads = [threading.Thread(target=ApiKeys(tmp_path).create, args=(f"owner {at}",)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(key.owner for key in ApiKeys(tmp_path).all()) == [f"owner {at}" for at in range(8)]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {".gitignore", "gateway-keys.json", "gateway-keys.lock"}
    assert len(json.loads((tmp_path / "gateway-keys.json").read_text())["keys"]) == 8


def test_every_key_is_compared_with_whatever_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the time it takes tells nobody which key, or how much of one, was right."""
    keys = ApiKeys(tmp_path)
    secrets = [keys.create(f"owner {number}")[0] for number in range(5)]
    compared = list[tuple[bytes, bytes]]()

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("askonce.credentials.hmac.compare_digest", compare)
    for given in (secrets[0], secrets[-1], "sk-wrong", secrets[0][:-1], "", "x" * 10_000):
        compared.clear()
        assert (keys.find(given) is not None) == (given in secrets)
        assert len(compared) == 5 and {len(other) for _, other in compared} == {64}
