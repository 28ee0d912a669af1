"""Where rules.yaml says that the answers are."""

from pathlib import Path

import pytest

from askonce.cache.store import SharedPlace
from askonce.products.document import Config
from askonce.rules import ConfigError

RULES = """\
version: 1
upstreams: [{name: a, hosts: [a.test], paths: [/v1], wire: generic}]
"""
URL = "postgresql://u@h/d"


def place(cache: str, **environ: str) -> SharedPlace | None:
    return Config.parse(f"{RULES}cache: {{{cache}}}\n", environ=environ).cache.place()


def test_nowhere_but_in_the_folder_where_nothing_is_said() -> None:
    assert place("max_entries: 5") is None


def test_the_password_is_from_the_environment_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("geheim\n")
    assert place(f"url: '{URL}'") == SharedPlace(URL)
    assert place(f"url: '{URL}', password: '${{P}}', database_schema: team", P="p") == SharedPlace(URL, "team", "p")
    assert place(f"url: '{URL}', password: '${{P}}'") == SharedPlace(URL)
    assert place(f"url: '{URL}', password_file: '{file}'") == SharedPlace(URL, password="geheim")


@pytest.mark.parametrize(
    ("cache", "told"),
    [
        ("url: 'mysql://h/d'", "rules.yaml:3: cache.url: expected postgresql://USER@HOST:PORT/DATABASE"),
        (f"url: '{URL}', database_schema: A", "rules.yaml:3: cache.database_schema: expected up to 40 of a-z"),
        (f"url: '{URL}', password: p, password_file: f", "password and password_file are both given"),
        (f"url: '{URL}', password_file: /nowhere", "cache.password_file: /nowhere cannot be read"),
        (f"url: '{URL}', password_file: EMPTY", "cache.password_file: expected one line in"),
    ],
)
def test_what_cannot_be(cache: str, told: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    with pytest.raises(ConfigError, match=told):
        place(cache.replace("EMPTY", str(empty)))
