import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from askonce.network.api_keys import ApiKeys

type Askonce = Callable[..., Any]


def test_create_list_revoke(askonce: Askonce, tmp_path: Path) -> None:
    made = askonce("keys", "create", "ann", "--admin")
    secret = made.out.strip()
    key = ApiKeys(tmp_path / "data").find(secret)
    assert key is not None
    assert (made.code, made.err) == (0, f"{key.id} for ann: keep the key, it is not shown again\n")
    listed = askonce("keys", "list")
    assert secret not in listed.out
    assert listed.out.splitlines()[0].split() == ["id", "owner", "key", "may", "created", "revoked"]
    assert listed.out.splitlines()[1].split() == [key.id, "ann", key.hint, "admin", key.created]
    assert askonce("keys", "revoke", key.id).out == f"revoked {key.id} of ann\n"
    revoked = ApiKeys(tmp_path / "data").find(secret)
    assert revoked is not None and revoked.revoked


def test_json(askonce: Askonce, tmp_path: Path) -> None:
    made = json.loads(askonce("keys", "create", "bob", "--json", "--data", tmp_path / "other").out)
    keys = ApiKeys(tmp_path / "other")
    key = keys.find(made["key"])
    assert key is not None
    assert made == {"id": key.id, "owner": "bob", "admin": False, "key": made["key"]}
    listed = json.loads(askonce("keys", "list", "--json", "--data", tmp_path / "other").out)
    assert listed == [
        {"id": key.id, "owner": "bob", "hint": key.hint, "admin": False, "created": key.created, "revoked": ""}
    ]
    gone = json.loads(askonce("keys", "revoke", key.id, "--json", "--data", tmp_path / "other").out)
    assert gone == {"id": key.id, "owner": "bob", "revoked": keys.all()[0].revoked}


def test_mistakes_are_one_line(askonce: Askonce) -> None:
    done = askonce("keys", "revoke", "nope")
    assert (done.code, done.out) == (2, "")
    assert done.err == "askonce: there is no key with the id 'nope'; `askonce keys list` shows them\n"
    assert askonce("keys", "create", " ").err == (
        "askonce: the owner must be a name of 1 to 100 printable characters; got ' '\n"
    )
