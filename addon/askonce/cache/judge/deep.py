"""The deep judge: a small transformer that reads both prompts at once, for what the trees are in doubt about.

It looks at one pair in a decision, milliseconds, and only where no guard objected: it knows paraphrases better than
traps. What it learned is in another distribution (`pip install "askonce[deep]"`). docs/judge.md has its card, and what
it adds.
"""

import json
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from askonce.cache.judge.aligned import aligned
from askonce.cache.judge.base import Candidate, Judge, Judgement, Vector
from askonce.cache.judge.difference import difference
from askonce.cache.judge.reading import question
from askonce.cache.judge.trained import TrainedJudge
from askonce.cache.learning.recalibration import logit
from askonce.jsontext import encodable

__all__ = ["Curve", "DeepJudge", "Transformer"]


class Transformer:
    """Scores a pair of texts. Thread-safe."""

    LONGEST = 48
    """Tokens of both texts together, which is 10 ms on one core; the judges' differences of long prompts mostly fit."""

    def __init__(self, folder: Path) -> None:
        """From `folder`, as askonce_deep is one. Raises ImportError without onnxruntime; the model is read when it is
        first asked."""
        for needed in ("onnxruntime", "tokenizers"):
            if sys.modules.get(needed, needed) is None or not find_spec(needed):
                raise ImportError(f"no module named {needed}")
        self._folder = folder
        self._loaded: tuple[Any, Any] | None = None

    def load(self) -> tuple[Any, Any]:
        """The network and its tokenizer; half a second the first time. Raises what onnxruntime raises for a file that
        is no model of its kind."""
        with _LOADING:
            self._loaded = self._loaded or (_network(self._folder / "model.onnx"), _tokenizer(self._folder))
            return self._loaded

    def __call__(self, one: str, other: str) -> float | None:
        """How alike the questions are, as log odds before calibration; None where they are too long to be read."""
        network, tokenizer = self._loaded or self.load()
        found = tokenizer.encode(encodable(one), encodable(other))
        if len(found.ids) > self.LONGEST:
            return None
        feed = {"ids": found.ids, "mask": found.attention_mask, "types": found.type_ids}
        (score,) = network.run(None, {name: np.array([values], np.int64) for name, values in feed.items()})
        return float(score[0])


_LOADING = threading.Lock()


@cache  # once for a process, and for those that it forks
def _network(model: Path) -> Any:
    # onnxruntime tells its makers of every model that is loaded, and keeps an id of the machine in the home folder,
    # unless it is told not to before it is imported (its Privacy.md; on Linux since 1.29). The function is for the
    # builds that do not know the variable.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the other cores are other calls'
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


@cache
def _tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer

    found = Tokenizer.from_file(str(folder / "tokenizer.json"))
    found.no_truncation()
    found.no_padding()
    return found


@dataclass(frozen=True, slots=True)
class Curve:
    """From the log odds of the two judges to the probability that they come to together."""

    weights: tuple[float, float]
    """Of the trees' log odds and of the transformer's."""
    knots: tuple[float, ...]
    """Weighed sums, rising; the curve is linear between them."""
    probabilities: tuple[float, ...]

    @classmethod
    def read(cls, text: str) -> "Curve":
        """From JSON. Raises ValueError or KeyError where that holds no curve."""
        found = json.loads(text)
        return cls(tuple(found["weights"]), tuple(found["knots"]), tuple(found["probabilities"]))

    def __call__(self, quick: float, deep: float) -> float:
        """The probability, from the trees' and the transformer's log odds."""
        total = self.weights[0] * quick + self.weights[1] * deep
        return float(np.interp(total, self.knots, self.probabilities))


class DeepJudge:
    """The trees, and a closer look at what they leave in doubt."""

    DOUBT = (0.02, TrainedJudge.REWORDED)
    """The trees' probabilities from and up to which a closer look is taken: below, it could not bring one up to where
    it is served; above, there is nothing to find out."""

    def __init__(self, quick: Judge, look: Transformer, curve: Curve) -> None:
        self._quick, self._look, self._curve = quick, look, curve

    @classmethod
    def beside(cls, quick: Judge, folder: Path | None = None) -> "DeepJudge":
        """The one that is installed, or that in `folder`. Raises ImportError where something of it is missing."""
        if folder is None:
            from askonce_deep import PARAMETERS

            folder = PARAMETERS
        curve = Curve.read((folder / "calibration.json").read_text("utf-8"))
        return cls(quick, Transformer(folder), curve)

    def prepare(self) -> None:
        """Load the network, which takes half a second and 58 MB."""
        self._look.load()

    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        """As the trees do; at once."""
        return self._quick.judge(prompt, vector, candidates)

    def doubts(self, judgement: Judgement) -> bool:
        """Whether the trees are in doubt."""
        low, high = self.DOUBT
        return not judgement.reason and low <= judgement.probability < high

    def look_closer(self, prompt: str, candidate: str, judgement: Judgement) -> Judgement:
        """What both judges together say of a candidate, or the same judgement; up to 10 ms."""
        if not self.doubts(judgement):
            return judgement
        score = self.score(prompt, candidate)
        return judgement if score is None else Judgement(self._curve(logit(judgement.probability), score))

    def score(self, prompt: str, candidate: str) -> float | None:
        """The transformer's log odds for what two prompts differ in; None where it cannot compare them."""
        compared = difference(*aligned(prompt, candidate))
        return self._look(*map(question, compared)) if compared else None
