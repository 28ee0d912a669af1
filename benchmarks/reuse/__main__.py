"""How often a prompt is called what it is: `python -m benchmarks.reuse`, on held-out domains.

Exit code 1 where a claim of docs/judge.md fails.
"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.reuse.data import FOLDER, labelled, of_corpus

from askonce.cache.judge.reuse import reuse
from askonce.quality.labelled import KINDS
from askonce.quality.reuse import confusion, shares

OTHERWISE, LASTING = 0.02, 0.16
"""What is claimed: lasting prompts called otherwise, and others called lasting."""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--corpus", type=Path, default=FOLDER, metavar="FOLDER")
    options.add_argument("--language", default="en")
    options.add_argument("--domains", nargs="*", help="these of the held-out ones")
    options.add_argument("--wrong", action="store_true", help="list what is called wrong")
    chosen = options.parse_args()
    held_out = [one for one in of_corpus(chosen.corpus, chosen.language) if one.is_held_out]
    if chosen.domains:
        held_out = [one for one in held_out if one.name in chosen.domains]
    found = [one for one in labelled(held_out) if not one.is_near_miss]
    started = time.process_time()
    told = [reuse(one.prompt) for one in found]
    took = (time.process_time() - started) / max(1, len(found)) * 1e6
    table = confusion((one.kind, what.kind) for one, what in zip(found, told, strict=True))
    print(f"{len(found):,} prompts of {len(held_out)} held-out domains, {took:.0f} µs of CPU each\n")
    print(f"{'is, called':14}" + "".join(f"{kind:>14}" for kind in KINDS))
    for kind in KINDS:
        print(f"{kind:14}" + "".join(f"{table[kind, other]:14,}" for other in KINDS))
    otherwise, lasting = shares(table)
    print(f"\nlasting called otherwise {otherwise:.1%}, others called lasting {lasting:.1%}")
    if chosen.wrong:
        for one, what in zip(found, told, strict=True):
            if (one.kind == "lasting") != (what.kind == "lasting"):
                print(f"  {one.domain}: {one.kind}, called {what.reason or what.kind}: {one.prompt[-120:]!r}")
    return int(otherwise > OTHERWISE or lasting > LASTING)


if __name__ == "__main__":
    sys.exit(main())
