"""What the deep judge of Askonce has learned: model.onnx, tokenizer.json and calibration.json, as
`python -m benchmarks.train_deep` writes them. A distribution of its own, since a plain cache does without its 23 MB.
"""

from pathlib import Path

__all__ = ["PARAMETERS"]

PARAMETERS = Path(__file__).parent
