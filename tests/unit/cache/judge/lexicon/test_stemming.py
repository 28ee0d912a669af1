"""Which forms of a word meet."""

import pytest

from askonce.cache.judge.lexicon.stemming import BASES, COMPARATIVES, IRREGULAR, stem


@pytest.mark.parametrize(
    "forms",
    [
        "go goes went gone",
        "city cities",
        "box boxes",
        "stop stops stopped stopping",
        "try tries tried",
        "write writes wrote written writing",
        "freeze froze frozen freezing",
        "mouse mice",
        "colour colours color colors",
        "favourite favourites favorite",
        "centre centres center centers",
        "metre metres meter meters",
        "cheques checks",
        "analysis analyses",
        "organisation organization",
        "exercise exercises exercised",
    ],
)
def test_the_forms_of_a_word_meet(forms: str) -> None:
    assert len({stem(form) for form in forms.split()}) == 1


def test_irregular_forms_meet_their_plain_form() -> None:
    assert {form for form, plain in IRREGULAR.items() if stem(form) != stem(plain)} == set()


@pytest.mark.parametrize("words", ["bus us", "news new", "thing the", "need ne", "class clas"])
def test_other_words_do_not(words: str) -> None:
    assert len({stem(word) for word in words.split()}) == 2


def test_comparatives_are_made_of_their_adjectives() -> None:
    assert {"bigger", "biggest", "easier", "nicer", "better"} <= COMPARATIVES
    assert BASES["bigger"] == "big"
    assert BASES["happiest"] == stem("happy")
