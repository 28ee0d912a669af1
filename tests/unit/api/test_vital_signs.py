"""What a probe is told before the application is there is what the application says."""

import json
from typing import Any

import pytest
from tests.support.management import Connect

from askonce.api.vital_signs import readiness, request_id, vital_sign

OWN = "askonce.internal"


def told(path: str, ready: str | None = None, host: str = OWN, method: str = "GET", given: str = "") -> Any:
    fields = [(b"X-Request-Id", given.encode())]
    return vital_sign(method, f"http://{host}:8080{path}", fields, own_host=OWN, ready=ready, failure="", uptime=0.5)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
@pytest.mark.parametrize("reason", [None, "starting"])
async def test_it_says_what_the_application_says(connect: Connect, path: str, reason: str | None) -> None:
    expected = await connect(ready=lambda: reason).get(path, headers={"x-request-id": "mine"})
    status, fields, body = told(path, reason, given="mine")
    assert (status, json.loads(body)) == (expected.status_code, expected.json())
    assert dict(fields) == {name.lower(): value for name, value in expected.headers.raw}


@pytest.mark.parametrize(
    "other",
    [
        {"path": "/health"},
        {"path": "/health/ready?x=1"},
        {"path": "/health/ready?x=/health/ready"},
        {"path": "/gateway/health/ready"},
        {"path": "/health/ready", "host": f"promptcache.{OWN}"},
        {"path": "/health/ready", "host": f"nobody.{OWN}"},
        {"path": "/health/live", "method": "POST"},
    ],
)
def test_all_else_is_the_applications(other: dict[str, str]) -> None:
    assert told(**other) is None


def test_without_room_to_keep_answers_it_is_degraded_and_takes_calls() -> None:
    status, said = readiness(None, "the disk is full")
    assert (status, said["status"], said["ready"], said["error"]) == (200, "degraded", True, "the disk is full")
    assert readiness("stopping", "the disk is full")[0] == 503


def test_the_proxys_own_port_is_asked_by_any_name() -> None:
    assert told("/health/live", host="127.0.0.1")[0] == 200


def test_an_id_that_cannot_stand_in_a_header_is_replaced() -> None:
    assert request_id("a-1") == "a-1"
    assert len(request_id("a\r\nb")) == len(request_id("x" * 129)) == 36
