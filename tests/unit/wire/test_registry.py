"""The table of wire formats."""

import pytest

from askonce.wire import WIRE_FORMATS, wire_format


def test_every_format_is_found_by_its_own_name() -> None:
    assert {"openai-chat", "generic"} <= set(WIRE_FORMATS)
    assert all(wire_format(name).name == name for name in WIRE_FORMATS)


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(ValueError, match=r"one of .*openai-chat.*; got 'openai-chart'"):
        wire_format("openai-chart")
