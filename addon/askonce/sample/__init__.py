"""A provider of LLM answers, played by us on loopback, for the demo and as the upstream of the tests.

One rule: it is an implementation of its own and shares no code with `askonce.wire`, so that a mistake in reading a
format cannot hide behind the same mistake in writing it. `python -m askonce.sample` runs it.
"""

from askonce.sample.control import Control, Pace
from askonce.sample.server import MODEL_PACE, SampleProvider

__all__ = ["MODEL_PACE", "Control", "Pace", "SampleProvider"]
