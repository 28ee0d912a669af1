"""How commands speak: results on stdout, everything else on stderr.

One rule: text that came from a prompt or a provider is shown, never obeyed: no markup, no control characters.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

__all__ = ["counting", "notes", "one_line", "print_json", "printable", "progress", "results", "table"]


_UNCUT = 100_000
"""Columns."""


def results() -> Console:
    """For what the command was asked for. Where no person looks at it, in a pipe or a file, nothing is cut off."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _UNCUT
    return Console(highlight=False, emoji=False, width=width)  # ":CD:" in a fingerprint is no compact disc


def notes() -> Console:
    """For progress and remarks."""
    return Console(stderr=True, highlight=False, emoji=False)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Progress on stderr, where a person sees it: to be told how many there are, and how many more are done."""
    with progress() as shown:
        task = shown.add_task(what, total=None)
        yield lambda count, more: shown.update(task, total=count, advance=more)


def progress() -> Progress:
    """Bars on stderr, where a person sees it; they are gone once it ends."""
    console = notes()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def print_json(value: Any) -> None:
    """A JSON value, indented, as it is."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=not (sys.stdout.encoding or "").lower().startswith("utf")))


def printable(text: str) -> str:
    """The text without what would make a terminal do something."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "\N{REPLACEMENT CHARACTER}" for sign in text)


def one_line(text: str) -> Text:
    """The text as a cell of a table."""
    return Text(printable(" ".join(text.split())), no_wrap=True, overflow="ellipsis")


def table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Table:
    """A plain table; columns whose name begins with `>` are aligned to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = column.startswith(">")
        made.add_column(
            column.removeprefix(">"), justify="right" if right else "left", no_wrap=right, overflow="ellipsis"
        )
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else one_line(str(cell)) for cell in row))
    return made
