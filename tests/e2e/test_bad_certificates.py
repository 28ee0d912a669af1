"""A provider whose certificate cannot be trusted: the app hears so, the provider hears nothing, and nothing is kept."""

from __future__ import annotations

import contextlib
import datetime
import json
import ssl
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme
from tests.e2e.conftest import until
from tests.e2e.raw import Origin
from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Proxy, StartProxy

BODY = {"model": "m", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
EXPIRED, FOREIGN, UNKNOWN = "api.openai.com", "api.groq.com", "api.mistral.ai"


@pytest.fixture(scope="module")
def origins() -> Iterator[dict[str, Origin]]:
    yield {}


@pytest.fixture(scope="module")
def distrusting(
    origins: dict[str, Origin], start_module_proxy: StartProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    known, unknown = trustme.CA(), trustme.CA()
    leaves = {
        EXPIRED: known.issue_cert(EXPIRED, not_after=LONG_AGO + datetime.timedelta(days=1)),
        FOREIGN: known.issue_cert("elsewhere.example"),
        UNKNOWN: unknown.issue_cert(UNKNOWN),
    }
    bundle = tmp_path_factory.mktemp("ca") / "ca.pem"
    known.cert_pem.write_to_path(bundle)
    with contextlib.ExitStack() as stack:
        for host, leaf in leaves.items():
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            leaf.configure_cert(context)
            origins[host] = stack.enter_context(contextlib.closing(Origin(context)))
        routes = json.dumps({f"{host}:443": origin.port for host, origin in origins.items()})
        environment = {"ASKONCE_UPSTREAM_CA": str(bundle), "ASKONCE_TEST_ROUTES": routes}
        yield start_module_proxy(environment=environment)


@pytest.mark.parametrize(
    ("host", "path", "why"),
    [
        (EXPIRED, "/v1/chat/completions", "certificate has expired"),
        (FOREIGN, "/openai/v1/chat/completions", "hostname mismatch"),
        (UNKNOWN, "/v1/chat/completions", "unable to get local issuer certificate"),
    ],
)
def test_a_certificate_that_cannot_be_trusted(
    host: str, path: str, why: str, distrusting: Proxy, origins: dict[str, Origin], api_key: str
) -> None:
    before = distrusting.get("/v1/stats")
    trusting = ssl.create_default_context(cafile=str(distrusting.bundle))
    headers = {"authorization": f"Bearer {api_key}"}
    with httpx.Client(proxy=distrusting.url, verify=trusting, headers=headers, timeout=PATIENCE) as app:
        answers = [app.post(f"https://{host}{path}", json=BODY) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [502, 502]
    assert all(why in answer.text.lower() for answer in answers)
    assert not origins[host].requests, "a credential was sent to whoever this is"
    until(lambda: distrusting.get("/v1/stats")["in_flight"] == 0)
    after = distrusting.get("/v1/stats")
    assert after["failed_requests"] - before["failed_requests"] == 2
    assert after["stored"] == before["stored"]
