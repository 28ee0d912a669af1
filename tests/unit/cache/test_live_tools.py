"""Which calls bring along a tool with which the provider looks at what is so now."""

from typing import Any

import pytest

from askonce.cache.live_tools import live_tool
from askonce.call import Call


def call(model: str = "m", **parts: Any) -> Call:
    return Call("openai-chat", "q", parts, model=model)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"tools": {"tools": [{"type": "web_search"}]}}, "web_search"),
        ({"tools": {"tools": [{"type": "web_search_preview_2025_03_11"}]}}, "web_search_preview_2025_03_11"),
        ({"tools": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}}, "web_search_20250305"),
        ({"tools": {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}}, "web_fetch_20250910"),
        ({"tools": {"tools": [{"type": "mcp", "server_label": "x"}]}}, "mcp"),
        ({"tools": {"tools": [{"googleSearch": {}}]}}, "googleSearch"),
        ({"tools": {"tools": [{"url_context": {}}]}}, "url_context"),
        ({"tools": {"web_search_options": {}}}, "web_search_options"),
        ({"tools": {"mcp_servers": [{"url": "https://x.example"}]}}, "mcp_servers"),
        ({"other": {"search_parameters": {"mode": "auto"}}}, "search_parameters"),
        ({"other": {"enable_search": True}}, "enable_search"),
        ({"other": {"plugins": [{"id": "web"}]}}, "web"),
    ],
)
def test_a_live_tool_is_named(parts: dict[str, Any], expected: str) -> None:
    assert live_tool(call(**parts)) == expected


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"tools": {"tools": [{"type": "function", "function": {"name": "web_search"}}]}},
        {"tools": {"tools": [{"type": "code_interpreter"}, {"type": "file_search"}]}},
        {"tools": {"tools": [{"type": "web_search", "external_web_access": False}]}},
        {"tools": {"tools": "none", "mcp_servers": []}},
        {"tools": {"tools": [None, 3, {"type": 5}]}},
        {"other": {"search_parameters": {"mode": "off"}, "enable_search": False, "plugins": [{"id": "pdf"}, 1]}},
        {"other": "text"},
    ],
)
def test_what_the_caller_runs_or_switches_off_is_none(parts: dict[str, Any]) -> None:
    assert live_tool(call(**parts)) == ""


@pytest.mark.parametrize(
    "model", ["sonar-pro", "perplexity/sonar", "gpt-4o-search-preview", "x/y:online", "groq/compound"]
)
def test_a_model_may_search_by_itself(model: str) -> None:
    assert live_tool(call(model)) == model
