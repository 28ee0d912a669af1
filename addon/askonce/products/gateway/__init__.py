"""Prometheus Gateway: OpenAI's chat completions for the models of three providers, with keys of its own."""
