"""All commands, as the library that reads command lines has them. One rule: nothing here does anything."""

from typing import Annotated

import typer

from askonce import __version__
from askonce.cli import cache, certs, doctor, exec, keys, lab, quality, rules, serve, stats, store

__all__ = ["app"]

app = typer.Typer(
    help="A transparent semantic cache for calls to LLM providers: the provider is asked once.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich's help costs half a second, nearly all of it imports
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# What follows the command's name is the command's own, also where it looks like an option of ours.
_PASSED_ON = {"allow_interspersed_args": False}

app.command()(serve.serve)
app.command()(serve.web)
app.command("exec", context_settings=_PASSED_ON)(exec.exec_)
app.command()(exec.env)
app.command(context_settings=_PASSED_ON)(doctor.doctor)
app.command()(lab.demo)
app.command()(stats.stats)
app.add_typer(cache.app, name="cache")
app.add_typer(rules.app, name="rules")
app.add_typer(certs.app, name="certs")
app.add_typer(keys.app, name="keys")
app.add_typer(store.app, name="store")
app.add_typer(quality.app, name="eval")
app.command()(quality.tune)
app.add_typer(lab.bench, name="bench")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"askonce {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="And exit.")
    ] = False,
) -> None:
    pass
