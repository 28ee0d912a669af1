"""What is made of what a proxy saw before and after a command."""

from collections import Counter

import pytest

from askonce.cli.doctor_command import Snapshot, StraySeen, diagnose

BEFORE = Snapshot(Counter({"miss": 5}), Counter({("foreign", "old.example:443", "tunnel"): 3}), is_quiet=True)
HOST = "api.openai.com:443"


def told(strays: list[StraySeen], **calls: int) -> list[str]:
    after = Snapshot(BEFORE.calls + Counter(calls), BEFORE.strays + Counter(strays), is_quiet=True)
    return [str(finding) for finding in diagnose(BEFORE, after)]


def test_a_command_whose_calls_are_answered() -> None:
    seen = [("foreign", "telemetry.example:443", "tunnel"), ("unmatched", HOST, "GET /v1/models")]
    assert told(seen, exact=1, miss=2) == ["proxy: well", "trust: well", "calls: 1 exact, 2 miss"]


@pytest.mark.parametrize(
    ("strays", "lines"),
    [
        (
            [],
            [
                "proxy: nothing of the command came to the proxy; "
                "if it asks a provider, give it the proxy in its own settings: `askonce env` has it"
            ],
        ),
        (
            [("untrusted", HOST, "it left after the handshake")],
            [
                "proxy: well",
                f"trust: the command does not trust the proxy's certificate for {HOST}; "
                "have it trust `askonce certs path --bundle`",
            ],
        ),
        (
            [("untrusted", HOST, "The client may not trust the proxy (…ssl/tls alert certificate expired…)")],
            [
                "proxy: well",
                f"trust: the command takes the certificate for {HOST} for one of another time; "
                "set the clock of the machine that the command runs on",
            ],
        ),
        (
            [("unmatched", HOST, "POST /v2/chat"), ("foreign", "b.example:443", "tunnel")],
            [
                "proxy: well",
                "trust: well",
                f"rules: no rule takes POST /v2/chat of {HOST}; if it is a call, add the path to the host's rule",
            ],
        ),
        (
            [("foreign", f"{name}.example:443", "tunnel") for name in "abcd"],
            [
                "proxy: well",
                "trust: well",
                "rules: no rule names a.example:443, b.example:443, c.example:443, …; "
                "if it is a provider, add a rule that has it in `hosts`",
            ],
        ),
        (
            [("own", "askonce.internal:443", "")],
            ["proxy: well", "trust: well", "rules: the command asked Askonce alone; have it ask a provider"],
        ),
        (
            [("unreachable", "gone.example:443", "[Errno -2] unknown")],
            [
                "proxy: well",
                "trust: well",
                "rules: well",
                "providers: no connection to gone.example:443: [Errno -2] unknown; "
                "look at the network; behind a company's proxy, name it in HTTPS_PROXY or in upstream_proxy",
            ],
        ),
    ],
)
def test_a_command_none_of_whose_calls_came_through(strays: list[StraySeen], lines: list[str]) -> None:
    assert told(strays) == lines
