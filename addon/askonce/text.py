"""Text as callers send it, made into text that can be written down."""

__all__ = ["encodable"]


def encodable(text: str) -> str:
    """The text with a "?" in place of each lone surrogate: JSON allows those in a string, and UTF-8 has none."""
    return text.encode(errors="replace").decode()
