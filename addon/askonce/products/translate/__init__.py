"""OpenAI's chat completions in other providers' words: requests on their way out, answers and streams on their way in.

One rule: nothing here does I/O or keeps a clock; a request that cannot be said in the other wire format is refused
with `Untranslatable`, never sent with something missing that would change the answer.
"""

from askonce.products.translate.anthropic import ANTHROPIC
from askonce.products.translate.asking import Asked, Untranslatable
from askonce.products.translate.gemini import GEMINI
from askonce.products.translate.stream import Dialect, StreamTranslator, WholeTranslator, message_of

__all__ = [
    "ANTHROPIC",
    "GEMINI",
    "Asked",
    "Dialect",
    "StreamTranslator",
    "Untranslatable",
    "WholeTranslator",
    "message_of",
]
