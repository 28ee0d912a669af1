"""What a process that serves does before it imports mitmproxy and NumPy, so that it starts sooner and stays smaller.

One rule: it is asked for by whoever starts such a process, and by nobody else: a program that imports Askonce has its
collector, its memory and its imports to itself.
"""

import gc
import os

from askonce.proxy.large_blocks import give_back_large_blocks
from askonce.proxy.stand_ins import stand_in

__all__ = ["load_lightly"]


def load_lightly(*, all_of_mitmproxy: bool) -> None:
    """From now on; `master.serve` has the collector run again once all is loaded."""
    give_back_large_blocks()  # before numpy is imported, which starts a thread
    gc.disable()  # what is imported stays: walking it again and again was a twelfth of a start's CPU
    # It would look through every installed package for plugins of its own, and have them see what callers ask.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if not all_of_mitmproxy:
        stand_in()
