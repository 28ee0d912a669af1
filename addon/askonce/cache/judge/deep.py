"""The deep judge: a small transformer that reads both prompts at once, for what the trees are in doubt about.

It looks at one pair in a decision, milliseconds, and only where no guard objected: it knows paraphrases better than
traps. Needs onnxruntime (`pip install "askonce[deep]"`). docs/judge.md has its card and what it adds.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from askonce.cache.judge.base import Candidate, Judge, Judgement, Vector
from askonce.cache.judge.difference import difference
from askonce.cache.judge.trained import TrainedJudge
from askonce.cache.learning.recalibration import logit, probability
from askonce.jsontext import encodable

__all__ = ["PARAMETERS", "DeepJudge", "Transformer"]

PARAMETERS = Path(__file__).parent / "params" / "deep"
"""model.onnx, tokenizer.json and calibration.json, as `python -m benchmarks.train_deep` writes them."""


class Transformer:
    """Scores a pair of texts. Thread-safe."""

    LONGEST = 48
    """Tokens of both texts together, which is 10 ms on one core; the judges' differences of long prompts mostly fit."""

    def __init__(self, folder: Path = PARAMETERS) -> None:
        """Raises ImportError without onnxruntime, and what that raises for a file that is no model of its kind."""
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the other cores are other calls'
        options.log_severity_level = 3
        model = folder / "model.onnx"
        self._session: Any = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def __call__(self, one: str, other: str) -> float | None:
        """How alike the questions are, as log odds before calibration; None where they are too long to be read."""
        found = self._tokenizer.encode(encodable(one), encodable(other))
        if len(found.ids) > self.LONGEST:
            return None
        feed = {"ids": found.ids, "mask": found.attention_mask, "types": found.type_ids}
        (score,) = self._session.run(None, {name: np.array([values], np.int64) for name, values in feed.items()})
        return float(score[0])


class DeepJudge:
    """The trees, and a closer look at what they leave in doubt."""

    DOUBT = (0.3, TrainedJudge.REWORDED)
    """The trees' probabilities from and up to which a closer look is taken: below, it could not bring one up to where
    it is served; above, there is nothing to find out."""
    HIGHEST = 0.97
    """No two scores are worth more than this: what the pairs that it was calibrated with can show."""

    def __init__(self, quick: Judge, look: Transformer, slope: float, start: float) -> None:
        """`slope` and `start`: of the log odds over the sum of both judges' log odds."""
        self._quick, self._look = quick, look
        self._slope, self._start = slope, start

    @classmethod
    def load(cls, quick: Judge, folder: Path = PARAMETERS) -> "DeepJudge":
        """Raises ImportError without onnxruntime."""
        fitted = json.loads((folder / "calibration.json").read_text("utf-8"))
        return cls(quick, Transformer(folder), float(fitted["slope"]), float(fitted["start"]))

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
        compared = difference(prompt, candidate)
        score = self._look(*compared) if compared else None
        if score is None:
            return judgement
        odds = self._slope * (logit(judgement.probability) + score) + self._start
        return Judgement(min(self.HIGHEST, probability(odds)))
