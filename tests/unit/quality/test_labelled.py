import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.quality.labelled import (
    LabelError,
    LabelledPair,
    Prompt,
    Query,
    groups,
    read_pairs,
    read_prompts,
    read_stream,
)

PAIR = '{"a": "x", "b": "y", "label": 1}'
text = st.text(min_size=1).filter(str.strip)


def written(folder: Path, content: bytes) -> Path:
    path = folder / "labels.jsonl"
    path.write_bytes(content)
    return path


def test_pairs_are_read_in_order(tmp_path: Path) -> None:
    lines = [
        PAIR,
        "",
        '{"a": "ü", "b": "\\n!", "label": 0, "cat": "signs", "id": 7}',
        '{"a":"1","b":"2","label":0,"cat":null}',
    ]
    path = written(tmp_path, "\n".join(lines).encode())
    assert read_pairs(path) == [
        LabelledPair("x", "y", 1),
        LabelledPair("ü", "\n!", 0, "signs"),
        LabelledPair("1", "2", 0),
    ]


def test_a_stream_is_read_in_order(tmp_path: Path) -> None:
    path = written(tmp_path, b'{"text": "x", "cls": "one", "split": "train"}\r\n{"cls": "two", "text": "y"}\r\n')
    assert read_stream(path) == [Query("x", "one"), Query("y", "two")]


def test_prompts_are_read_with_their_kinds(tmp_path: Path) -> None:
    path = written(tmp_path, b'{"text": "Cancel it.", "kind": "act"}\n{"text": "Why is it blue?", "kind": "lasting"}')
    assert read_prompts(path) == [Prompt("Cancel it.", "act"), Prompt("Why is it blue?", "lasting")]
    with pytest.raises(LabelError, match=r'expected "kind" to be one of lasting, volatile, act, .*; got "new"'):
        read_prompts(written(tmp_path, b'{"text": "Cancel it.", "kind": "new"}'))


def test_gzip_is_told_by_its_content(tmp_path: Path) -> None:
    assert read_pairs(written(tmp_path, gzip.compress(PAIR.encode()))) == [LabelledPair("x", "y", 1)]


@given(st.lists(st.tuples(text, text, st.integers(0, 1), st.text()), min_size=1), st.booleans())
def test_what_json_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, int, str]], zipped: bool
) -> None:
    objects = [{"a": a, "b": b, "label": label, "cat": cat} for a, b, label, cat in rows]
    content = "".join(json.dumps(row) + "\n" for row in objects).encode()
    path = written(tmp_path_factory.mktemp("labels"), gzip.compress(content) if zipped else content)
    assert read_pairs(path) == [LabelledPair(*row) for row in rows]


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ('{"a": "x", "b": "y"}', 'expected "label" to be 0 or 1; the line has a, b'),
        ("{}", 'expected "label" to be 0 or 1; the line has nothing'),
        ('{"a": "x", "b": "y", "label": 2}', 'expected "label" to be 0 or 1; got 2'),
        ('{"a": "x", "b": "y", "label": true}', 'expected "label" to be 0 or 1; got true'),
        ('{"a": "x", "b": "y", "label": "1"}', 'expected "label" to be 0 or 1; got "1"'),
        ('{"a": "x", "label": 1}', 'expected "b" to be a text; the line has a, label'),
        ('{"a": "", "b": "y", "label": 1}', 'expected "a" to be a text; got ""'),
        ('{"a": ["x"], "b": "y", "label": 1}', 'expected "a" to be a text; got ["x"]'),
        ('{"a": "x", "b": "y", "label": 1, "cat": 3}', 'expected "cat" to be a text; got 3'),
        (
            '{"a": "x \\ud800", "b": "y", "label": 1}',
            'expected "a" to be Unicode text; half of a surrogate pair is in it',
        ),
        ('["x", "y", 1]', 'expected a JSON object; got ["x", "y", 1]'),
        ('{"a": "x"', "expected a JSON object: Expecting ',' delimiter: line 2 column 1 (char 10)"),
    ],
)
def test_a_mistake_names_file_and_line(tmp_path: Path, line: str, mistake: str) -> None:
    path = written(tmp_path, f"{PAIR}\n\n{line}\n".encode())
    with pytest.raises(LabelError) as raised:
        read_pairs(path)
    assert str(raised.value) == f"{path}:3: {mistake}"


@pytest.mark.parametrize("line", [b"\xff\xfe{}", b"[" * 100_000])
def test_what_is_no_json_names_its_line(tmp_path: Path, line: bytes) -> None:
    path = written(tmp_path, PAIR.encode() + b"\n" + line)
    with pytest.raises(LabelError) as raised:
        read_pairs(path)
    assert str(raised.value).startswith(f"{path}:2: expected a JSON object: ")


def test_a_stream_needs_a_class(tmp_path: Path) -> None:
    path = written(tmp_path, b'{"text": "x"}')
    with pytest.raises(LabelError) as raised:
        read_stream(path)
    assert str(raised.value) == f'{path}:1: expected "cls" to be a text; the line has text'


@pytest.mark.parametrize("cut", [slice(0, -12), slice(0, 30)])
def test_a_gzip_that_breaks_off_says_where(tmp_path: Path, cut: slice) -> None:
    path = written(tmp_path, gzip.compress(f"{PAIR}\n{PAIR}\n".encode(), compresslevel=0)[cut])
    with pytest.raises(LabelError, match=rf"^{path}:\d: the gzip file is broken here: "):
        read_pairs(path)


def test_a_gzip_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    broken = bytearray(gzip.compress(f"{PAIR}\n".encode()))
    broken[-6] ^= 1
    path = written(tmp_path, bytes(broken))
    with pytest.raises(LabelError, match=rf"^{path}:2: the gzip file is broken here: "):
        read_pairs(path)


@pytest.mark.parametrize("content", [b"", b"\n\n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)
    with pytest.raises(LabelError) as raised:
        read_pairs(path)
    assert str(raised.value) == f"{path}:1: expected pairs, one JSON object a line; the file is empty"


def test_pairs_that_share_a_question_are_one_group() -> None:
    pairs = [
        LabelledPair("a", "b", 1),
        LabelledPair("c", "d", 0),
        LabelledPair("e", "b", 1),
        LabelledPair("x", "x", 1),
        LabelledPair("e", "f", 0),
    ]
    assert groups(pairs) == ["a", "c", "a", "x", "a"]
