"""Tools with which a provider looks at what is so now: searching the web, fetching pages, asking other services.

One rule: only what the provider itself does counts. A function that the caller runs is called anew each time, and what
it says is in the next call. Sources: the API references of OpenAI (web search, MCP), Anthropic (web search and fetch
tools, MCP connector), Google (grounding, URL context), xAI (live search), Groq (built-in tools, Compound), OpenRouter
(web plug-in, `:online`), Perplexity (Sonar), Alibaba (`enable_search`).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from askonce.call import Call

__all__ = ["live_tool"]

_TYPES = re.compile(
    r"(?:web_search|web_fetch|web_search_preview|browser_search|browser_automation|visit_website|x_search|live_search|mcp)"
    r"(?:_\d+|_\d{4}_\d\d_\d\d)?|openrouter:web_search|mcp_toolset|web-search"
)
_MEMBERS = frozenset(
    """
    enterpriseWebSearch enterprise_web_search googleMaps google_maps googleSearch google_search googleSearchRetrieval
    google_search_retrieval urlContext url_context
    """.split()  # noqa: SIM905  # reads better than ten quoted names
)
"""Of Google's tools, which are named by their only member."""
_SWITCHES = ("web_search_options", "mcp_servers", "enable_search", "search_parameters")
_MODELS = re.compile(r"(?:.*/)?sonar.*|.*-search-(?:preview|api).*|.*:online|(?:.*/)?compound(?:-mini|-beta.*)?")
"""Models that search by themselves."""


def live_tool(call: Call) -> str:
    """The name of such a tool that a call brings along, or of the model that is one; empty without."""
    parts = call.parts
    if "tools" not in parts and "other" not in parts and not _MODELS.fullmatch(call.model):
        return ""
    if found := next(_in_tools(parts.get("tools")), ""):
        return found
    other = parts.get("other")
    if isinstance(other, Mapping):
        if found := next(_switched(other), ""):
            return found
        if found := next(_plugins(other.get("plugins")), ""):
            return found
    return call.model if _MODELS.fullmatch(call.model) else ""


def _in_tools(tools: Any) -> Iterator[str]:
    if not isinstance(tools, Mapping):
        return
    listed = tools.get("tools")
    for tool in listed if isinstance(listed, list) else ():
        if not isinstance(tool, Mapping):
            continue
        kind = tool.get("type")
        if isinstance(kind, str) and _TYPES.fullmatch(kind) and tool.get("external_web_access") is not False:
            yield kind
        yield from (name for name in tool if name in _MEMBERS)
    yield from _switched(tools)


def _switched(members: Mapping[str, Any]) -> Iterator[str]:
    for name in _SWITCHES:
        value = members.get(name)
        off = isinstance(value, Mapping) and value.get("mode") == "off"
        if value not in (None, False, []) and not off:
            yield name


def _plugins(listed: Any) -> Iterator[str]:
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, Mapping) and one.get("id") == "web":
            yield "web"
