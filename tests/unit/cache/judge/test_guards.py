"""What the guards object to, and what they leave to the judge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cache.judge.guards import Pair, objection, objections, renumbered
from askonce.cache.judge.reading import read

CONTRADICTIONS = [
    ("number", "What is 5% of 80?", "What is 7% of 80?"),
    ("number", "What is the sum of three and four?", "What is the sum of three and five?"),
    ("number", "How do I install Python 3.11?", "How do I install Python 3.12?"),
    ("unit", "How far is 10 miles in km?", "How far is 10 km in miles?"),
    ("unit", "What is a mile in kilometers?", "What is a mile in meters?"),
    ("unit", "Is an overdraft cheaper for 3 wks?", "Is an overdraft cheaper for 3 years?"),
    ("date", "What happened in May?", "What happened in June?"),
    ("id", "Explain error E1234", "Explain error E1235"),
    ("quote", 'Translate "good morning" into French', 'Translate "good night" into French'),
    ("quote", "What does `x += 1` do?", "What does `x -= 1` do?"),
    ("symbol", "What does ~ mean in C?", "What does % mean in C?"),
    ("negation", "Is it safe to eat raw eggs?", "Is it not safe to eat raw eggs?"),
    ("negation", "Can I take aspirin with ibuprofen?", "Can I take aspirin without ibuprofen?"),
    ("antonym", "Is it legal to park here?", "Is it illegal to park here?"),
    ("antonym", "Should I buy Apple stock?", "Should I sell Apple stock?"),
    ("antonym", "How do I turn the light on?", "How do I turn the light off?"),
    ("antonym", "How can I increase my weight?", "How can I decrease my weight?"),
    ("antonym", "What to do before surgery?", "What to do after surgery?"),
    ("antonym", "How to become a more patient person?", "How to become a less patient person?"),
    ("antonym", "What is the cheapest phone?", "What is the most expensive phone?"),
    ("direction", "flights from Paris to London", "flights from London to Paris"),
    ("order", "Does Anna love Ben?", "Does Ben love Anna?"),
    ("order", "Does raising my deductible lower my premium?", "Does lowering my premium raise my deductible?"),
    ("order", "Did Anna call Ben?", "Was Anna called by Ben?"),
    ("order", "Is Anna taller than Ben?", "Is Ben taller than Anna?"),
    ("order", "Who beat Brazil in the final?", "Who did Brazil beat in the final?"),
    ("name", "Where was Marie Curie born?", "Where was Pierre Curie born?"),
    ("country", "What is the capital of France?", "What is the capital of Spain?"),
    ("figure", "How much revenue did we make?", "How much profit did we make?"),
    ("scope", "List all users except admins", "List all users including admins"),
    ("scope", "Do all birds fly?", "Do some birds fly?"),
    ("scope", "Can I only eat fruit?", "Can I eat fruit?"),
    ("tense", "Is she a doctor?", "Was she a doctor?"),
    ("tense", "Is Anna becoming a pilot?", "Is Anna a pilot?"),
    ("person", "Did she tell him?", "Did he tell her?"),
    ("question", "How does it work?", "Why does it work?"),
    ("question", "When was it built?", "Where was it built?"),
    ("verb", "How do I look for stars?", "How do I look at stars?"),
    ("verb", "How do I vote for a proposal?", "How do I vote on a proposal?"),
    ("verb", "How do I pay for a friend?", "How do I pay a friend?"),
    ("verb", "How do I leave for work?", "How do I leave work?"),
    ("verb", "How do I stop at a red light?", "How do I stop a red light?"),
    ("verb", "How do I apply for a cream?", "How do I apply a cream?"),
    ("verb", "How do I run for office?", "How do I run the office?"),
    ("verb", "How do I give blood?", "How do I get blood?"),
    ("verb", "How do I get help with my homework?", "How do I help with my homework?"),
    ("verb", "How do I explain gravity to kids?", "How do I show gravity to kids?"),
    ("verb", "Do I need to file a return?", "Do I want to file a return?"),
    ("verb", "How do I know if I need glasses?", "How do I know if I want glasses?"),
    ("verb", "What do cats like?", "What are cats like?"),
    ("verb", "How do I help a colleague?", "How do I know a colleague?"),
    ("verb", "Who knows the answer?", "Who wants the answer?"),
    ("verb", "Which countries like France?", "Which countries are like France?"),
    ("verb", "Explain the joke.", "Give me the joke."),
    ("verb", "Ask me a question about Rome.", "Give me a question about Rome."),
    ("verb", "What does DNA do?", "What is DNA?"),
    ("verb", "What is Python good for?", "What is good for Python?"),
    ("tense", "How many people can vote?", "How many people vote?"),
    ("tense", "Who is winning the game?", "Who won the game?"),
    ("question", "How does a vaccine work?", "Does a vaccine work?"),
    ("question", "What happens when water freezes?", "When does water freeze?"),
    ("question", "Tell me how cats see.", "Tell me what cats see."),
    ("tense", "Am I getting sick?", "Am I sick?"),
    ("tense", "Is it going to rain?", "Is it raining?"),
    ("question", "What is better than Python?", "Is Python better?"),
    ("order", "Do you get paid to foster?", "Do you pay to foster?"),
    ("question", "What are common side effects?", "How common are side effects?"),
    ("question", "Which mammals lay eggs?", "Do mammals lay eggs?"),
    ("verb", "Explain what a mutex does.", "Explain what a mutex is."),
    ("action", "Give an example of irony.", "Define irony."),
    ("order", "Who do you love?", "Who loves you?"),
    ("order", "Can I eat raw fish?", "Can fish eat raw food?"),
    ("order", "How do I freeze cooked fish?", "How do I cook frozen fish?"),
    ("scope", "Are some snakes poisonous?", "Are snakes poisonous?"),
    ("scope", "Can I just eat fruit?", "Can I eat fruit?"),
    ("action", "Summarize this text", "Translate this text"),
    ("language", "Wie alt ist Berlin?", "Wie groß ist Berlin?"),
    ("number", "What does the time signature 6/8 mean?", "What does the time signature 3/4 mean?"),
    ("number", "Is 7 days enough to learn it?", "Is 1 day enough to learn it?"),
    ("order", "How loud is 60 dB compared with 50 dB?", "How loud is 50 dB compared with 60 dB?"),
    ("order", "How do I get from 20 cm to 26 cm?", "How do I get from 26 cm to 20 cm?"),
    ("order", "Mean of 1.0 (weight 3) and 2.5 (weight 1)?", "Mean of 1.0 (weight 1) and 2.5 (weight 3)?"),
    ("words", "Is it its?", "Is it it's?"),
    ("scope", "Give me several names for a dog", "Give me a name for a dog"),
    ("scope", "Is a helmet compulsory in Spain?", "Is a helmet recommended in Spain?"),
    ("scope", "Do both sides of the account have to be filled?", "Does the side of the account have to be filled?"),
    (
        "symbol",
        "What's the difference between is and == in Python?",
        "What's the difference between = and == in Python?",
    ),
]

HARMLESS = [
    ("What is the capital of France?", "Tell me what the capital of France is."),
    ("Did Anna call Ben?", "Was Ben called by Anna?"),
    ("What is the weather in Rome?", "How is the weather in Rome?"),
    ("What does a passport cost?", "How much does a passport cost?"),
    ("What can I do to sleep better?", "How can I sleep better?"),
    ("What are the side effects of aspirin?", "Are there any side effects of aspirin?"),
    ("How do I go about getting a passport?", "How do I get a passport?"),
    ("Is there a way to sort a list?", "How do I sort a list?"),
    ("Which is heavier, a bear or a duck?", "Is a bear heavier than a duck?"),
    ("Give an example of irony.", "What is an example of irony?"),
    ("Who did paint the Mona Lisa?", "Who painted the Mona Lisa?"),
    ("What is heavier, bears or ducks?", "Are bears heavier than ducks?"),
    ("Is it worth it to buy a phone?", "Is a phone worth the price?"),
    ("What is it written in?", "Which language is it written in?"),
    ("Can I cancel my order?", "How can I cancel my order?"),
    ("Who wrote Hamlet?", "Who was Hamlet written by?"),
    ("What is 50% of 80?", "What is half of 80?"),
    ("How do I merge two dicts?", "How do I merge two dictionaries?"),
    ("How many legs has a spider?", "How many legs does a spider have?"),
    ("Which is better, tea or coffee?", "Which is better, coffee or tea?"),
    ("What is the US tax rate?", "What is the tax rate in the United States?"),
    ("Is he less shy than her?", "Is he less shy than her, really?"),
    ("Is 60 minutes enough?", "Is an hour enough?"),
    ("Is an overdraft cheaper for 3 wks?", "Is an overdraft cheaper for three weeks?"),
    ("Is 21 days enough to learn it?", "Are three weeks enough to learn it?"),
    ("What is the rent from June 18?", "What is the rent from the 18th of June?"),
    ("What does ticket #12 say?", "What does ticket 12 say?"),
    ("What is 3 plus 5?", "What is 5 plus 3?"),
    ("How do I add a task in Taskfern?", "taskfern add a task"),
    ("What is the ratio of rice and water?", "ratio rice / water"),
    ("How do I update it without restarting?", "How can an update be had while it keeps running?"),
    ("What is the maximum speed on a German motorway?", "How fast may one drive on the Autobahn in Germany at most?"),
]

DOUBTS = [
    (
        "negation",
        "Which keys begin a new page in Word?",
        "Without the mouse: how to get a fresh page in a document of Word?",
    ),
    ("scope", "What is the statutory leave in the UK?", "How many days off must British staff be given at least?"),
    ("number", "What belongs under devDependencies?", "npm has 2 lists of packages, explain the purpose of each"),
    ("case", "Which port does Oracle listen on by default?", "standard tcp port for the database server by oracle?"),
    (
        "quote",
        "What is a lambda function?",
        "I keep seeing `lambda x: ...` in other people's scripts; which thing is that?",
    ),
]
"""What is no contradiction between prompts of mostly other words: the other may say it in words of its own."""


@pytest.mark.parametrize(("guard", "one", "other"), CONTRADICTIONS)
def test_a_contradiction_is_named(guard: str, one: str, other: str) -> None:
    for left, right in ((one, other), (other, one)):
        assert guard in {found.guard for found in objections(left, right)}
        assert objection(Pair(read(left), read(right))) is not None


@pytest.mark.parametrize(("one", "other"), HARMLESS)
def test_what_is_no_contradiction_is_left_to_the_judge(one: str, other: str) -> None:
    assert objections(one, other) == []


@pytest.mark.parametrize(("guard", "one", "other"), DOUBTS)
def test_a_difference_between_other_words_is_a_doubt(guard: str, one: str, other: str) -> None:
    assert objections(one, other) == []
    pair = Pair(read(one), read(other))
    assert objection(pair) is None
    assert guard in pair.doubts


@pytest.mark.parametrize("text", [text for _, *texts in CONTRADICTIONS for text in texts])
def test_a_prompt_does_not_contradict_itself(text: str) -> None:
    assert objections(text, text) == []
    assert objections(text, f"Hello! {text} Thanks!") == []


def test_a_reason_names_both_sides() -> None:
    assert str(objections("Is it 5 km?", "Is it 7 km?")[0]) == "number: 5 / 7"
    assert str(objections("Is it safe?", "Is it not safe?")[0]) == "negation: - / not"


def test_thousands_of_digits_are_no_amount() -> None:
    long = "9" * 5000
    assert objections(f"Is {long} prime?", f"Is {long} prime?") == []
    assert [found.guard for found in objections(f"Is {long} prime?", f"Is {long}9 prime?")] == ["id"]


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("Is 311 a prime number?", "Is 305 a prime number?", "number: 311 / 305"),
        ("Sum 1 and 2, then 3.", "Sum 1 and 5, then 3.", "number: 2 / 5"),
        ("Is 311 a prime number?", "Is 0311 a prime number?", None),
        ("What is 3 plus 5?", "What is 5 plus 3?", None),
        ("Is 311 a prime number?", "Is 305 prime?", None),
        ("Is 311 prime?", "Is three hundred and eleven prime?", None),
        ("Room 5.0 or 6.50?", "Room 5 or 6.5?", None),
        ("Sell 1,000 of them", "Sell 2,000 of them", None),
        ("Is 311 prime?", "Is 311 prime?", None),
    ],
)
def test_one_text_around_other_numbers_is_told_without_reading_it(one: str, other: str, found: str | None) -> None:
    said = renumbered(one, other)
    assert (str(said) if said else None) == found


@given(
    st.sampled_from(["Is {} a prime number?", "Order {}; refund {}", "In {} days, or {}?", "{} {} {}"]),
    st.lists(st.integers(0, 10**6), min_size=3, max_size=3),
    st.lists(st.integers(0, 10**6), min_size=3, max_size=3),
)
def test_the_number_guard_says_the_same_once_it_has_read_them(template: str, one: list[int], other: list[int]) -> None:
    left, right = template.format(*one), template.format(*other)
    found = renumbered(left, right)
    assert found is None or str(found) in map(str, objections(left, right))
