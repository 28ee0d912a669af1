"""Whether an answer may be given again: what single prompts are called, and that any text is called something."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cache.judge.lexicon import REUSE_CUES
from askonce.cache.judge.reuse import LASTING, Reuse, ReuseKind, Reuses, _remembered, reuse
from askonce.cache.judge.reuse_features import tokens

ENGLISH = {
    "volatile": [
        "what's the weather like in Berlin today?",
        "Is Taskfern down right now?",
        "which version of Excel is the newest",
        "how long is the queue at the Louvre at the moment",
    ],
    "act": ["Cancel my subscription.", "Transfer 200 to Anna.", "turn off the lights in the kitchen", "Send me a copy"],
    "state": ["Where is my parcel?", "did my order ship?", "what's my balance", "Is my appointment in the morning?"],
    "conversation": ["give me another one", "and on Android?", "why not?", "Shorter, please."],
    "variety": ["Tell me a joke.", "write a haiku about moving boxes", "suggest a name for our boat", "pick a colour"],
    "lasting": [
        "What is the capital of France?",
        "what's the capital of france",
        "photosynthesis",
        "Tell me about the Roman Empire",
        "In which year was the printing press invented?",
        "How do I cancel a subscription?",
        "can I cancel an order after it was shipped",
        "how do I get the first row of a table in SQL",
        "my password doesn't work, what should I do?",
        "is it far from the earth to the moon",
        "Write a Python function that reverses a string.",
        "What does 'currently' mean?",
    ],
}


@pytest.mark.parametrize(("kind", "prompt"), [(kind, prompt) for kind, some in ENGLISH.items() for prompt in some])
def test_an_english_prompt(kind: str, prompt: str) -> None:
    assert reuse(prompt).kind == kind


@pytest.mark.parametrize(
    ("kind", "prompt"),
    [
        ("volatile", "Wie ist das Wetter heute in Köln?"),
        ("lasting", "Wann wurde der Buchdruck erfunden?"),
        ("act", "Storniere meine Bestellung"),
        ("state", "Où est ma commande ?"),
        ("lasting", "Quelle est la capitale de la France ?"),
        ("volatile", "¿Qué tiempo hace hoy en Madrid?"),
        ("variety", "Conte-me uma piada"),
        ("variety", "raccontami una barzelletta"),
        ("state", "Waar is mijn pakket?"),
        ("volatile", "Jaka pogoda będzie jutro?"),
        ("act", "Отмени мой заказ"),
        ("lasting", "Какая столица Франции?"),
        ("volatile", "şu an hava nasıl"),
        ("volatile", "今天天气怎么样?"),
        ("lasting", "法国的首都是哪里?"),
        ("act", "予約をキャンセルして"),
        ("variety", "재미있는 농담 해줘"),
        ("volatile", "आज मौसम कैसा है?"),
        ("variety", "قل لي نكتة"),
        ("act", "この荷物を送ってください。"),
        ("lasting", "荷物を送ってから届くまで何日かかりますか"),
        ("conversation", "第二个怎么弄"),
        ("lasting", "怎么在表格里选第二个工作表"),
        ("conversation", "Nein, die andere Karte"),
        ("lasting", "Was tun, wenn die Bahn Verspätung hat und ich den Anschluss verpasse?"),
        ("act", "Mándame la factura de abril"),
        ("lasting", "¿Cómo pido un duplicado de la factura?"),
        ("state", "doszła moja paczka?"),
    ],
)
def test_a_phrase_tells_in_other_languages(kind: str, prompt: str) -> None:
    assert reuse(prompt).kind == kind


def test_each_phrase_tells_a_kind() -> None:
    assert set(REUSE_CUES.values()) == set(get_args(ReuseKind)) - {"lasting"}


def test_each_phrase_is_found_however_long_it_is() -> None:
    prompts = [
        f"zzz {phrase.removesuffix(' $')}" if phrase.endswith(" $") else f"{phrase.removeprefix('^ ')} zzz"
        for phrase in REUSE_CUES
    ]
    assert [prompt for prompt in prompts if reuse(prompt).kind == "lasting"] == []


def test_what_is_quoted_or_talked_about_says_nothing() -> None:
    assert reuse('Classify the sentiment: "I cannot log in today and my order is late"').kind == "lasting"
    document = "The office is closed today. Where is my parcel? " * 9
    assert reuse(f"{document}\n\nWhat is the capital of France?").kind == "lasting"
    assert reuse(f"{document}\n\nCancel my subscription.").kind == "act"


def test_the_reason_names_the_kind_and_words_of_the_lists() -> None:
    assert reuse("Is the shop open right now?").reason == "volatile: right now"
    assert reuse("Wie spät ist es heute?") == Reuse("volatile", "wie spät")
    assert LASTING.reason == "" and Reuse("act").reason == "act"


@pytest.mark.parametrize("prompt", ["", " ", "?", "42", "\n\n"])
def test_a_prompt_without_words_lasts(prompt: str) -> None:
    assert reuse(prompt) is LASTING


@given(st.text(max_size=300))
def test_any_text_is_called_something(prompt: str) -> None:
    _remembered.cache_clear()
    found = reuse(prompt)
    assert found.kind in get_args(ReuseKind)
    _remembered.cache_clear()
    assert reuse(prompt) == found


def test_a_long_prompt_is_read_and_not_remembered() -> None:
    held = _remembered.cache_info().currsize
    assert reuse("Is the shop open right now? " + "Please. " * 200).kind == "volatile"
    assert _remembered.cache_info().currsize == held


def test_the_weights_decide_and_name_the_loudest_words() -> None:
    told = Reuses(
        {"how", "busy", "is"},
        {
            "lasting": {"": 1.0, "^ how busy": -3.0, "is": 0.5},
            "volatile": {"": 0.0, "^ how busy": 2.0, "is": 0.1},
            "act": {"": 0.5},
        },
    )
    assert told.read(tokens("how busy is the A3")) == Reuse("volatile", "how busy")
    assert told.read(tokens("is the A3 long")) is LASTING
