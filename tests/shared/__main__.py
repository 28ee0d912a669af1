"""`python -m tests.shared --trials 1000 --kills 20`: two proxies on one PostgreSQL.

What one takes away is asked of the other: nothing may be served that was deleted, invalidated or said to be wrong, once
that was acknowledged. Then the database, and one of the proxies, is killed under load: no app may hear of it, nothing
that was acknowledged may be lost, nothing that was deleted come back. And the database stands still for a while: a miss
may take as much longer as a look-up may take at all. Ends with 1 where that is not so.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import trustme
from tests.e2e.conftest import PROVIDER_HOSTS, Provider, Proxy
from tests.shared import kills, pauses
from tests.shared.trials import apps, rules_for, run
from tests.support.postgres import running
from tests.support.processes import answer_for_all


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.shared", description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=20, help="of the database, and as many of a proxy")
    parser.add_argument("--pause", type=float, default=20, help="seconds for which the database stands still")
    asked = parser.parse_args()
    answer_for_all()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as name, running() as postgres:
        folder, place = Path(name), postgres.place()
        provider, proxies = Provider(folder, trustme.CA()), list[Proxy]()
        try:
            provider.wait_until_ready()
            for own in (folder / "one", folder / "other"):
                own.mkdir()
                (own / "rules.yaml").write_text(rules_for(place))
                routes = {f"{host}:443": provider.port for host in PROVIDER_HOSTS}
                proxies.append(Proxy(own, routes, provider.ca_file, rules=own / "rules.yaml"))
                proxies[-1].wait_until_ready()
            with apps(*proxies) as (one, other):
                served, trial_seconds = run(one, other, asked.trials), time.monotonic() - begin
                killed = kills.run(one, other, postgres, asked.kills)
                misses = pauses.run(one, postgres, asked.pause)
        finally:
            for proxy in proxies:
                proxy.close()
            provider.stop()
    print(f"{asked.trials} trials in {trial_seconds:.0f} s; served although it was")
    for way, count in served.items():
        print(f"  {way}: {count}")
    print(f"{asked.kills} kills each of the database and of a proxy, {killed.calls} calls")
    print(f"  kept and lost: {len(killed.lost)} of {len(killed.kept)}")
    print(f"  deleted and back: {len(killed.back)} of {len(killed.gone)}")
    print(f"  errors that the provider had not sent: {len(killed.errors)} {killed.errors[:1] or ''}")
    print(f"{asked.pause:.0f} s without the database, {len(misses.standing)} misses, {len(misses.errors)} errors")
    print(f"  added at p99: {misses.added * 1000:.0f} ms (at most {pauses.DEADLINE * 1000:.0f})")
    wrong = killed.lost or killed.back or killed.errors or misses.errors or misses.added > pauses.DEADLINE
    return int(any(served.values()) or bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
