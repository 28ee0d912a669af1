"""`python -m tests.shared --trials 1000`: two proxies on one PostgreSQL; what one takes away is asked of the other.

Nothing may be served that was deleted, invalidated or said to be wrong, once that was acknowledged. Ends with 1 where
something was.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

import trustme
from tests.e2e.conftest import PROVIDER_HOSTS, Provider, Proxy
from tests.processes import answer_for_all
from tests.shared.trials import apps, rules_for, run
from tests.support.postgres import running


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.shared", description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    asked = parser.parse_args()
    answer_for_all()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as name, running(secrets.token_hex(6)) as postgres:
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
                served = run(one, other, asked.trials)
        finally:
            for proxy in proxies:
                proxy.close()
            provider.stop()
    print(f"{asked.trials} trials in {time.monotonic() - begin:.0f} s; served although it was")
    for way, count in served.items():
        print(f"  {way}: {count}")
    return int(any(served.values()))


if __name__ == "__main__":
    sys.exit(main())
