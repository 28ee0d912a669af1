"""What a proxy that did not start said last."""

import pytest

from askonce.exec.last_words import last_words


@pytest.mark.parametrize(
    ("said", "last"),
    [
        ("", ""),
        ("Traceback\nOSError: no\n", "OSError: no"),
        ("noise\naskonce: rules.yaml:3: one\nrules.yaml:4: two\n", "rules.yaml:3: one\nrules.yaml:4: two"),
        ("askonce: starting\naskonce: it failed", "it failed"),
    ],
)
def test_the_last_thing_it_said(said: str, last: str) -> None:
    assert last_words(said) == last
