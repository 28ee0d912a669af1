"""What a request says that its answer depends on: the header's grammar, and where a rule finds it."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.call import Request
from askonce.rules import Document, Rules
from askonce.rules.dependencies import DependsError, dependencies, parse_place, parse_tag, read_depends

VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F))
TEXTS = st.text(st.sampled_from(VISIBLE.replace(",", "").replace("@", "")), min_size=1, max_size=256)
TAGS = st.dictionaries(TEXTS, TEXTS | st.just(""), max_size=64)
SPACES = st.text(st.sampled_from(" \t"), max_size=2)


@given(TAGS, SPACES, st.sampled_from(["", ",", " ,, "]))
def test_whatever_is_written_by_the_grammar_is_read(tags: dict[str, str], space: str, empty: str) -> None:
    items = [f"{tag}@{version}" if version else tag for tag, version in tags.items()]
    assert read_depends(empty + f"{space},{space}".join(items) + empty) == tags


@given(st.text() | st.text(st.sampled_from("ab@, \t:é\x7f\x00\udcff"), max_size=12))
def test_whatever_else_comes_is_an_error_and_never_a_dependency_less(header: str) -> None:
    items = [item for item in (item.strip(" \t") for item in header.split(",")) if item]
    part = r"[\x21-\x2b\x2d-\x3f\x41-\x7e]{1,256}"  # the grammar's own ranges
    is_good = all(re.fullmatch(f"{part}(@{part})?", item) for item in items)
    try:
        found = read_depends(header)
    except DependsError:
        tags = [item.partition("@")[0] for item in items]
        assert not is_good or len(set(items)) > len(set(tags))
    else:
        assert is_good
        assert {f"{tag}@{version}" if version else tag for tag, version in found.items()} == set(items)


@pytest.mark.parametrize(
    "header",
    [
        "doc 17",
        "doc:17@",
        "@v3",
        "doc:17@v3@v4",
        "doc:17@v1, doc:17@v2",
        "doc:17, doc:17@v2",
        "é",
        "a" * 257,
        "a@" + "b" * 257,
        ",".join(str(number) for number in range(65)),
    ],
)
def test_what_cannot_be_read(header: str) -> None:
    with pytest.raises(DependsError, match="X-Askonce-Depends: "):
        read_depends(header)


def test_a_tag_of_a_filter() -> None:
    assert (parse_tag("doc:17"), parse_tag("doc:17@v3")) == (("doc:17", None), ("doc:17", "v3"))
    with pytest.raises(ValueError, match="expected a tag such as doc:17"):
        parse_tag("doc:17, doc:18")


def asked(body: Any = None, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", "h", "/p", "", named, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("depends", "request_", "found"),
    [
        ({"doc:*": "$.docs[*]"}, asked({"docs": ["17@v3", 18]}), {"doc:17": "v3", "doc:18": ""}),
        ({"prices": "$.meta.version"}, asked({"meta": {"version": "of May, 3rd"}}), {"prices": "of May, 3rd"}),
        ({"prices": "header:X-Prices"}, asked(x_prices='W/"7"'), {"prices": 'W/"7"'}),
        ({"doc:*": "header:X-Docs"}, asked(x_docs="1, 2@v2"), {"doc:1": "", "doc:2": "v2"}),
        ({"*": "$.docs"}, asked({"docs": "a@1, b"}, x_askonce_depends="c"), {"a": "1", "b": "", "c": ""}),
        ({"prices": "$.none", "doc:*": "header:x-none"}, asked({"none": None}), {}),
        ({"n": "$.n"}, asked({"n": 1.50}), {"n": "1.5"}),
    ],
)
def test_a_rule_says_where_it_stands(depends: dict[str, str], request_: Request, found: dict[str, str]) -> None:
    assert dependencies(request_, [parse_place(*one) for one in depends.items()]) == found


@pytest.mark.parametrize(
    ("depends", "request_"),
    [
        ({"doc:*": "$.docs"}, asked({"docs": ["17"]})),
        ({"doc:*": "$.docs"}, asked({"docs": True})),
        ({"doc:*": "$.docs"}, asked({"docs": "two words"})),
        ({"prices": "$.v"}, asked({"v": "x" * 513})),
        ({"prices": "$.v[*]"}, asked({"v": ["1", "2"]})),
        ({"prices": "$.v"}, Request("POST", "h", "/p", "", {}, b"no JSON")),
        ({"prices": "$.v"}, asked({"v": "1"}, x_askonce_depends="prices@2")),
    ],
)
def test_what_is_found_and_cannot_be_read(depends: dict[str, str], request_: Request) -> None:
    with pytest.raises(DependsError):
        dependencies(request_, [parse_place(*one) for one in depends.items()])


@pytest.mark.parametrize(
    ("tag", "where", "message"),
    [
        ("doc:17@v3", "$.a", "expected a tag such as prices"),
        ("*:*", "$.a", "expected a tag such as prices"),
        ("two words", "$.a", "expected a tag such as doc:17"),
        ("a", "header:", "expected header:NAME"),
        ("a", "header:b c", "expected header:NAME"),
        ("a", "b", r"expected a JSONPath"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(tag: str, where: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rules(
            Document.model_validate(
                {
                    "version": 1,
                    "upstreams": [
                        {"name": "a", "hosts": ["h"], "paths": ["/"], "wire": "generic", "depends": {tag: where}}
                    ],
                }
            )
        )
