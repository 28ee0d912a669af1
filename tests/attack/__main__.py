"""`python -m tests.attack`: what an attacker would try, against a proxy on this machine's loopback, within bounds.

Prints a line for each attack: what was wrong, the longest that the loop stood, the memory above the steady state, the
most descriptors; the worst of all proxies that were watched. Ends with 1 where a bound is broken, and by itself in any
case.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
import tempfile
import traceback
from pathlib import Path

from tests.attack import doors, isolation, measures, resources, staying_up, untaken
from tests.attack.attack import Attack
from tests.attack.target import Target, target
from tests.attack.watch import MIB, Figures, Watch, worst
from tests.support.processes import answer_for_all, descendants, kill

ATTACKS = (
    *isolation.ATTACKS,
    *resources.ATTACKS,
    *doors.ATTACKS,
    *untaken.ATTACKS,
    *staying_up.ATTACKS,
    *measures.ATTACKS,
)
_HEAD = f"{'attack':<22} {'wrong':>6} {'stall ms':>9} {'memory MiB':>11} {'descriptors':>12}  verdict"


def judge(attack: Attack, wrong: int, seen: Figures) -> list[str]:
    """The bounds that an attack broke, in words."""
    bound, broken = attack.bound, list[str]()
    if wrong:
        broken.append(f"{wrong} wrong")
    if not seen.is_alive:
        broken.append("the proxy ended")
    if seen.stall > bound.stall:
        broken.append(f"the loop stood for more than {bound.stall * 1000:.0f} ms")
    if seen.memory > bound.memory:
        broken.append(f"more than {bound.memory // MIB} MiB above the steady state")
    if seen.descriptors > bound.descriptors * seen.limit:
        broken.append(f"more than {bound.descriptors * 100:.0f} % of {seen.limit} descriptors")
    return broken


def run(attack: Attack, at: Target) -> bool:
    """Whether an attack stayed within its bounds; says so."""
    at.seen.clear()
    watch = Watch(at.proxy.process.pid, at.proxy.port).start()
    try:
        wrong, error = attack.run(at), ""
    except Exception:
        wrong, error = 1, traceback.format_exc()
    finally:
        own = watch.stop()
    seen = worst([own, *at.seen])
    broken = judge(attack, wrong, seen)
    figures = f"{wrong:>6} {seen.stall * 1000:>9.0f} {seen.memory / MIB:>11.1f} {seen.descriptors:>12}"
    print(f"{attack.name:<22} {figures}  {'; '.join(broken) or 'ok'}", flush=True)
    if error:
        print(error, file=sys.stderr)
    if not own.is_alive or at.proxy.process.poll() is not None:
        at.proxy.kill()
        at.proxy.launch()
        at.proxy.wait_until_ready()
    return not broken


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("only", nargs="*", help="names of attacks, or patterns such as 'inflated*'; all unless given")
    parser.add_argument("--list", action="store_true", help="say what there is, and do nothing")
    asked = parser.parse_args()
    chosen = [one for one in ATTACKS if not asked.only or any(fnmatch.fnmatch(one.name, name) for name in asked.only)]
    if asked.list or not chosen:
        for attack in ATTACKS:
            print(f"{attack.name:<22} {attack.does}")
        return 0 if asked.list else 2
    answer_for_all()
    with tempfile.TemporaryDirectory() as folder, target(Path(folder)) as at:
        at.warm_up()
        print(_HEAD)
        kept = sum(run(attack, at) for attack in chosen)
    kill(descendants())
    print(f"{len(chosen)} attacks, {len(chosen) - kept} beyond their bounds")
    return int(kept < len(chosen))


if __name__ == "__main__":
    sys.exit(main())
