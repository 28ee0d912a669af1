"""Programs behind the proxy: what their environment needs, and a proxy for as long as they run."""
