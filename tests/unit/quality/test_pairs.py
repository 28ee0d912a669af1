import numpy as np
import pytest
from tests.unit.quality.conftest import Cosine, Words

from askonce.cache import Policy
from askonce.quality.labelled import LabelledPair
from askonce.quality.pairs import EXACT, asking, cosines, decide_pairs, known, plain


async def test_the_cache_decides_each_pair_alone(words: Words, cosine: Cosine, pairs: list[LabelledPair]) -> None:
    steps: dict[str, int] = {}

    def watch(phase: str, total: int) -> object:
        steps[phase] = total
        return lambda: None

    vectors = known(words, pairs, watch)  # type: ignore[arg-type]
    decisions = await decide_pairs(pairs, vectors, cosine, Policy(max_error=0.2), watch)  # type: ignore[arg-type]
    assert decisions.served.tolist() == [True, True, False, False, True, False]
    assert decisions.scores.tolist() == pytest.approx([1.0, 0.816497, 0.707107, 0.0, EXACT, 0.0])
    assert decisions.reasons == (
        "",
        "",
        "probability 0.71 < 0.80",
        "size: big / small",
        "",
        "nothing in the prompt that the embedder knows",
    )
    assert decisions.us_per_decision > 0
    assert steps == {"embedding": 8, "remembering": 6, "deciding": 6}
    assert len(words.asked) == 8  # each text once, ahead


async def test_some_of_the_pairs_in_their_order(words: Words, cosine: Cosine, pairs: list[LabelledPair]) -> None:
    async with asking(pairs, known(words, pairs), cosine) as asked:
        assert (await asked.decide(Policy(max_error=0.2), [4, 2, 0])).served.tolist() == [True, False, True]
        assert (await asked.decide(Policy(max_error=0.5), [2])).served.tolist() == [True]
        assert (await asked.decide(Policy(max_error=0.5, min_similarity=0.9), [2, 0])).served.tolist() == [False, True]


def test_plain_cosine(words: Words, pairs: list[LabelledPair]) -> None:
    scores = cosines(pairs, known(words, pairs))
    assert scores.tolist() == pytest.approx([1, np.sqrt(2 / 3), np.sqrt(1 / 2), 0.5, 1, 0], abs=1e-6)
    assert plain(scores, 0.8, 1.0).served.tolist() == [True, True, False, False, True, False]


async def test_more_pairs_than_are_remembered_at_once(words: Words, cosine: Cosine) -> None:
    pairs = [LabelledPair(f"red {n}", f"{n} red" if n % 2 else f"{n} blue", n % 2) for n in range(600)]
    decisions = await decide_pairs(pairs, known(words, pairs), cosine, Policy())
    assert decisions.served.tolist() == [n % 2 == 1 for n in range(600)]
