"""What of a body's JSON is too much to read."""

import pytest

from askonce.calls.limits import SMALL, is_intricate

FILL = b" " * SMALL


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"{" + b",".join([b'"k":1'] * 60_000) + b"}", False),
        (b"{" + b",".join([b'"k":1'] * 100_000) + b"}", True),
        (b"[" * 100_001, True),
        (b"[" + b"1," * 399_000 + b"1]", False),
        (b"[" + b"1," * 400_100 + b"1]", True),
        (b'"' + b"x" * (8 << 20) + b'"', False),
    ],
)
def test_marks_are_counted(text: bytes, expected: bool) -> None:
    assert is_intricate(FILL + text) is expected


def test_the_numbers_of_an_answer_do_not_count() -> None:
    assert not is_intricate(b"[" + b"1," * 3_000_000 + b"1]", items=False)
    assert is_intricate(b"[" + b"{}," * 100_000 + b"{}]", items=False)


def test_a_small_body_is_never_too_much() -> None:
    assert not is_intricate(b"[" * SMALL)
