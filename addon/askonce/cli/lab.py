"""`demo` and `bench …`: Askonce at work, and what it costs."""

import typer

from askonce.cli.options import RulesOption

__all__ = ["bench", "demo"]

bench = typer.Typer(help="Measure what Askonce costs on this machine.", no_args_is_help=True, rich_markup_mode=None)


def demo() -> None:
    """Watch an unchanged app ask a sample provider. Then ask again, in other words, as a stream, after a restart."""
    from askonce.cli.output import results
    from askonce.lab.demo import run

    raise typer.Exit(run(results()))


@bench.command()
def hit() -> None:
    """Hits beside a canned answer of stock mitmdump, in the same run."""
    from askonce.cli.output import results
    from askonce.lab.bench import hit as run

    run(results())


@bench.command()
def miss() -> None:
    """What a streamed miss adds to the first byte of the direct call."""
    from askonce.cli.output import results
    from askonce.lab.bench import miss as run

    run(results())


@bench.command()
def workers(rules: RulesOption = None) -> None:
    """Exact hits of two workers beside those of one, on a shared store."""
    from askonce.cli.output import results
    from askonce.cli.store import places
    from askonce.lab.bench_workers import workers as run

    run(results(), places(rules)[0])
