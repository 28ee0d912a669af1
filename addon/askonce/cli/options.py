"""The options that several commands share, and what they make of them."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "COMMAND",
    "AsJson",
    "CassetteOption",
    "Certs",
    "Data",
    "Listen",
    "LogFormatOption",
    "ModeOption",
    "RecordErrors",
    "RulesOption",
]

COMMAND = "A program and its arguments, after --, as in: -- python app.py"

Listen = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="Where the proxy listens; 127.0.0.1:8080 by default.", envvar="ASKONCE_LISTEN"
    ),
]
RulesOption = Annotated[
    Path | None,
    typer.Option(
        "--rules", metavar="FILE", help="./rules.yaml by default, or the rules that ship.", envvar="ASKONCE_RULES"
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where answers are kept; by default in data of a checkout, else where the platform keeps your data.",
        envvar="ASKONCE_DATA",
    ),
]
Certs = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where the certificates are; by default in certs beside the answers.",
        envvar="ASKONCE_CERTS",
    ),
]
ModeOption = Annotated[
    str | None,
    typer.Option(
        metavar="MODE",
        help="record: ask always, keep every answer. replay: answer what is known, record the rest. "
        "strict: answer identical calls, ask nothing.",
        envvar="ASKONCE_MODE",
    ),
]
CassetteOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="With --mode: keep answers in this file, not in --data.", envvar="ASKONCE_CASSETTE"
    ),
]
RecordErrors = Annotated[
    bool, typer.Option("--record-errors", help="With --cassette: record what a provider answers with an error, too.")
]
LogFormatOption = Annotated[
    str | None,
    typer.Option(metavar="FORMAT", help="text for people, by default; json for programs.", envvar="ASKONCE_LOG_FORMAT"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
