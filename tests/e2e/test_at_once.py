"""What has just been answered is found by whoever asks next, however soon: nothing waits for the disk to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider

pytestmark = pytest.mark.usefixtures("app_env")

COUNTRIES = ("France", "Germany", "Spain", "Italy", "Norway", "Poland")
ASKED, REWORDED = "What is the capital of {}?", "Tell me what the capital of {} is."


def ask(client: openai.OpenAI, question: str, *, stream: bool) -> None:
    """Ask, and read the answer to its last byte."""
    messages: list[openai.types.chat.ChatCompletionUserMessageParam] = [{"role": "user", "content": question}]
    if stream:
        for _ in client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True):
            pass
    else:
        client.chat.completions.create(model="gpt-4o-mini", messages=messages)


@pytest.mark.parametrize("stream", [False, True])
def test_a_rewording_right_after_its_original_finds_it(provider: Provider, *, stream: bool) -> None:
    with openai.OpenAI() as client:
        for country in COUNTRIES:
            ask(client, ASKED.format(country), stream=stream)
            ask(client, REWORDED.format(country), stream=stream)
    assert provider.calls() == len(COUNTRIES)
