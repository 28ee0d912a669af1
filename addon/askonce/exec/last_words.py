"""What a process said last. One rule: this module imports nothing, as it is read by tests that have no time."""

__all__ = ["last_words"]


def last_words(said: str) -> str:
    """The last thing that a proxy said of itself, which may be several lines; else its last line."""
    lines = said.strip().splitlines()
    begins = [number for number, line in enumerate(lines) if line.startswith("askonce: ")]
    return "\n".join(lines[begins[-1] if begins else -1 :]).removeprefix("askonce: ")
