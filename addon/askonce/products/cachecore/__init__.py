"""Cachecore: OpenAI's chat completions for tenants, whose answers depend on data that change."""
