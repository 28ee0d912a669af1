"""One caller after another's answers: what tells two calls apart must count.

One rule: each attack asks once as one caller, or of one server, and once as another; a hit for the other is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.attack.attack import Attack
from tests.attack.target import CHAT, FRANCE, Target

_COOKIES = (
    "CF_Authorization",
    "CF_AppSession",
    "AWSELBAuthSessionCookie-0",
    "cf_session",
    "awsalb_login",
    "session",
)
"""Login cookies, some with a name that begins as a load balancer's does."""
_NAMING = (
    "x-functions-key", "x-portkey-virtual-key", "x-portkey-config", "cf-access-jwt-assertion",
    "x-goog-iap-jwt-assertion", "x-amzn-oidc-data", "x-ms-client-principal", "x-forwarded-user", "remote-user",
    "x-user-id", "x-tenant-id", "x-jwt", "x-password", "x-corp-token", "x-auth", "ocp-apim-subscription-key",
    "api-key", "x-anything-that-nobody-knows",
)  # fmt: skip
_CHOOSING = (
    "X-Amzn-Bedrock-GuardrailIdentifier", "X-Amzn-Bedrock-GuardrailVersion", "extra-parameters",
    "azureml-model-deployment", "OpenAI-Beta", "Groq-Model-Version",
)  # fmt: skip
_GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
_HIDDEN = {
    "a zero-width space": "\u200b",
    "a word joiner": "\u2060",
    "a soft hyphen": "\u00ad",
    "a tag": "\U000e0041",
    "a variation selector": "\ufe0f",
    "a private use character": "\ue000",
    "an unassigned character": "\U000e0fff",
    "a right-to-left mark": "\u200f",
}


def _second(target: Target, one: Iterable[tuple[str, str]], other: Iterable[tuple[str, str]], url: str = CHAT) -> int:
    """1 where the second of two calls of one key gets the first one's answer; they differ in these headers alone."""
    key = target.key()
    target.ask(key, *one, url=url)
    return int(target.ask(key, *other, url=url))


def cookies(target: Target) -> int:
    return sum(_second(target, [("cookie", f"{name}=a")], [("cookie", f"{name}=b")]) for name in _COOKIES)


def split_cookies(target: Target) -> int:
    """RFC 9113 8.2.3: a client may send several Cookie fields."""

    def sent(who: str) -> list[tuple[str, str]]:
        return [("cookie", "awsalb=x"), ("cookie", f"session={who}")]

    return _second(target, sent("a"), sent("b"))


def joined_cookies(target: Target) -> int:
    """What joins fields as RFC 9110 5.3 has it for others writes a comma, and some servers take that for an end."""
    return _second(target, [("cookie", "AWSALB=x, session=a")], [("cookie", "AWSALB=x, session=b")])


def names(target: Target) -> int:
    return sum(_second(target, [(name, "one")], [(name, "two")]) for name in _NAMING)


def choices(target: Target) -> int:
    return sum(_second(target, [(name, "one")], [(name, "two")]) for name in _CHOOSING)


def ports(target: Target) -> int:
    key = target.key()
    target.ask(key, url="http://model.test:8001/v1/chat/completions")
    return int(target.ask(key, url="http://model.test:8002/v1/chat/completions"))


def keys_that_are_no_text(target: Target) -> int:
    contents = [{"role": "user", "parts": [{"text": FRANCE}]}]
    hits = 0
    with target.client() as client:
        del client.headers["authorization"]
        for number, key in enumerate(("%ff", "%fe")):
            answer = client.post(f"{_GEMINI}?key={key}", json={"contents": contents})
            hits += number and "; hit" in answer.headers.get("cache-status", "")
            target.proxy.settle()
    return int(hits)


def namespaces(target: Target) -> int:
    return _second(target, [("x-cache-namespace", "a")], [("x-cache-namespace", "b")])


def hidden_text(target: Target) -> int:
    """What nobody sees must not shape an answer that those who ask plainly are given, nor be answered by theirs."""
    wrong = 0
    for character in _HIDDEN.values():
        key, hidden = target.key(), FRANCE.replace("capital", f"capi{character}tal")
        target.ask(key, question=hidden)
        wrong += target.ask(key)
        key = target.key()
        target.ask(key)
        wrong += target.ask(key, question=hidden)
    return wrong


def numbers(target: Target) -> int:
    """Numbers beyond 64 bits, or beyond a double."""
    wrong = 0
    for one, other in (("123456789012345678901", "123456789012345678902"), ("0.10000000000000000555", "0.1")):
        with target.client() as client:
            for number, text in enumerate((one, other)):
                content = f'{{"model":"m","messages":[{{"role":"user","content":"Hi."}}],"x":{text}}}'
                headers = {"content-type": "application/json"}
                answer = client.post(CHAT, content=content, headers=headers)
                wrong += bool(number) and "; hit" in answer.headers["cache-status"]
                target.proxy.settle()
    return wrong


ATTACKS = (
    Attack("login cookies", "two logins, told apart by a cookie that begins as a load balancer's does", cookies),
    Attack("split cookies", "two logins in a second Cookie header behind a balancer's", split_cookies),
    Attack("joined cookies", "the same, behind a comma", joined_cookies),
    Attack("who calls", f"{len(_NAMING)} headers that name a caller", names),
    Attack("what is chosen", f"{len(_CHOOSING)} headers that change the answer", choices),
    Attack("ports", "one name, two ports: two model servers", ports),
    Attack("keys that are no text", "?key=%ff and ?key=%fe", keys_that_are_no_text),
    Attack("namespaces", "one key, two namespaces", namespaces),
    Attack("hidden text", f"{len(_HIDDEN)} characters that nobody sees, both ways", hidden_text),
    Attack("numbers", "two that differ beyond what a double holds", numbers),
)
