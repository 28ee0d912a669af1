"""Prompts of the same words, written otherwise: what is not known to say nothing makes them two.

`DIFFERENT` holds one pair of each kind that was met; `SAME` what must stay equal.
"""

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.cache.judge import Candidate
from askonce.cache.judge.guards import Pair, objection, objections
from askonce.cache.judge.reading import read
from askonce.cache.judge.trained import TrainedJudge

NOWHERE = np.zeros(256, dtype=np.float32)
SHIPPED = TrainedJudge.load()
SERVED = 0.95
"""Below what any sensible `max_error` asks for."""

DIFFERENT = {
    "combining marks": [
        ("ราคาเสือ", "ราคาเสื้อ"),  # price of a tiger, of a shirt
        ("पिता कौन है", "पीता कौन है"),  # father, drinks
        ("पिता", "पता"),
        (unicodedata.normalize("NFD", "Giá của má?"), unicodedata.normalize("NFD", "Giá của mà?")),
        (unicodedata.normalize("NFD", "con ma ở đâu"), unicodedata.normalize("NFD", "con má ở đâu")),
        ("عَلِمَ", "عُلِمَ"),
        ("סֵפֶר", "סַפָּר"),
        ("কলা কি", "কালা কি"),
        ("மரம் என்ன", "மாரம் என்ன"),
        ("តើ​កាក".replace("\u200b", ""), "តើកក"),
        ("ကား", "ကာ"),
        ("What does x̂ mean?", "What does x̄ mean?"),
        ("What does ก่า mean in Thai?", "What does ก้า mean in Thai?"),
        ("Is it 5̶ or 6?", "Is it 5 or 6?"),
    ],
    "emoji": [
        ("Classify this review: 👍", "Classify this review: 👎"),
        ("Which country is 🇫🇷?", "Which country is 🇩🇪?"),
        ("Is it done? ✅", "Is it done? ❌"),
        ("What does ✓ mean?", "What does ✗ mean?"),
        ("What does 👍🏻 mean?", "What does 👍🏿 mean?"),
        ("What is 👨‍🚀?", "What is 👨‍🚒?"),
        ("What is 👩‍👩‍👧?", "What is 👩👩👧?"),
        ("How was it? 😀", "How was it?"),
        ("What does ❤️ mean?", "What does ❤ mean?"),
    ],
    "signs": [
        ("When is x ≤ 5?", "When is x ≥ 5?"),
        ("What is 6 × 3?", "What is 6 ÷ 3?"),
        ("What is A ∪ B?", "What is A ∩ B?"),
        ("What does ∀ x mean?", "What does ∃ x mean?"),
        ("What does → mean?", "What does ← mean?"),
        ("Play C♯ on the piano", "Play C♭ on the piano"),
        ("What does // do in Python?", "What does / do in Python?"),
        ("What does ?? do in C#?", "What does ? do in C#?"),
        ("What is x ?? y in C#?", "What is x ? y in C#?"),
        ("What does := mean?", "What does = mean?"),
        ("What does foo_bar mean?", "What does foo bar mean?"),
        ("What does __init__ do?", "What does init do?"),
        ("What is 5 m²?", "What is 5 m³?"),
        ("What is x²?", "What is x2?"),
        ("What is x₁?", "What is x₂?"),
        ("What is ½ of 8?", "What is ¼ of 8?"),
        ("What is ℝ?", "What is R?"),
        ("What is 𝑥?", "What is x?"),
        ("What is 𝐁?", "What is 𝑩?"),
        ("What costs ₿5?", "What costs ₪5?"),
        ("What costs ₩500?", "What costs ₫500?"),
        ("Draw ┌─┐", "Draw └─┘"),
        ("What is ＡＢ？", "What is AB?"),
        ("What is ｱ?", "What is ア?"),
        ("What does 「は」 mean?", "What does 『は』 mean?"),
        ("What is f(x)?", "What is f[x]?"),
        ("What does ~ do in bash?", "What does ^ do in bash?"),
        ("a & (b | c)", "(a & b) | c"),
        ("What is a + b * c?", "What is a * b + c?"),
        ("What does -o do?", "What does o do?"),
        ("What is .gitignore?", "What is gitignore?"),
        ("What is 5 – 3?", "What is 5 - 3?"),
        ("What is Ⅳ?", "What is Ⅵ?"),
        ("What is ①?", "What is ②?"),
        ("Is it -5?", "Is it 5?"),
        ("Compute 5!", "Compute 5"),
        ("Compute 5!", "Compute 5."),
        ("What is 10!?", "What is 10?"),
        ("How much is n!?", "How much is n?"),
        ("Write out n!", "Write out n"),
    ],
    "case": [
        ("What does curl -o do?", "What does curl -O do?"),
        (r"What does \d match?", r"What does \D match?"),
        ("How long do 100 Mb take?", "How long do 100 MB take?"),
        ("How long do 100Mb take?", "How long do 100MB take?"),
        ("Is 5 mW much?", "Is 5 MW much?"),
        ("What does func hello do in Go?", "What does func Hello do in Go?"),
        ("What does fmt.println do?", "What does fmt.Println do?"),
        ("How do I get rid of rust?", "How do I get rid of Rust?"),
        ("Rust: how do I get rid of it?", "rust: how do I get rid of it?"),
        ("Where is china made?", "Where is China made?"),
        ("How is reading these days?", "How is Reading these days?"),
        ("How do I change my pin?", "How do I change my PIN?"),
        ("What does a class Fubarer hold?", "What does a class fubarer hold?"),
        ("Is FuBarer good?", "Is fubarer good?"),
        ("Where is my.Fubarer?", "Where is my.fubarer?"),
        ("What is figma?", "What is Figma?"),
        ("How do I change the pin?", "What is the way to change the PIN?"),
        ("What is the best way to learn polish?", "What is the best way to learn Polish?"),
        ("Do You Like Working With Rust?", "do you like working with rust?"),
        ("What is vitamin b?", "What is vitamin B?"),
        ("What is I in physics?", "What is i in physics?"),
        ("What does grep -i do?", "What does grep -I do?"),
        ("Is aids a disease?", "Is AIDS a disease?"),
        ("Can us citizens go?", "Can US citizens go?"),
        ("Что такое роза?", "Что такое Роза?"),
        ("Wo ist das Weg?", "Wo ist das weg?"),
        ("Sie kommen und ich auch", "sie kommen und ich auch"),
        ("τι είναι οδοσ", "τι είναι οδος"),
        ("ISI nedir?", "ısı nedir?"),
        ("isi nedir?", "ısı nedir?"),
        ("What does Σ mean?", "What does σ mean?"),
        ("example.com/A: what is it?", "example.com/a: what is it?"),
        ("What is https://example.com/A?", "What is https://example.com/a?"),
        ('Translate "Polish" into French', 'Translate "polish" into French'),
        ("What does `Foo` do?", "What does `foo` do?"),
    ],
    "white space": [
        ("Explain:\nif a:\n    b()\nc()", "Explain:\nif a:\n    b()\n    c()"),
        ("Is this YAML right?\na:\n  b: 1\n  c: 2", "Is this YAML right?\na:\n  b: 1\nc: 2"),
        ("What does this do:\nif a:\n  b()\nc()", "What is it that this does:\nif a:\n  b()\n  c()"),
        ("a: 1\nb: 2", "a: 1 b: 2"),
        ("a\tb c", "a b\tc"),
        ("How many spaces are in a  b?", "How many spaces are in a b?"),
        ('How long is "a  b"?', 'How long is "a b"?'),
        ("What does `a  b` do?", "What does `a b` do?"),
        ("```\nif a:\n    b\n```\nWhat?", "```\nif a:\nb\n```\nWhat?"),
        ("Is a\u3000b fine?", "Is a b fine?"),
        ("Is a\u00a0b fine?", "Is a b fine?"),
        ("Is a\u2028b fine?", "Is a b fine?"),
    ],
    "punctuation": [
        ("Which is right in English: Let's eat, grandma", "Which is right in English: Let's eat grandma"),
        ("What does , do?", "What does ; do?"),
        ("Is it its?", "Is it it's?"),
        ("What does it's mean?", "What does it mean?"),
        ("You are coming?", "You are coming."),
        ("Where does the comma go in: yes I can", "Where does the comma go in: yes, I can"),
        ("Punctuation: is it right?", "Punctuation: is it right"),
        ("What is x-y?", "What is x y?"),
        ("What is 4:3?", "What is 4.3?"),
        ("a woman: without her, man is nothing", "a woman, without her man, is nothing"),
        ("What does 'a' mean in C?", 'What does "a" mean in C?'),
        ("What does it do with ?", "What does it do with"),
        ("Explain the operator ?", "Explain the operator"),
        ("How many lowercase letters are there in: What is it", "How many lowercase letters are there in: what is it"),
        ("What does a(b) c mean?", "What does a (b) c mean?"),
    ],
    "digits": [
        ("Who is agent 007?", "Who is agent 7?"),
        ("How do I install Python 3.10?", "How do I install Python 3.1?"),
        ("Is it 10:20:30?", "Is it 10:20:31?"),
        ("What happened on 12/05/2024?", "What happened on 12.05.2024?"),
        ("What is ٣?", "What is ٤?"),
        ("Is it 1/2 of it?", "Is it 1/၂ of it?"),
        ("Is it 1/2 of it?", "Is it 1/02 of it?"),
        ("Is it 1/" + 5_000 * "2", "Is it 1/" + 5_000 * "3"),  # more digits than Python reads
        ("Who is O'Brien?", "Who is O'Neil?"),
    ],
    "short forms": [
        ("What does cant mean?", "What does can't mean?"),
        ("What does don't mean?", "What does do not mean?"),
        ("What does u mean?", "What does you mean?"),
        ("What is pls short for?", "What is please short for?"),
        ("What is the meaning of wont?", "What is the meaning of won't?"),
        ("Translate gonna into French", "Translate going to into French"),
        ("How do you spell cannot?", "How do you spell can not?"),
        ("Define “cant”", "Define “can't”"),
    ],
    "letters": [
        ("Where is my resumé?", "Where is my resume?"),
        ("What does привет mean?", "What does пока mean?"),
        ("What is pаypal?", "What is paypal?"),  # a Cyrillic letter
    ],
}
SAME = [
    ("What is the capital of France?", "what is the capital of France"),
    ("What is the capital of France?", "what is the capital of france?"),
    ("WHAT is the capital of France?", "What is the capital of France?"),
    ("What's a good book?", "What’s a good book?"),
    ("What is  a good   book?", "What is a good book?"),
    ("  What is a good book?\n", "What is a good book?"),
    ("Dogs eat grapes?", "dogs eat grapes"),
    ("Tell me a joke!", "Tell me a joke."),
    ("Is it really open?!", "Is it really open?"),
    ("best phone under 500?", "best phone under 500"),
    ("How do I learn SQL in Paris?", "how do i learn sql in paris"),
    ("Can I use my iPhone on Monday?", "can i use my iphone on monday"),
    ("How do I get from London to Berlin?", "How do i get from london to berlin?"),
    ("How To Cook Rice", "how to cook rice"),
    ("What is a zero-sum game?", "What is a zero sum game?"),
    ("How do I change my address ?", "How do I change my address"),
    ("How do I use the App?", "How do I use the app?"),
    ("What is a top-up?", "What is a top up?"),
    ("What is the best book on Machine Learning?", "What is the best book on machine learning?"),
    ("What do you do, and why?", "What do you do and why?"),
    ("I lost my card. What should I do?", "I lost my card. what should i do"),
    ("Is it open at 5 PM?", "Is it open at 5 pm?"),
    ("How do I learn C++?", "How do I learn c++?"),
    ("Hi! How do I reset my password? Thanks!", "how do I reset my password"),
    ("I was wondering: what is the capital of France?", "I would like to know, what is the capital of France?"),
    ("Is −5 °C cold?", "Is -5 °C cold?"),
    (unicodedata.normalize("NFD", "Où est le café ?"), unicodedata.normalize("NFC", "Où est le café ?")),
    ("Was ist das?", "was ist das?"),
    ("Does Norlund fly from Maryland?", "does norlund fly from maryland?"),
    ("What is an ETF?", "what is an etf?"),
    ("What's the meaning of life?", "what’s the meaning of life"),
    ("What does it mean if my dog won't eat?", "what does it mean if my dog will not eat"),
    ("I'd say yes, wouldn't you?", "I would say yes, would not you?"),
    ("What is the “best” book?", 'What is the "best" book?'),
]


def same(one: str, other: str) -> bool:
    pair = Pair(read(one), read(other))
    return pair.alike and objection(pair) is None


def chance(one: str, other: str) -> float:
    return SHIPPED.judge(one, NOWHERE, [Candidate(other, NOWHERE, 0.99)])[0].probability


@pytest.mark.parametrize(
    ("one", "other"),
    [pytest.param(*pair, id=f"{kind}-{n}") for kind, ps in DIFFERENT.items() for n, pair in enumerate(ps)],
)
def test_what_is_not_understood_is_different(one: str, other: str) -> None:
    for left, right in ((one, other), (other, one)):
        assert not same(left, right)
        assert chance(left, right) < SERVED


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_says_nothing_stays_equal(one: str, other: str) -> None:
    for left, right in ((one, other), (other, one)):
        assert objections(left, right) == []
        assert same(left, right)


PROMPTS = [
    "What does a + b mean?",
    "I'd like to know: is it 5% of $80.50, or 1/2?",
    "Write f(x) = x_1 - 2 at 10:30 on 2024-05-06",
    "Is “Émile Zola” a well-known writer of the 19th century?",
    "ราคาเสื้อ กับ राजा और ǅ Ⅳ ½ x² 👍 ← ok",
]
CATEGORIES = sorted({unicodedata.category(chr(n)) for n in range(0x110000)})


WHITE = "\t\n\r" + "".join(chr(code) for code in range(0x3001) if unicodedata.category(chr(code))[0] == "Z")
"""Blanks of Unicode's, and the controls that texts are written with; Python's `strip` takes more for white space."""

TAKEN_FOR = [
    (re.compile(r"^(I'd like to know)[:;,.!?\"']"), r"\1:"),  # it leads to the question, with whatever mark
    (re.compile(r"\$80,50"), "$80.50"),  # as half of Europe writes it
]
"""Of the prompts below."""


def says_why(one: str, other: str) -> bool:
    """The exceptions: what Unicode calls the same text, and what `reading` and `characters` take for nothing."""
    one, other = (unicodedata.normalize("NFC", text).strip(WHITE) for text in (one, other))
    for written, meant in TAKEN_FOR:
        one, other = written.sub(meant, one), written.sub(meant, other)
    ends = {one[-1:], other[-1:]} <= set(".?!")
    return one == other or (ends and one[:-1] == other[:-1])


@given(data=st.data(), prompt=st.sampled_from(PROMPTS))
def test_no_character_may_stand_for_another_of_its_category(data: st.DataObject, prompt: str) -> None:
    at = data.draw(st.integers(0, len(prompt) - 1))
    category = unicodedata.category(prompt[at])
    other = prompt[:at] + data.draw(st.characters(categories=[category])) + prompt[at + 1 :]
    assert same(prompt, prompt)
    if other.rstrip(WHITE).endswith("!"):  # behind a question it is somebody's tone, or not: it may count
        assert same(prompt, other) <= says_why(prompt, other)
    else:
        assert same(prompt, other) == says_why(prompt, other)


@pytest.mark.parametrize("category", CATEGORIES)
@given(
    data=st.data(),
    frame=st.sampled_from(["Is it {}?", "a{}b", "{}a b", "see{} now", "no {} 5", "5{} kg", "x {}", "{}"]),
)
@settings(max_examples=60)
def test_no_two_characters_of_any_category_are_one(category: str, data: st.DataObject, frame: str) -> None:
    characters = st.characters(categories=[category])
    one, other = (frame.format(data.draw(characters)) for _ in range(2))
    assert same(one, other) == says_why(one, other)


@given(data=st.data(), frame=st.sampled_from(["Is it {}?", "a{}b", "see{} now", "x {} y"]), character=st.characters())
def test_no_character_may_be_left_out(data: st.DataObject, frame: str, character: str) -> None:
    if not character.isspace() and character not in "-,'’.?!" and not (frame == "x {} y" and character in "iI"):
        assert not same(frame.format(character), frame.format(""))
