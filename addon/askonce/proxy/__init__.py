"""mitmproxy, and all that Askonce asks of it: the only room that knows mitmproxy."""

from askonce.proxy.deferred import defer

defer()  # before mitmproxy is imported for the first time
