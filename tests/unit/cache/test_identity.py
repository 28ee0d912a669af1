"""Two calls share a partition exactly when everything but the prompt is equal, and no credential can be read back."""

import stat
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cache.identity import Identifier, Identity, load_secret
from askonce.call import PARTS, Call

SECRET = bytes(range(32))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
asked = st.fixed_dictionaries(
    {
        "parts": st.dictionaries(st.sampled_from(PARTS), json_values, max_size=4),
        "prompt": st.text(max_size=20),
        "wire": st.sampled_from(["openai-chat", "generic"]),
        "host": st.sampled_from(["a.example", "b.example"]),
        "scope": st.sampled_from(["", "sk-1", "sk-2"]),
        "namespace": st.sampled_from(["", "blue"]),
    }
)


def identify(asked: Mapping[str, Any], secret: bytes = SECRET) -> Identity:
    call = Call(asked.get("wire", "generic"), asked.get("prompt", "hello"), asked.get("parts", {}))
    return Identifier(secret).identify(
        call,
        host=asked.get("host", "a.example"),
        scope=asked.get("scope", ""),
        namespace=asked.get("namespace", ""),
        headers=asked.get("headers"),
    )


def canonical(value: Any) -> Any:
    """Equal for JSON values that are the same text but for the order of keys; 1, 1.0 and true are not."""
    if isinstance(value, dict):
        return ("object", sorted((key, canonical(inner)) for key, inner in value.items()))
    if isinstance(value, list):
        return ("array", [canonical(inner) for inner in value])
    return (type(value).__name__, repr(value))


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(inner) for key, inner in reversed(value.items())}
    return [reversed_keys(inner) for inner in value] if isinstance(value, list) else value


@given(asked, asked)
def test_keys_are_equal_exactly_when_what_was_asked_is(one: dict[str, Any], other: dict[str, Any]) -> None:
    def same(*names: str) -> bool:
        return all(repr(canonical(one[name])) == repr(canonical(other[name])) for name in names)

    partition = same("parts", "wire", "host", "scope", "namespace")
    assert (identify(one).partition == identify(other).partition) == partition
    assert (identify(one).exact == identify(other).exact) == (partition and same("prompt"))


@given(asked)
def test_order_of_keys_does_not_matter(asked: dict[str, Any]) -> None:
    assert identify(asked) == identify(reversed_keys(asked))


@given(asked)
def test_shape(asked: dict[str, Any]) -> None:
    identity = identify(asked)
    assert len(identity.partition) == len(identity.exact) == 16
    assert identity.key == identity.exact.hex()
    assert set(identity.parts) == {"credential", "namespace", "host", "wire", *asked["parts"]}
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in identity.parts.values())


def test_parts_tell_what_differs() -> None:
    one = identify({"parts": {"model": "a", "system": "s"}, "scope": "sk-1"})
    other = identify({"parts": {"model": "b", "system": "s"}, "scope": "sk-2"})
    assert {name for name in one.parts if one.parts[name] != other.parts[name]} == {"model", "credential"}


def test_absent_is_not_null() -> None:
    assert identify({"parts": {"format": None}}).partition != identify({"parts": {}}).partition


def test_a_value_does_not_move_between_parts() -> None:
    assert identify({"parts": {"system": "x"}}).partition != identify({"parts": {"tools": "x"}}).partition


def test_case_counts() -> None:
    """A deployment's name, or a parameter's value: only the reader knows which part of it has none."""
    assert identify({"host": "a.example/d/GPT"}).partition != identify({"host": "a.example/d/gpt"}).partition


def test_headers_that_choose_the_answer_are_a_part_of_their_own() -> None:
    plain, beta = identify({}), identify({"headers": {"openai-beta": "a"}})
    assert "headers" not in plain.parts
    assert identify({"headers": {}}) == plain
    assert {name for name in beta.parts if beta.parts[name] != plain.parts.get(name)} == {"headers"}
    assert beta.partition not in (plain.partition, identify({"headers": {"openai-beta": "b"}}).partition)
    two = {"x-a": "1", "x-b": "2"}
    assert identify({"headers": two}) == identify({"headers": reversed_keys(two)})
    assert identify({"headers": two}).partition != identify({"headers": {"x-a": "2", "x-b": "1"}}).partition


def test_another_installation_has_other_keys() -> None:
    one, other = identify({}), identify({}, b"x" * 32)
    assert one.exact != other.exact
    assert set(one.parts.values()).isdisjoint(other.parts.values())


def test_integers_over_64_bits_and_lone_surrogates_are_told_apart() -> None:
    keys = [
        identify({"parts": {"other": {"seed": 2**70}}}),
        identify({"parts": {"other": {"seed": 2**70 + 1}}}),
        identify({"parts": {"other": "\ud800"}}),
        identify({"parts": {"other": "\ud801"}}),
        identify({"prompt": "\ud800"}),
    ]
    assert len({identity.exact for identity in keys}) == len(keys)


@pytest.mark.parametrize("length", [0, 15, 65])
def test_a_secret_of_the_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"{length} bytes, expected 16 to 64"):
        Identifier(b"x" * length)


def test_secret_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    made = load_secret(path)
    assert len(made) == 32
    assert load_secret(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["secret"]


def test_everyone_who_starts_at_once_gets_the_same_secret(tmp_path: Path) -> None:
    found: list[bytes] = []
    gate = threading.Barrier(8)

    def start() -> None:
        gate.wait()
        found.append(load_secret(tmp_path / "secret"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1


def test_a_cut_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"short")
    with pytest.raises(ValueError, match="5 bytes, expected 32"):
        load_secret(tmp_path / "secret")
