"""Which recorded answers no test asked for. One rule: of cassettes as they lie on the disk, whoever recorded them."""

from collections.abc import Collection, Mapping
from pathlib import Path

from askonce.cache.cassette import Cassette

__all__ = ["unused"]

_SHOWN = 80
"""Characters of a prompt."""


def unused(used: Mapping[str, Collection[str]], folder: Path) -> list[str]:
    """A line for each recorded answer that was not asked for: of these cassettes, and of those beside them."""
    tops = {next(parent for parent in Path(path).parents if parent.name == "cassettes") for path in used}
    lines = []
    for file in sorted(file for top in tops for file in top.rglob("*.jsonl")):
        name = file.relative_to(folder) if file.is_relative_to(folder) else file
        for number, record in enumerate(Cassette(file, must_exist=True).records, 2):
            if record.entry.key not in used.get(str(file), ()):
                asked = record.entry.prompt[:_SHOWN]
                lines.append(f"{name}:{number}: no test asked for {record.entry.model}: {asked!r}")
    return lines
