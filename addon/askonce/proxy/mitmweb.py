"""Askonce in mitmweb: decision and prompt as a comment and a marker in the list, the conversation as a content view.

One rule: nothing here changes a call; it only shows what the addon decided, and keeps the list short.
"""

import json
from collections import deque

from mitmproxy import contentviews, ctx, flow, http, options
from mitmproxy.tools.web.master import WebMaster
from mitmproxy.utils import asyncio_utils

from askonce.calls.state import Exchange
from askonce.jsontext import rfc3339
from askonce.proxy.addon import Askonce

__all__ = ["ConversationContentview", "Inspector", "make_web_master"]

_KEPT = 500
"""Finished flows in the list; mitmweb itself keeps all of them for ever."""
_MARKERS = {"exact": ":zap:", "semantic": ":sparkles:", "bypass": ":heavy_minus_sign:"}
_MANAGEMENT = "management"
"""The comment of what is no call: probes, and the page."""
_PROMPT = 120
"""Characters of a prompt in the list."""
_STORED = "askonce"
"""The key in `flow.metadata`; plain values only, or mitmproxy cannot save the flow."""


def make_web_master(opts: options.Options, askonce: Askonce, port: int) -> WebMaster:
    """mitmweb with Askonce and its inspector in the chain."""
    master = WebMaster(opts, with_termlog=False)
    master.addons.add(askonce, Inspector(askonce))
    opts.update(web_port=port, web_open_browser=False)
    return master


class Inspector:
    """Annotates finished flows and forgets the oldest."""

    name = "askonce-inspector"

    def __init__(self, askonce: Askonce, kept: int = _KEPT) -> None:
        self._askonce = askonce
        self._kept = kept
        self._finished = deque[flow.Flow]()

    def load(self, _loader: object) -> None:
        contentviews.add(ConversationContentview)

    def running(self) -> None:
        if "web_columns" in ctx.options and "comment" not in ctx.options.web_columns:
            ctx.options.update(web_columns=[*ctx.options.web_columns, "comment"])
        if "view_filter" in ctx.options and not ctx.options.view_filter:
            ctx.options.update(view_filter=f"!~comment ^{_MANAGEMENT}$")
        if url := getattr(ctx.master, "web_url", ""):
            print(f"mitmweb: {url}", flush=True)  # noqa: T201  # holds the password: for the terminal, not the log

    def response(self, flow: http.HTTPFlow) -> None:
        self._annotate(flow)
        if flow.websocket is None:  # else it only begins
            self._finish(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._annotate(flow)
        self._finish(flow)

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        self._finish(flow)

    def _annotate(self, flow: http.HTTPFlow) -> None:
        if exchange := self._askonce.exchange(flow):
            flow.comment = summary(exchange)
            flow.marked = _MARKERS.get(exchange.outcome, "")
            flow.metadata[_STORED] = describe(exchange)
            if exchange.outcome == "miss" and not (exchange.lookup and exchange.lookup.nearest):
                asyncio_utils.create_task(self._compare(flow, exchange), name="compare", keep_ref=True)
        elif self._askonce.is_managed(flow):
            flow.comment = _MANAGEMENT
        if view := ctx.master.addons.get("view"):
            view.update([flow])  # which has drawn it already

    async def _compare(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Add what keeps a call apart from the nearest one that is stored."""
        if nearest := await self._askonce.runtime.life.stored_only.nearest(exchange):
            flow.metadata[_STORED]["decision"] |= {
                "nearest prompt": nearest.entry.prompt,
                "entry": nearest.entry.key,
                "differs in": [difference.part for difference in nearest.differs],
            }

    def _finish(self, flow: http.HTTPFlow) -> None:
        self._finished.append(flow)
        view = ctx.master.addons.get("view")
        while view and len(self._finished) > self._kept:
            view.remove([self._finished.popleft()])


class ConversationContentview(contentviews.Contentview):
    """The conversation of a call, and why it was answered as it was."""

    name = "Askonce"
    syntax_highlight = "yaml"

    def prettify(self, data: bytes, metadata: contentviews.Metadata) -> str:
        assert metadata.flow
        said = metadata.flow.metadata[_STORED]
        lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in said["decision"].items()]
        lines.append("conversation:")
        lines += [f"  - {role}: {json.dumps(text, ensure_ascii=False)}" for role, text in said["turns"]]
        return "\n".join(lines) + "\n"

    def render_priority(self, data: bytes, metadata: contentviews.Metadata) -> float:
        shown = metadata.flow is not None and _STORED in metadata.flow.metadata
        is_request = isinstance(metadata.http_message, http.Request)
        return 2 if shown and is_request else -1


def summary(exchange: Exchange) -> str:
    """One line for the list: "SEMANTIC 0.957 saved 812 ms · What is the capital of France?"."""
    lookup = exchange.lookup
    words = [exchange.outcome.upper()]
    if lookup and lookup.similarity is not None and exchange.outcome != "exact":
        words.append(f"{lookup.similarity:.3f}")
    if lookup and lookup.outcome != "miss" and lookup.entry:
        words.append(f"saved {lookup.entry.upstream_seconds * 1000:.0f} ms")
    elif exchange.watched:
        words.append(f"(would have been {exchange.watched})")
    elif exchange.why:
        words.append(f"({exchange.why})")
    if exchange.call and exchange.call.prompt:
        words += ["·", " ".join(exchange.call.prompt[:_PROMPT].split())]
    return " ".join(words)


def describe(exchange: Exchange) -> dict[str, object]:
    """What the content view shows, in plain values."""
    lookup, call = exchange.lookup, exchange.call
    decision: dict[str, object] = {"decision": exchange.outcome, "rule": exchange.rule.name}
    if call:
        decision |= {"wire": call.wire, "model": call.model}
        if call.exact_only:
            decision["exact only"] = call.exact_only
    decision["why"] = exchange.why
    if exchange.unkept:
        decision["not kept"] = exchange.unkept
    if lookup:
        decision |= {"similarity": lookup.similarity, "probability": lookup.probability}
        if near := lookup.entry or lookup.nearest:
            decision |= {"nearest prompt": near.prompt, "entry": near.key, "stored at": rfc3339(near.created)}
    if exchange.identity:
        decision["parts"] = dict(exchange.identity.parts)
    turns = [[turn.role, turn.text] for turn in call.turns] if call else []
    if call and not turns:
        turns = [["user", call.prompt]]
    return {"decision": {name: value for name, value in decision.items() if value not in (None, "")}, "turns": turns}
