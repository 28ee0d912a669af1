"""The deep judge: what it looks at, what it leaves alone, and what it makes of questions that it has not seen."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from askonce.cache import Candidate, Judgement, Policy
from askonce.cache.judge import Closer, load_judge
from askonce.cache.judge.deep import Curve, DeepJudge
from askonce_deep import PARAMETERS

NOTHING = np.zeros(0, np.float32)
GUITAR = ("How do I learn to play the guitar?", "What is the best way to learn guitar?")
PANCAKES = ("How do I make pancakes?", "How are pancakes made?")
POWER = ("How can I lower my electricity bill?", "ways to pay less for power")
SLEEP = ("What should I do to fall asleep faster?", "tips to get to sleep quicker")
HAMLET = ("Who wrote Hamlet?", "Who is the main character of Hamlet?")
DOUBTED = Judgement(0.8)


@pytest.fixture(scope="module")
def judge() -> DeepJudge:
    found = load_judge("deep")
    assert isinstance(found, DeepJudge)
    return found


def looked(judge: DeepJudge, one: str, other: str) -> tuple[float, float]:
    """What the trees say, and what both say."""
    (quick,) = judge.judge(other, NOTHING, [Candidate(one, NOTHING, 0.9)])
    return quick.probability, judge.look_closer(other, one, quick).probability


def test_it_knows_paraphrases_that_the_trees_doubt(judge: DeepJudge) -> None:
    for pair, more in ((GUITAR, 0.03), (PANCAKES, 0.02), (POWER, 0.2), (SLEEP, 0.2)):
        quick, both = looked(judge, *pair)
        assert both > quick + more, pair
    assert looked(judge, *HAMLET)[1] < 0.7, "two questions about one play"


@pytest.mark.parametrize(
    "judgement",
    [
        Judgement(0.0, "number: 5 / 7"),
        Judgement(0.8, "number: 5 / 7"),
        Judgement(0.01),
        Judgement(0.99),
        Judgement(0.995),
    ],
)
def test_what_is_not_in_doubt_is_left_as_it_is(judge: DeepJudge, judgement: Judgement) -> None:
    assert not judge.doubts(judgement)
    assert judge.look_closer(*GUITAR, judgement) is judgement


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I learn the " + "very " * 60 + "old guitar?", GUITAR[1]),
        ("Notes of today. " * 40 + GUITAR[0], "Other notes of yesterday. " * 40 + GUITAR[1]),
    ],
)
def test_what_is_too_long_to_be_read_is_left_as_it_is(judge: DeepJudge, one: str, other: str) -> None:
    assert judge.look_closer(other, one, DOUBTED) is DOUBTED


def test_it_is_the_difference_of_long_prompts_that_is_looked_at(judge: DeepJudge) -> None:
    document = "The guitar has six strings. It is older than the piano. " * 20
    long = judge.look_closer(document + PANCAKES[1], document + PANCAKES[0], DOUBTED)
    assert long == judge.look_closer(PANCAKES[1], PANCAKES[0], DOUBTED) != DOUBTED


@pytest.mark.parametrize("text", ["", "?", "\ud800 alone", "日本の首都はどこですか", "a\x00b", "🎸🎸🎸"])
def test_any_text_is_a_text(judge: DeepJudge, text: str) -> None:
    found = judge.look_closer(text, GUITAR[0], DOUBTED)
    assert 0 <= found.probability <= 0.99


def test_no_score_says_more_than_could_be_shown(judge: DeepJudge) -> None:
    curve = Curve((1.0, 1.0), (-2.0, 2.0), (0.1, 0.97))
    sure = DeepJudge(judge, lambda one, other: 50.0, curve)  # type: ignore[arg-type]
    assert sure.look_closer(*GUITAR, DOUBTED).probability == 0.97


def test_the_curve_rises_and_says_nothing_for_certain() -> None:
    curve = Curve.read((PARAMETERS / "calibration.json").read_text("utf-8"))
    assert list(curve.knots) == sorted(curve.knots)
    assert list(curve.probabilities) == sorted(curve.probabilities)
    assert curve.probabilities[0] >= 0 and curve.probabilities[-1] <= 0.99
    assert min(curve.weights) > 0


def test_threads_share_it(judge: DeepJudge) -> None:
    alone = looked(judge, *GUITAR)
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: looked(judge, *GUITAR), range(64))) == {alone}


_ASKED = """
import os, threading
from askonce.cache.judge import load_judge
print(load_judge("deep").score("Who wrote Hamlet?", "Who is Hamlet by?"))
print(len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1)
"""


def test_it_tells_nobody_that_it_was_asked(tmp_path: Path) -> None:
    home = {name: str(tmp_path) for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "LOCALAPPDATA")}
    environment = {**os.environ, **home, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    done = subprocess.run([sys.executable, "-c", _ASKED], env=environment, capture_output=True, text=True, check=True)
    score, threads = done.stdout.split()
    assert float(score)
    assert not list(tmp_path.rglob("*")), "an id of the machine, and what is to be sent"
    assert int(threads) == 1, "who sends it is a thread"


def test_judges_of_one_process_have_one_network(judge: DeepJudge) -> None:
    again = load_judge("deep")
    assert isinstance(again, DeepJudge)
    assert again._look.load() == judge._look.load()


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in PARAMETERS.iterdir()) < 25_000_000


def test_only_the_deep_one_can_look_closer() -> None:
    assert not isinstance(load_judge(), Closer)


@pytest.mark.parametrize("missing", ["onnxruntime", "askonce_deep"])
def test_where_it_is_not_installed_it_says_how(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ValueError, match=r'judge: deep is not installed .*pip install "askonce\[deep\]"'):
        load_judge("deep")


def test_auto_is_the_deep_one_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(load_judge("auto"), Closer)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert not isinstance(load_judge("auto"), Closer)


def test_a_model_that_cannot_be_read_fails_the_look(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text((PARAMETERS / "calibration.json").read_text())
    broken = DeepJudge.beside(load_judge(), tmp_path)
    with pytest.raises(Exception, match=r"model\.onnx"):
        broken.look_closer(*GUITAR, DOUBTED)


def test_greetings_and_fillers_say_nothing_to_it(judge: DeepJudge) -> None:
    assert judge.score("Hi there, " + GUITAR[0], "er, so " + GUITAR[1]) == judge.score(*GUITAR)


def test_there_are_three_names() -> None:
    with pytest.raises(ValueError, match='unknown judge "oracle"; there are: auto, trees, deep'):
        load_judge("oracle")


class Watched(DeepJudge):
    """Keeps the names of the threads in which a closer look was taken."""

    def __init__(self, judge: DeepJudge) -> None:
        self.__dict__ |= judge.__dict__
        self.threads: list[str] = []

    def look_closer(self, prompt: str, candidate: str, judgement: Judgement) -> Judgement:
        self.threads.append(threading.current_thread().name)
        return super().look_closer(prompt, candidate, judgement)


async def test_a_call_is_answered_by_it_and_never_on_the_event_loop(bench: Any, judge: DeepJudge) -> None:
    bench.judge = watched = Watched(judge)
    await bench.restart()
    entry = await bench.remember(GUITAR[0])
    policy = Policy(max_error=0.05)
    for _ in range(2):  # the second time everything is in memory
        found = await bench.ask(GUITAR[1], policy)
        assert (found.outcome, found.entry) == ("semantic", entry)
    assert len(watched.threads) == 2 and threading.main_thread().name not in watched.threads
    missed = await bench.ask("Who painted the Mona Lisa?", policy)
    assert missed.outcome == "miss"
    assert len(watched.threads) == 2, "what the trees are sure of is not looked at"
