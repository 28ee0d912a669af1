"""mitmproxy, and all that Askonce asks of it: the only room that knows mitmproxy."""
