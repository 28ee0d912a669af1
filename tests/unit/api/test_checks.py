"""How each part is told to be."""

import datetime

from askonce import trust
from askonce.api.checks import Parts
from askonce.workers import Workers


async def test_each_part_is_told_and_what_fails_comes_first(connect, accounting, tmp_path):
    workers = Workers(1, "test")
    client = connect(parts=Parts(tmp_path, tmp_path / "certs", "trees", workers.run))
    accounting.fault("unreadable")
    first, second, *others = (await client.get("/v1/checks")).json()["checks"]
    assert (first["name"], first["state"]) == ("certificate", "failing")
    assert (second["name"], second["state"]) == ("faults", "warning")
    assert "unreadable (1)" in second["says"]
    assert {check["name"]: check["says"] for check in others}["embedder"] == "wordllama."
    trust.ensure_ca(tmp_path / "certs", ["api.openai.com"], environ={})
    found = {check["name"]: check for check in (await client.get("/v1/checks")).json()["checks"]}
    year = datetime.datetime.now(datetime.UTC).year + 2
    assert found["certificate"]["state"] == "ok" and str(year) in found["certificate"]["says"]
    workers.close()
