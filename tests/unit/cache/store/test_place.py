"""A place of a shared store is accepted whole, or refused with what was expected."""

import pytest

from askonce.cache.store.place import SharedPlace


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://h/d", "expected postgresql://USER@HOST:PORT/DATABASE; got the scheme 'mysql'"),
        ("h/d", "got the scheme ''"),
        ("postgresql://u:geheim@h/d", "expected no password in the URL"),
        ("postgresql://u@h/d?password=geheim", "expected no password in the URL"),
        ("postgresql://u@h", "the database is missing"),
        ("postgresql://u@h:port/d", "expected postgresql://USER@HOST:PORT/DATABASE: "),
        ("postgresql://u@h/d?sslmode=require", "sslmode=require does not verify the server"),
    ],
)
def test_what_is_no_place(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("?", r"\?")) as caught:
        SharedPlace(url)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("schema", ["", "9a", "pg_cache", "a-b", "A", "a" * 41])
def test_what_is_no_schema(schema: str) -> None:
    with pytest.raises(ValueError, match="expected up to 40 of a-z"):
        SharedPlace("postgresql://u@h/d", schema)


def test_a_place_tells_nobody_its_password() -> None:
    place = SharedPlace("postgresql://u@h:5433/d", password="geheim")
    assert str(place) == "h/d" and "geheim" not in repr(place)
    assert place.beside("named_stores").schema == "askonce_named_stores"
    assert place.beside("named_stores").password == "geheim"
    assert str(SharedPlace("postgresql://u@/d?host=/run/pg")) == "/run/pg/d"
