"""Numbers stay the text that they were; what readers do not agree on is no JSON."""

import copy
import json
import re
from datetime import datetime
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from askonce.jsontext import ExactNumber, NotJson, canonical, dumps, encodable, is_number, line_safe, loads, rfc3339

NUMBERS = st.from_regex(
    re.compile(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,2})?", re.ASCII), fullmatch=True
)
"""What RFC 8259 takes for a number, within the reach of a double."""
KNOWN = [
    *(
        "0",
        "-0",
        "1",
        "-1",
        "1.0",
        "1e0",
        "1E0",
        "1e+0",
        "0.1",
        "0.10",
        "0.10000000000000000555",
        "1.50",
        "-0.0",
        "0e0",
    ),
    *("123456789012345678901", "18446744073709551615", "18446744073709551616", "-9223372036854775808"),
    *("-9223372036854775809", "9007199254740993", "9007199254740993.0", "1e16", "10000000000000000.0", "1e22", "1E5"),
    *("0.0001", "0.00001", "1e-5", "1e-05", "2.2250738585072014e-308", "1e-400", "0.30000000000000004"),
]


def documents(numbers: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """JSON texts that hold such numbers at any place, with white space and escapes as anybody may write them."""
    strings = st.text(max_size=5).map(json.dumps) | st.sampled_from(
        ['"1.50"', r'"\""', r'"\\"', r'"\\\"1e5"', r'"\/"', r'"\u0041"', '"é\u2028"', '":"', '"a, 1.0"']
    )
    space = st.sampled_from(["", "", " ", "\n  ", "\t"])

    def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        items = st.lists(st.tuples(space, inner, space).map("".join), max_size=4)
        names = st.sampled_from(["a", "b", "1e5", 'c\\"', "d\\\\"])
        members = st.dictionaries(names, st.tuples(space, inner, space).map("".join), max_size=4)
        return items.map(lambda all: f"[{','.join(all)}]") | members.map(
            lambda all: "{" + ",".join(f'"{name}":{value}' for name, value in all.items()) + "}"
        )

    return st.recursive(numbers | strings | st.sampled_from(["true", "null"]), compound, max_leaves=12)


def texts_of(document: str) -> list[str]:
    """The texts of the numbers in a JSON text, as Python's own reader comes across them."""
    found = list[str]()

    def note(text: str) -> int:
        found.append(text)
        return 0

    json.loads(document, parse_int=note, parse_float=note)
    return found


@pytest.mark.parametrize("text", KNOWN)
def test_a_number_comes_back_as_its_text(text: str) -> None:
    for document in (text, f"[{text}]", f'{{ "a" : {text} ,"b":[true,{text}]}}', f'["\\u00e9",{text}]'):
        written = dumps(loads(document))
        assert texts_of(written.decode()) == texts_of(document)


@given(documents(NUMBERS | st.sampled_from(KNOWN)))
@example('["\\\\",1.50,"\\""]')
@example('[1.50,"","\\\\\\"",1.5]')
def test_all_numbers_of_a_document_come_back_as_their_texts(document: str) -> None:
    written = dumps(loads(document))
    assert texts_of(written.decode()) == texts_of(document)
    assert json.loads(written) == json.loads(document)
    assert dumps(loads(written)) == written


@given(NUMBERS | st.sampled_from(KNOWN), NUMBERS | st.sampled_from(KNOWN))
def test_different_texts_are_different(one: str, other: str) -> None:
    keys = {canonical(loads(f'{{"b":1,"a":[{text}]}}')) for text in (one, other)}
    assert len(keys) == len({one, other})


TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
SCALAR = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-1e300, 1e300) | TEXT
VALUE = st.recursive(SCALAR, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=12)


@given(VALUE)
def test_where_nothing_is_lost_it_is_orjson(value: Any) -> None:
    for data in (orjson.dumps(value), orjson.dumps(value, option=orjson.OPT_INDENT_2)):
        assert loads(data) == orjson.loads(data)
        assert dumps(loads(data)) == orjson.dumps(value)
    assert canonical(value) == orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


@pytest.mark.parametrize(
    "document",
    [
        '{"a":1,"a":1}',
        '{"a":1,"\\u0061":1}',
        '[{"b":{"a":"x","c":"a","a":"x"}}]',
        '{"a\\u003a":1,"a:":2}',
        '{ "a":{"b":1.50}, "a":1 }',
        '{"":1,"":":"}',
    ],
)
def test_a_name_that_is_there_twice_is_refused(document: str) -> None:
    with pytest.raises(NotJson, match=r"^not clear: the key '.*' is there twice$"):
        loads(document)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"NaN", "not JSON"),
        (b"[01]", "not JSON"),
        (b"[1.]", "not JSON"),
        (b"1e999", "not JSON"),
        (b'"\xff"', "not JSON"),
        (b'"\\ud800"', "not JSON"),
        (b"[" * 300 + b"]" * 300, "nested too deeply"),
        (b"[" * 2000 + b"]" * 2000, "not JSON"),
    ],
)
def test_what_is_no_json(data: bytes, why: str) -> None:
    with pytest.raises(NotJson, match=f"^{why}"):
        loads(data)


def test_a_number_is_a_number() -> None:
    number = loads("[1.50]")[0]
    assert (type(number), number, repr(number), is_number(number)) == (ExactNumber, 1.5, "1.50", True)
    assert [is_number(value) for value in (1, 1.5, True, None, "1")] == [True, True, False, False, False]
    for same in (copy.copy(number), copy.deepcopy(number)):
        assert dumps(same) == b"1.50"
    with pytest.raises(TypeError):
        dumps({1})


def test_an_integer_of_thousands_of_digits_is_no_trouble() -> None:
    digits = "1" * 300
    assert dumps(loads(f"[{digits}]")) == f"[{digits}]".encode()


@given(st.text(st.characters(codec="utf-8")))
def test_a_stream_is_cut_into_lines_where_it_ends_them(text: str) -> None:
    stream = line_safe(dumps({"text": text}) + b"\n" + dumps(text) + b"\n")
    first, second = stream.decode().splitlines()
    assert (json.loads(first), json.loads(second)) == ({"text": text}, text)


def test_what_utf_8_cannot_hold_is_a_question_mark() -> None:
    assert encodable("a\ud800b\U0001f600") == "a?b\U0001f600"


def test_a_moment_is_written_in_utc() -> None:
    assert rfc3339(0.9) == "1970-01-01T00:00:00Z"
    assert rfc3339(1_800_000_000.25, "microseconds") == "2027-01-15T08:00:00.250000Z"


@given(st.floats(0, 253402300799))
def test_a_moment_is_read_again_to_the_microsecond(moment: float) -> None:
    assert datetime.fromisoformat(rfc3339(moment, "microseconds")).timestamp() == pytest.approx(
        moment, abs=1e-6, rel=1e-15
    )
