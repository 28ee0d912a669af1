"""Whether one answer serves two prompts: how prompts are read and compared, and the judges.

From text to verdict: `reading` (with `lexicon`, whose words are in text files), `difference`, `guards`, `rewording`,
`features` (with `words`), `trees`; put together in `trained`, and looked at more closely in `deep`. Before all of them,
`reuse` (with `reuse_features`) says of one prompt whether its answer may be given again.
"""

from askonce.cache.judge.base import Candidate, Closer, Judge, Judgement, Vector
from askonce.cache.judge.trained import TrainedJudge

__all__ = ["Candidate", "Closer", "Judge", "JudgeError", "Judgement", "Vector", "load_judge"]


class JudgeError(ValueError):
    """There is no such judge, or what it needs is missing; the message says which there are, or how to get it."""


def load_judge(name: str = "trees") -> Judge:
    """The judge of this name: "trees"; "deep", which takes a closer look at what those leave in doubt; or "auto", the
    deep one where what it needs is installed.

    None shares anything with the embedder, whichever that is. Raises JudgeError for another name, or where what "deep"
    needs is missing.
    """
    if name not in ("auto", "trees", "deep"):
        raise JudgeError(f'unknown judge "{name}"; there are: auto, trees, deep')
    trees = TrainedJudge.load()
    if name == "trees":
        return trees
    from askonce.cache.judge.deep import DeepJudge

    try:
        return DeepJudge.beside(trees)
    except ImportError as error:
        if name == "auto":
            return trees
        raise JudgeError(f'judge: deep is not installed ({error}): pip install "askonce[deep]"') from error
