import numpy as np
from tests.unit.quality.conftest import Cosine, Words

from askonce.cache import Policy
from askonce.quality.labelled import Query
from askonce.quality.stream import EXACT, MISS, WRONG, Counts, run_stream, shuffled
from askonce.quality.trial import Known


async def test_only_what_was_asked_before_is_known(words: Words, cosine: Cosine) -> None:
    queries = [
        Query("red", "R"),  # nothing is stored yet
        Query("a red one", "R"),  # a hit
        Query("green", "G"),
        Query("red", "R"),  # identical
        Query("the green", "B"),  # a wrong hit
        Query("red small", "S"),  # refused by a guard, and stored
        Query("red small please", "S"),  # a hit
    ]
    known = Known(words, [query.text for query in queries])
    run = await run_stream(queries, known, cosine, Policy(max_error=0.05))
    counts = run.counts()
    assert counts == Counts(7, 1, 3, 1)
    assert (counts.wrong_share, counts.hit_share) == (1 / 3, 3 / 7)
    assert run.counts(np.array([query.answer == "R" for query in queries])) == Counts(3, 1, 1, 0)
    assert run.us_per_decision > 0


async def test_a_share_of_the_hits_is_checked_and_learned_from(words: Words, cosine: Cosine) -> None:
    """A hit that was checked has its own answer from then on."""
    queries = [Query("green", "G"), Query("a green", "B"), Query("one green", "B"), Query("a green", "B")]
    known = Known(words, [query.text for query in queries])
    never = await run_stream(queries, known, cosine, Policy(max_error=0.05))
    always = await run_stream(queries, known, cosine, Policy(max_error=0.05), audit=1.0)
    second = await run_stream(queries, known, cosine, Policy(max_error=0.05), audit=0.5)
    assert never.outcomes.tolist() == [MISS, WRONG, WRONG, WRONG]
    assert always.outcomes.tolist()[:2] == [MISS, WRONG]
    assert always.outcomes.tolist()[3] == EXACT
    assert second.outcomes.tolist()[:3] == [MISS, WRONG, WRONG]


async def test_a_stream_without_hits_has_nothing_wrong(words: Words, cosine: Cosine) -> None:
    run = await run_stream([Query("red", "R")], Known(words, ["red"]), cosine, Policy())
    assert run.counts() == Counts(1, 0, 0, 0)
    assert (run.counts().wrong_share, run.counts().hit_share) == (0.0, 0.0)


def test_a_seed_names_an_order() -> None:
    queries = [Query(str(n), "x") for n in range(50)]
    assert shuffled(queries, 3) == shuffled(queries, 3) != shuffled(queries, 4)
    assert sorted(shuffled(queries, 3), key=lambda q: int(q.text)) == queries
