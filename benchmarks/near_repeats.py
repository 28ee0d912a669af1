"""Questions asked again almost as they were: `python -m benchmarks.near_repeats`, from the repository root.

Each is a question of our corpus's held-out domains, repeated as people repeat one: with a greeting, a sound, a closing,
in lower case, with another end mark, with one slip of the keyboard in a word, in another of the lexicon's frames. What
is told is the share that would be served. Exit code 1 where a claim of docs/judge.md fails. A minute on one core.
"""

import argparse
import random
import sys
from collections.abc import Callable

import numpy as np
from benchmarks.corpus import domains

from askonce.cache import Candidate, Policy
from askonce.cache.judge import Closer, load_judge
from askonce.cache.judge.lexicon import FRAMES, SPOKEN

Repeat = Callable[[str, random.Random], str]
SERVED = {
    "sounds and openings": 0.95,
    "closings": 0.95,
    "end marks": 0.85,
    "no capitals": 0.65,
    "a slip": 0.8,
    "a frame": 0.9,
}
"""What is claimed of each kind."""
LEAST, MOST = 15, 90
"""Characters of a question."""
LONG = 6
"""Letters of a word in which a slip is made."""
NOTHING = np.zeros(0, np.float32)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--questions", type=int, default=300)
    options.add_argument("--max-error", type=float, default=Policy().max_error)
    options.add_argument("--missed", action="store_true", help="list what is not served")
    chosen = options.parse_args()
    dice, failed = random.Random(0), False
    asked = [intent.first for domain in domains("en") if domain.is_held_out for intent in domain.intents]
    asked = [text for text in asked if LEAST < len(text) < MOST and text.endswith("?")]
    some = dice.sample(asked, min(chosen.questions, len(asked)))
    for name, repeat in KINDS.items():
        pairs = [(text, again) for text in some if (again := repeat(text, dice)) != text]
        missed = [again for text, again in pairs if _probability(text, again) < 1 - chosen.max_error]
        share = 1 - len(missed) / len(pairs)
        failed |= share < SERVED[name]
        print(f"{name:20} {share:6.1%} of {len(pairs)} served; claimed: {SERVED[name]:.0%}")
        if chosen.missed:
            print(*(f"  {text!r}" for text in missed), sep="\n")
    return int(failed)


def _probability(stored: str, asked: str) -> float:
    judge = load_judge("auto")
    (found,) = judge.judge(asked, NOTHING, [Candidate(stored, NOTHING, 1.0)])
    return (judge.look_closer(asked, stored, found) if isinstance(judge, Closer) else found).probability


def _led(text: str, dice: random.Random) -> str:
    """Where the question begins with a question word, for what else may stand there no opening is told from it."""
    first = text.split()[0].lower()
    if first not in SPOKEN["asking"]:
        return text
    lead = dice.choice(
        ["er, so ", "um, ", "hey so ", "Hi, ", "Quick question: ", "I'd like to know ", "Just curious, "]
    )
    return f"{lead}{text[0].lower()}{text[1:]}"


def _closed(text: str, dice: random.Random) -> str:
    return text + dice.choice([" Thanks!", " Any ideas?", " Thanks in advance.", " Can you tell me?", " Please help."])


def _marked(text: str, dice: random.Random) -> str:
    return text[:-1] + dice.choice(["", "??", "?!", "...?", "???"])


def _small(text: str, dice: random.Random) -> str:
    return text.lower()[: len(text) - dice.randrange(2)]


def _slipped(text: str, dice: random.Random) -> str:
    words = text.split()
    long = [at for at, word in enumerate(words) if len(word) >= LONG and word.isalpha() and word.islower()]
    if not long:
        return text
    at = dice.choice(long)
    word = words[at]
    place = dice.randrange(1, len(word) - 2)
    before, here, after, rest = word[:place], word[place], word[place + 1], word[place + 2 :]
    words[at] = dice.choice(
        [f"{before}{after}{here}{rest}", f"{before}{after}{rest}", f"{before}{here}{here}{after}{rest}"]
    )
    return " ".join(words)


def _framed(text: str, dice: random.Random) -> str:
    """ "How do I …?", "Can I …?" in one of their other frames."""
    for name, frames in FRAMES.items():
        start, _, rest = name.partition("<x>")
        if text.lower().startswith(start) and not rest:
            asked = dice.choice(sorted(frames)).replace("<x>", text[len(start) : -1]).replace(" .", ".")
            return f"{asked}?"
    return text


KINDS: dict[str, Repeat] = {
    "sounds and openings": _led,
    "closings": _closed,
    "end marks": _marked,
    "no capitals": _small,
    "a slip": _slipped,
    "a frame": _framed,
}

if __name__ == "__main__":
    sys.exit(main())
