"""The plain form of a question: what is left out, what is read instead, and what must stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cache.judge import plain_form
from askonce.cache.judge.lexicon import ABBREVIATIONS, PLAIN_FORMS
from askonce.cache.judge.plain_form import plain


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("er, so where can i get a coffee", "where can i get a coffee"),
        ("Um so, like, is it safe to eat?", "is it safe to eat?"),
        ('"What is the capital of France?"', "What is the capital of France?"),
        ('"er, so where can i get a coffee?"', "where can i get a coffee?"),
        ("so where do I, uh, park", "where do I, park"),
        ("When did um, women get the vote?", "When did women get the vote?"),
        ("I have a question: what is a monad?", "what is a monad?"),
        ("I can't remember, who wrote Emma?", "who wrote Emma?"),
        ("Where is it? Any ideas?", "Where is it?"),
        ("Where is it? Thanks for any help!", "Where is it?"),
        ("Where is it??", "Where is it?"),
        ("Where is it?!", "Where is it?"),
        ("Where is the exit...?", "Where is the exit?"),
        ("WHY IS THE SKY BLUE?", "why is the sky blue?"),
        ("Just curious: how do bees make honey?", "how do bees make honey?"),
        ("Could you please tell me what a monad is?", "what a monad is?"),
        ("I was wondering, how do I sort a list?", "how do I sort a list?"),
        ("Do you know when the shop opens?", "when the shop opens?"),
        ("In the old town, where do the buses stop?", "where do the buses stop in the old town?"),
        ("For what reason is the sky blue?", "why is the sky blue?"),
        ("In which year was it invented?", "when was it invented?"),
        ("Does it open at nine in the evening?", "Does it open at 9pm?"),
        ("open at 9 p.m. or 9.30 am", "open at 9pm or 9:30am"),
        ("Can I pay in EUR?", "Can I pay in euros?"),
        ("Can I pay $1,200 or €20?", "Can I pay 1,200 dollars or 20 euros?"),
        ("At what time does it open?", "what time does it open?"),
        ("How do I switch off the alarm?", "How do I turn off the alarm?"),
        ("Can I sell the car that I lease?", "Can I sell the car I lease?"),
        ("What is the value added tax (VAT) on books?", "What is the VAT on books?"),
    ],
)
def test_what_is_read_instead(prompt: str, expected: str) -> None:
    assert plain(prompt) == expected


@pytest.mark.parametrize(
    "prompt",
    [
        "What is the capital of France?",
        "so what",
        "So far so good",
        "Well water is safe",
        "hello world in python",
        "can you tell me a joke",
        "What does value added tax stand for?",
        "How do you say um in French?",
        'What does "er, so where" mean?',
        '"A" or "B"?',
        '"Carpe diem"',
        "In short, sentences",
        "In the old town, there are buses.",
        "er, so\nwhere",
        "two in the evening",
        "like father like son",
        "The ER is closed",
        "I am bored. Any ideas?",
        "The tallest one is...?",
        "What does a ?? b give",
        "Is it ?? or ?:",
        "What a day!!",
        "WHO IS RED",
        "ER opening hours",
        "Um wie viel Uhr schließt der Laden?",
        "to err is human",
        "What does $1 mean in bash?",
        "Is it $20 million, US$20 or $20k?",
        "Is that your car?",
        "",
        "um",
    ],
)
def test_what_must_stay(prompt: str) -> None:
    assert plain(prompt) == prompt


def test_every_form_is_read_as_its_name() -> None:
    for name, phrases in [*PLAIN_FORMS.items(), *((key.upper(), words) for key, words in ABBREVIATIONS.items())]:
        for phrase in phrases:
            assert plain(f"a {phrase} b") == f"a {name} b", phrase


@given(st.text(max_size=200))
def test_any_text_has_a_plain_form_with_no_new_signs(prompt: str) -> None:
    found = plain(prompt)
    assert bool(found.strip()) == bool(prompt.strip())


@given(st.sampled_from(["er, ", "um so ", "uh... ", "okay, so, "]), st.sampled_from(["do you know ", "tell me, ", ""]))
def test_what_leads_to_a_question_changes_nothing_of_it(sound: str, softener: str) -> None:
    assert plain(f"{sound}{softener}how do bees make honey?") == "how do bees make honey?"


LEADING = [
    "um",
    "Er",
    "um's",
    "so",
    "OK",
    "tell me",
    "i'd like to know",
    "can you tell me",
    "in the old town",
    "\u017fo",
]
ASKED = [
    "what",
    "how",
    "is it",
    "9 p.m.",
    "nine in the evening",
    "at night",
    "noon",
    "eur",
    "'",
    " ",
    ",",
    ".",
    "?",
    "…",
]


@given(st.lists(st.sampled_from(LEADING + ASKED), max_size=9).map(" ".join))
def test_a_look_at_the_words_spares_only_patterns_that_find_nothing(prompt: str) -> None:
    looked = plain(prompt)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_may_sound", "_may_lead", "_may_tell_time"):
            patch.setattr(plain_form, name, lambda *_: True)
        assert plain(prompt) == looked
