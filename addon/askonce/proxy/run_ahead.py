"""Answers of which more is asked for although their own callers do not read: identical calls wait for what is to come.

Otherwise a provider sends no more than its caller takes (`backpressure`, `http2`), and whoever leads a flight without
reading would hold up all who follow him.

One rule: what is kept for such a caller is no more than what is read along of his answer, and that is counted.
"""

import asyncio
from collections.abc import Iterator

from mitmproxy.proxy import layer, server
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http

from askonce.proxy.flow_state import Recorder

__all__ = ["LOOK", "layers_of", "may_run_ahead", "streams_ahead", "unsent"]

LOOK = 0.5
"""Seconds between two looks at whether somebody has come to wait for a provider who is held up."""
_SLACK = 1 << 20
"""Bytes that a connection may leave besides: frames, TLS records and what came before."""


def layers_of(top: layer.Layer) -> Iterator[layer.Layer]:
    """All of a client's connections, each once."""
    seen, left = set[int](), [top.context.layers]
    while left:
        for each in left.pop():
            if id(each) in seen:
                continue
            seen.add(id(each))
            yield each
            if isinstance(each, http.HttpLayer):
                left += [below.context.layers for below in (*each.connections.values(), *each.streams.values())]


def may_run_ahead(context: Context, stream_id: int) -> bool:
    """Whether one stream of a client's may. `context`: that of either side's connection."""
    above = next((each for each in reversed(context.layers) if isinstance(each, http.HttpLayer)), None)
    stream = above and above.streams.get(stream_id)
    return bool(stream and _runs_ahead(stream))


def streams_ahead(handler: server.ConnectionHandler) -> bool:
    """Whether a client who leaves what is sent to him may be sent more."""
    streams = (each for each in layers_of(handler.layer) if isinstance(each, http.HttpStream))
    size = sum(size for each in streams if (size := _runs_ahead(each)))
    return bool(size) and unsent(handler) < size + _SLACK


def unsent(handler: server.ConnectionHandler) -> int:
    """Bytes that were sent to a client and that the system has not taken yet."""
    io = handler.transports.get(handler.client)
    return io.writer.transport.get_write_buffer_size() if io and isinstance(io.writer, asyncio.StreamWriter) else 0


def _runs_ahead(stream: http.HttpStream) -> int:
    """Bytes that were read along of a stream's answer, where others wait for more of it and there is room; else 0."""
    recorder = stream.flow.response and stream.flow.response.stream
    return recorder.runs_ahead() if isinstance(recorder, Recorder) else 0
