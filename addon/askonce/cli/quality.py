"""`eval …` and `tune`: how good the decisions are on labelled questions, and which setting fits them.

One rule: what is measured is the cache as rules.yaml sets it up, its embedder included.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from askonce.cli.options import AsJson, Listen, RulesOption
from askonce.settings import Settings

if TYPE_CHECKING:
    from askonce.cache import Embedder
    from askonce.products.document import Config

__all__ = ["app", "tune"]

app = typer.Typer(
    help="Measure decisions on labelled questions, beside plain cosine.", no_args_is_help=True, rich_markup_mode=None
)

File = Annotated[
    Path, typer.Argument(metavar="FILE.jsonl[.gz]", exists=True, dir_okay=False, readable=True, show_default=False)
]


class EmbedderError(ValueError):
    """There is no such embedder; the message says which there are."""


@app.command()
def pairs(
    file: File,
    max_error: Annotated[
        float | None, typer.Option(min=0.0001, max=0.9999, metavar="SHARE", help="In place of that in rules.yaml.")
    ] = None,
    embedder: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Compare with its cosine, too; may be repeated.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw coverage against error; needs askonce[plot].")
    ] = None,
    as_json: AsJson = False,
    rules: RulesOption = None,
) -> None:
    """Decide labelled pairs. Lines of {"a": …, "b": …, "label": 1 where one answer serves both, else 0, "cat": …}."""
    import asyncio

    from askonce.cache import Policy
    from askonce.cache.judge import load_judge
    from askonce.cli.output import print_json
    from askonce.cli.quality_tables import show_pairs, watching
    from askonce.quality.labelled import read_pairs
    from askonce.quality.metrics import labels_of
    from askonce.quality.plots import coverage_plot, need_matplotlib
    from askonce.quality.report import contest, pairs_report

    if plot:
        need_matplotlib(plot)
    config = _config(rules)
    found = read_pairs(file)
    bound = config.defaults.max_error if max_error is None else max_error
    own, *others = (_embedder(name) for name in (config.embedder, *(embedder or ())))
    with watching() as watch:
        decided = asyncio.run(
            contest(found, own, load_judge(config.judge), Policy(max_error=bound), beside=others, watch=watch)
        )
    report = {"file": str(file), **pairs_report(found, decided, own.name, bound)}
    if plot:
        coverage_plot(plot, decided, labels_of(found), f"{file.name}: {len(found):,} pairs")
    if as_json:
        print_json(report)
    else:
        show_pairs(report)


@app.command()
def stream(
    file: File,
    max_error: Annotated[
        list[float] | None,
        typer.Option(min=0.0001, max=0.9999, metavar="SHARE", help="May be repeated; 0.01, 0.02 and 0.05 by default."),
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(min=0, help="Of a shuffle; may be repeated.")] = None,
    as_json: AsJson = False,
    rules: RulesOption = None,
) -> None:
    """Ask a cache that starts empty, in random order. Lines of {"text": …, "cls": …}, where one class is one answer."""
    import asyncio

    from askonce.cache.judge import load_judge
    from askonce.cli.output import print_json
    from askonce.cli.quality_tables import show_stream, watching
    from askonce.quality.labelled import read_stream
    from askonce.quality.report import stream_report

    config = _config(rules)
    found = read_stream(file)
    own = _embedder(config.embedder)
    bounds = list(dict.fromkeys(max_error or (0.01, 0.02, 0.05)))
    seeds = list(dict.fromkeys(seed or (0,)))
    with watching() as watch:
        audit = config.defaults.audit
        asked = stream_report(found, own, load_judge(config.judge), bounds, seeds=seeds, audit=audit, watch=watch)
        report = asyncio.run(asked)
    report = {"file": str(file), **report}
    if as_json:
        print_json(report)
    else:
        show_stream(report)


@app.command()
def reuse(file: File, as_json: AsJson = False) -> None:
    """Tell which prompts' answers may be given again. Lines of {"text": …, "kind": lasting, volatile, act, …}."""
    from askonce.cli.output import print_json
    from askonce.cli.quality_tables import show_reuse
    from askonce.quality.labelled import read_prompts
    from askonce.quality.reuse import reuse_report

    report = {"file": str(file), **reuse_report(read_prompts(file))}
    if as_json:
        print_json(report)
    else:
        show_reuse(report)


def tune(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE.jsonl[.gz]", exists=True, dir_okay=False, readable=True, show_default=False),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Go by what the running proxy has seen, in place of a file; for each rule.")
    ] = False,
    target: Annotated[
        float | None,
        typer.Option(
            min=0.0001,
            max=0.9999,
            metavar="SHARE",
            help="The share of served answers that may be wrong: 0.02, and with --live each rule's own max_error.",
        ),
    ] = None,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.9999, metavar="SHARE", help="How sure that has to be.")
    ] = 0.95,
    as_json: AsJson = False,
    rules: RulesOption = None,
    listen: Listen = None,
) -> None:
    """Find the max_error for questions like your own. FILE is as for `eval pairs`; prints the lines for rules.yaml.

    With --live, say whether each rule should be tightened or loosened, by what was seen of it: watched and checked
    answers, near misses, verdicts, and what people said.
    """
    if live == (file is not None):
        raise typer.BadParameter("expected a file, or --live")
    if file is None:
        _tune_live(target, confidence, listen, as_json=as_json)
        return
    _tune(file, 0.02 if target is None else target, confidence, rules, as_json=as_json)


def _tune(file: Path, target: float, confidence: float, rules: Path | None, *, as_json: bool) -> None:
    import asyncio

    from askonce.cache.judge import load_judge
    from askonce.cli.output import print_json
    from askonce.cli.quality_tables import show_tuned, watching
    from askonce.quality.labelled import read_pairs
    from askonce.quality.pairs import known
    from askonce.quality.report import tune_report
    from askonce.quality.tune import tune as run

    config = _config(rules)
    found = read_pairs(file)
    own = _embedder(config.embedder)
    with watching() as watch:
        vectors = known(own, found, watch)
        tuned = asyncio.run(
            run(found, vectors, load_judge(config.judge), target=target, confidence=confidence, watch=watch)
        )
    if as_json:
        print_json(tune_report(tuned))
    else:
        show_tuned(tuned)
    if not tuned.holds:
        raise typer.Exit(1)


def _tune_live(target: float | None, confidence: float, listen: str | None, *, as_json: bool) -> None:
    from askonce.cli.client import running_proxy
    from askonce.cli.live_tables import live_report, show_live
    from askonce.cli.output import print_json

    found = running_proxy(Settings.from_env(listen=listen))("GET", "/v1/evidence", {})
    report = live_report(found["rules"], target, confidence)
    if as_json:
        print_json(report)
    else:
        show_live(report)


def _config(rules: Path | None) -> "Config":
    from askonce.products.document import Config

    return Config.load(Settings.from_env(rules=rules).rules)


def _embedder(name: str) -> "Embedder":
    from askonce.cache.embed import find_embedder

    try:
        load = find_embedder(name)
    except ValueError as error:
        raise EmbedderError(str(error)) from None
    return load()
