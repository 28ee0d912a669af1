"""The rules that ship: the providers' real addresses, each under its rule, and what beside them is left alone."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from askonce.call import Request
from askonce.credentials import names_caller
from askonce.products.document import Config
from askonce.rules import Rule, Rules
from askonce.wire import WIRE_FORMATS

RULES = Rules(Config.load(Path(__file__).parents[3] / "rules.yaml"))
VERTEX = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4"
GEMINI = "https://generativelanguage.googleapis.com/v1beta"
BEDROCK = "https://bedrock-runtime.eu-west-1.amazonaws.com"


def rule_of(url: str) -> Rule | None:
    place = urlsplit(url)
    port = place.port or {"https": 443, "http": 80}[place.scheme]
    return RULES.find(place.scheme, place.hostname or "", port, place.path)


@pytest.mark.parametrize(
    ("url", "name", "wire"),
    [
        ("https://api.openai.com/v1/chat/completions", "openai-chat", "openai-chat"),
        ("https://eu.api.openai.com/v1/responses", "openai-responses", "openai-responses"),
        ("https://api.openai.com/v1/completions", "openai-completions", "openai-completions"),
        ("https://api.openai.com/v1/embeddings", "openai-embeddings", "openai-embeddings"),
        ("https://api.githubcopilot.com/chat/completions", "copilot-chat", "openai-chat"),
        ("https://api.individual.githubcopilot.com/responses", "copilot-responses", "openai-responses"),
        ("https://api.business.githubcopilot.com/v1/messages", "copilot-messages", "anthropic-messages"),
        ("https://x.openai.azure.com/openai/deployments/d/chat/completions", "azure-openai-chat", "openai-chat"),
        ("https://x.openai.azure.com/openai/v1/responses", "azure-openai-responses", "openai-responses"),
        (
            "https://x.openai.azure.com/openai/deployments/d/completions",
            "azure-openai-completions",
            "openai-completions",
        ),
        (
            "https://x.cognitiveservices.azure.com/openai/deployments/d/embeddings",
            "azure-openai-embeddings",
            "openai-embeddings",
        ),
        ("https://x.services.ai.azure.com/models/chat/completions", "azure-openai-chat", "openai-chat"),
        ("https://x.services.ai.azure.com/anthropic/v1/messages", "azure-anthropic", "anthropic-messages"),
        ("https://api.anthropic.com/v1/messages", "anthropic", "anthropic-messages"),
        ("https://api.anthropic.com/v1/chat/completions", "anthropic-completions", "openai-chat"),
        (f"{GEMINI}/models/gemini-3-pro:generateContent", "gemini", "gemini"),
        (f"{GEMINI}/models/gemini-3-pro:streamGenerateContent", "gemini", "gemini"),
        (f"{GEMINI}/models/gemini-embedding-001:embedContent", "gemini-embeddings", "generic"),
        (f"{GEMINI}/openai/chat/completions", "gemini-openai-chat", "openai-chat"),
        (f"{GEMINI}/openai/embeddings", "gemini-openai-embeddings", "openai-embeddings"),
        (f"{VERTEX}/publishers/google/models/gemini-3-pro:streamGenerateContent", "vertex", "gemini"),
        (
            "https://aiplatform.googleapis.com/v1beta1/publishers/google/models/m:generateContent",
            "vertex",
            "gemini",
        ),
        (f"{VERTEX}/endpoints/123:generateContent", "vertex", "gemini"),
        (
            f"{VERTEX}/publishers/anthropic/models/claude-sonnet-5@20260101:rawPredict",
            "vertex-anthropic",
            "anthropic-messages",
        ),
        (f"{VERTEX}/endpoints/openapi/chat/completions", "vertex-openai-chat", "openai-chat"),
        (f"{BEDROCK}/model/anthropic.claude-v1%3A0/invoke", "bedrock", "generic"),
        (f"{BEDROCK}/model/arn%3Aaws%3Abedrock%3Aprofile%2Fx/converse", "bedrock", "generic"),
        (f"{BEDROCK}/openai/v1/responses", "bedrock-runtime-openai-responses", "openai-responses"),
        ("https://bedrock-mantle.us-west-2.api.aws/v1/chat/completions", "bedrock-openai-chat", "openai-chat"),
        ("https://api.mistral.ai/v1/chat/completions", "mistral-chat", "openai-chat"),
        ("https://codestral.mistral.ai/v1/fim/completions", "mistral-fim", "generic"),
        ("https://api.mistral.ai/v1/embeddings", "mistral-embeddings", "openai-embeddings"),
        ("https://api.cohere.com/v2/chat", "cohere-chat", "cohere-chat"),
        ("https://api.cohere.com/v2/embed", "cohere-embeddings", "generic"),
        ("http://localhost:11434/api/chat", "ollama", "ollama"),
        ("http://127.0.0.1:11434/api/generate", "ollama", "ollama"),
        ("https://ollama.com/api/chat", "ollama", "ollama"),
        ("http://localhost:11434/v1/chat/completions", "ollama-openai-chat", "openai-chat"),
        ("https://api.deepseek.com/beta/completions", "other-completions", "openai-completions"),
        ("https://openrouter.ai/api/v1/embeddings", "other-embeddings", "openai-embeddings"),
        ("https://api.moonshot.ai/anthropic/v1/messages", "other-anthropic", "anthropic-messages"),
    ],
)
def test_a_provider_s_address_has_its_rule(url: str, name: str, wire: str) -> None:
    rule = rule_of(url)
    assert rule
    assert (rule.name, rule.wire.name) == (name, wire)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1/models",
        "https://api.openai.com/v1/files",
        "https://api.openai.com/v1/responses/resp_1/cancel",
        "http://api.openai.com/v1/chat/completions",
        "https://api.anthropic.com/v1/messages/count_tokens",
        "https://api.anthropic.com/v1/messages/batches",
        f"{GEMINI}/models/gemini-3-pro:countTokens",
        f"{GEMINI}/models/gemini-3-pro:batchGenerateContent",
        f"{BEDROCK}/model/m/converse-stream",
        f"{BEDROCK}/model/m/invoke-with-response-stream",
        f"{BEDROCK}/model/m/count-tokens",
        "https://s3.eu-west-1.amazonaws.com/model/m/invoke",
        "https://storage.googleapis.com/v1/models/m:generateContent",
        "http://localhost:8000/api/chat",
        "http://localhost:11434/api/pull",
    ],
)
def test_anything_else_is_left_alone(url: str) -> None:
    assert rule_of(url) is None


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("https://api.openai.com/v1/responses", ["openai-beta"]),
        ("https://x.services.ai.azure.com/models/chat/completions", ["extra-parameters", "azureml-model-deployment"]),
        ("https://api.anthropic.com/v1/messages", ["anthropic-version", "anthropic-beta"]),
        (f"{GEMINI}/models/gemini-3-pro:generateContent", ["x-goog-fieldmask"]),
        (
            f"{BEDROCK}/openai/v1/chat/completions",
            ["x-amzn-bedrock-guardrailidentifier", "x-amzn-bedrock-guardrailversion"],
        ),
        (
            "https://bedrock-mantle.us-west-2.api.aws/anthropic/v1/messages",
            ["x-amzn-bedrock-guardrailidentifier", "x-amzn-bedrock-guardrailversion", "anthropic-beta"],
        ),
        ("https://api.groq.com/openai/v1/chat/completions", ["groq-model-version"]),
        ("https://api.groq.com/openai/v1/responses", ["groq-model-version"]),
    ],
)
def test_headers_that_choose_the_answer_are_in_the_rule(url: str, names: list[str]) -> None:
    rule = rule_of(url)
    assert rule
    assert rule.headers.choosing >= set(names)
    assert rule.headers.choices(dict.fromkeys(names, "1")) == dict.fromkeys(names, "1")


@pytest.mark.parametrize("name", ["codex", "codex-chatgpt"])
def test_an_item_that_codex_only_refers_to_keeps_its_id(name: str) -> None:
    rule = next(rule for rule in RULES if rule.name == name)

    def parts(*items: dict[str, str]) -> Any:
        body = orjson.dumps({"model": "m", "input": [*items, {"role": "user", "content": "q"}]})
        return rule.wire.read(Request("POST", "api.openai.com", "/v1/responses", "", {}, body), rule.read).parts

    said = {"type": "message", "role": "assistant", "content": "a"}
    assert parts(said | {"id": "msg_1"}) == parts(said | {"id": "msg_2"}) == parts(said)
    named = {"type": "item_reference"}
    assert parts(named | {"id": "msg_1"}) != parts(named | {"id": "msg_2"})


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.x.ai/v1/chat/completions", "x-grok-conv-id"),
        ("https://api.fireworks.ai/inference/v1/chat/completions", "x-session-affinity"),
        (f"{BEDROCK}/model/m/invoke", "x-amzn-bedrock-request-metadata"),
        ("https://api.openai.com/v1/responses", "session_id"),
        ("https://api.anthropic.com/v1/messages", "x-claude-code-session-id"),
        ("https://api.anthropic.com/v1/messages", "x-claude-code-prompt-id"),
        ("https://api.anthropic.com/v1/messages", "x-claude-code-prev-tool-durations"),
    ],
)
def test_headers_that_only_choose_a_server_or_a_log_are_not(url: str, name: str) -> None:
    rule = rule_of(url)
    assert rule
    assert rule.headers.choices({name: "1"}) == {}


def test_an_agent_s_session_is_not_what_it_asks() -> None:
    for rule in RULES:
        if rule.name.startswith("codex"):
            assert rule.headers.choices({"session_id": "1", "x-codex-turn-metadata": "{}"}) == {}


AUDITED = (
    "x-amzn-bedrock-guardrailidentifier", "x-amzn-bedrock-guardrailversion", "extra-parameters", "x-functions-key",
    "x-portkey-virtual-key", "x-portkey-config", "cf-access-jwt-assertion", "x-goog-iap-jwt-assertion",
    "x-amzn-oidc-data", "x-ms-client-principal", "x-forwarded-user", "remote-user", "x-user-id", "x-tenant-id", "x-jwt",
    "x-password", "azureml-model-deployment", "x-that-nobody-knows", "that-nobody-knows",
)  # fmt: skip
"""What an audit found to change the answer or to name the caller; and two that may."""


@pytest.mark.parametrize("rule", list(RULES), ids=lambda rule: rule.name)
def test_no_rule_leaves_out_a_header_that_may_count(rule: Rule) -> None:
    for name in AUDITED:
        assert names_caller(name) or rule.headers.choices({name: "1"}) == {name: "1"}, name


def test_every_wire_format_has_a_rule() -> None:
    assert {rule.wire.name for rule in RULES} == set(WIRE_FORMATS)


def test_nobody_shares_answers_with_another_credential() -> None:
    assert {rule.behaviour.scope for rule in RULES} == {"credential"}


def test_what_has_no_prompt_of_its_own_is_exact() -> None:
    for rule in RULES:
        if rule.wire.name == "generic":
            assert rule.behaviour.match == "exact", rule.name


def test_no_wildcard_opens_more_than_one_provider_s_names() -> None:
    wild = {pattern.name for rule in RULES for pattern in rule.hosts if pattern.is_wild}
    assert wild == {
        "*.openai.azure.com",
        "*.openai.azure.us",
        "*.cognitiveservices.azure.com",
        "*.services.ai.azure.com",
        "*.models.ai.azure.com",
    }


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1/responses", "codex"),
        ("https://chatgpt.com/backend-api/codex/responses", "codex-chatgpt"),
    ],
)
def test_codex_is_told_to_ask_over_http(url: str, name: str) -> None:
    place = urlsplit(url)
    heads = {b"user-agent": b"codex_exec/0.171.0 (Debian 12.0.0; x86_64) unknown (codex_exec; 0.171.0)"}
    rule = RULES.find("https", place.hostname or "", 443, place.path, heads)
    assert rule and rule.name == name and rule.refuses_websocket
    other = rule_of(url)
    assert other is None or not other.refuses_websocket  # OpenAI's own SDKs speak it


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1/chat/completions", "copilot-own-key-chat"),
        ("https://api.openai.com/v1/responses", "copilot-own-key-responses"),
        ("https://api.anthropic.com/v1/messages", "copilot-own-key-messages"),
    ],
)
def test_of_copilot_s_clock_the_date_counts(url: str, name: str) -> None:
    place = urlsplit(url)
    rule = RULES.find("https", place.hostname or "", 443, place.path, {b"x-initiator": b"agent"})
    assert rule and rule.name == name
    for zone in ("+00:00", "-05:00"):
        told = f"<current_datetime>2026-11-30T07:37:06.388{zone}</current_datetime>"
        said = {rewrite(told) for _, rewrite in rule.read.normalise}
        assert said == {told, "<current_datetime>2026-11-30</current_datetime>"}
