"""mitmproxy's HTTP stream with one thing more: where a provider fails, the caller may be sent an answer of ours.

One rule: only before the caller was sent anything. mitmproxy writes its own page of HTML for a connection that
failed, which no product's client expects; here an `error` hook that sets `flow.response` has it sent instead.
"""

from typing import Any

from mitmproxy.http import Response
from mitmproxy.proxy import layer
from mitmproxy.proxy.layers import http
from mitmproxy.proxy.layers.http import _events as events

__all__ = ["install"]


class AnsweringStream(http.HttpStream):
    def handle_protocol_error(
        self, event: events.RequestProtocolError | events.ResponseProtocolError
    ) -> layer.CommandGenerator[None]:
        before = self.flow.response
        nothing_sent = before is None or self.server_state == self.state_consume_response_body
        steps = super().handle_protocol_error(event)
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration:
                return
            answer = None
            told = isinstance(step, http.SendHttp) and step.event is event and step.connection is self.context.client
            if told and nothing_sent and self.flow.response and self.flow.response is not before:
                yield from self._send(self.flow.response)
            else:
                answer = yield step

    def _send(self, response: Response) -> layer.CommandGenerator[None]:
        client, content = self.context.client, response.raw_content
        yield http.SendHttp(events.ResponseHeaders(self.stream_id, response, not content), client)
        if content:
            yield http.SendHttp(events.ResponseData(self.stream_id, content), client)
        yield http.SendHttp(events.ResponseEndOfMessage(self.stream_id), client)


def install() -> None:
    """Have mitmproxy make streams of this kind. It looks the name up for each stream (12.2.3)."""
    http.HttpStream = AnsweringStream  # type: ignore[misc]
