"""Askonce: a transparent semantic cache for calls to LLM providers."""

__version__ = "0.1.0"
