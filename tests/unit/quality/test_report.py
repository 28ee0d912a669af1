import json
from pathlib import Path

import numpy as np
import pytest
from tests.unit.quality.conftest import Cosine, Words

from askonce.cache import Policy
from askonce.quality.labelled import LabelledPair, Query
from askonce.quality.metrics import PairDecisions, labels_of
from askonce.quality.plots import coverage_plot, reliability_plot
from askonce.quality.report import contest, pairs_report, stream_report

PNG = b"\x89PNG\r\n"


class Other(Words):
    name = "other"


async def test_ours_stands_beside_cosines_of_every_embedder(
    words: Words, cosine: Cosine, pairs: list[LabelledPair]
) -> None:
    found = await contest(pairs, words, cosine, Policy(max_error=0.2), beside=[Other()])
    thresholds = ("0.7", "0.8", "0.92")
    cosines = [f"{name} {t}" for name in ("cosine", "other cosine") for t in thresholds]
    assert list(found) == ["askonce", *cosines]
    report = pairs_report(pairs, found, words.name, 0.2)
    assert json.loads(json.dumps(report)) == report
    assert report["served"] == 3
    assert report["recall"] == 1.0
    assert report["misses"] == {
        "probability": 1,
        "size": 1,
        "nothing in the prompt that the embedder knows": 1,
    }
    assert report["categories"]["near"]["recall"] == 1.0
    assert list(report["categories"]) == ["near", "size"]  # one pair has none
    assert list(report["baselines"]) == cosines
    assert report["baselines"]["cosine 0.7"]["served"] == 4
    assert report["baselines"]["other cosine 0.92"]["served"] == 2


def test_misses_are_counted_by_their_kind(pairs: list[LabelledPair]) -> None:
    reasons = (
        "",
        "number: 5 / 7",
        "number: 1 / -",
        "probability 0.91 < 0.98",
        "prompt too long (9 characters)",
        "x -0.2",
    )
    ours = PairDecisions(np.zeros(6, np.bool_), np.zeros(6), 1.0, reasons)
    misses = pairs_report(pairs, {"askonce": ours}, "words", 0.02)["misses"]
    assert misses == {"number": 2, "probability": 1, "prompt too long": 1, "x": 1}


async def test_a_stream_is_counted_by_part(words: Words, cosine: Cosine) -> None:
    queries = [Query(f"{color} {n}", color) for n in range(4) for color in ("red", "green")]
    parts = {"all": lambda _: True, "red": lambda query: query.answer == "red"}
    report = await stream_report(queries, words, cosine, [0.02, 0.1], seeds=[5, 6], parts=parts)
    assert (report["queries"], report["classes"], report["embedder"]) == (8, 2, "words")
    keys = [(run["part"], run["seed"], run["max_error"]) for run in report["runs"]]
    assert keys == [(p, s, e) for s in (5, 6) for e in (0.02, 0.1) for p in ("all", "red")]
    for run in report["runs"]:
        queries_in_part = 8 if run["part"] == "all" else 4
        static = run["baselines"]["best static"]
        assert run["queries"] == static["queries"] == queries_in_part
        assert run["hits"] == static["hits"] == queries_in_part - (2 if run["part"] == "all" else 1)
        assert run["wrong"] == static["wrong"] == 0


async def test_a_picture_shows_the_decisions(
    words: Words, cosine: Cosine, pairs: list[LabelledPair], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    found = await contest(pairs, words, cosine, Policy(max_error=0.2))
    labels = labels_of(pairs)
    drawn = []
    for number, shown in enumerate((labels, labels, 1 - labels)):
        coverage_plot(tmp_path / f"{number}.png", found, shown, "a title")
        drawn.append((tmp_path / f"{number}.png").read_bytes())
    assert drawn[0].startswith(PNG)
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_picture_shows_what_came_true(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    random = np.random.default_rng(0)
    chances = random.random(200)
    labels = (random.random(200) < chances).astype(np.int8)
    drawn = []
    for number, shown in enumerate((labels, labels, 1 - labels)):
        groups = [("made", chances, shown), ("one alone", chances[:1], shown[:1])]
        reliability_plot(tmp_path / f"{number}.png", groups, "a title")
        drawn.append((tmp_path / f"{number}.png").read_bytes())
    assert drawn[0].startswith(PNG)
    assert drawn[0] == drawn[1] != drawn[2]
