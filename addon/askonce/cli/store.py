"""`store`: the database that several proxies share."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from askonce.cli.options import AsJson, Data, RulesOption
from askonce.settings import Settings, SettingsError

if TYPE_CHECKING:
    from askonce.cache.store import SharedPlace

__all__ = ["app", "places"]

app = typer.Typer(help="The database that several proxies share.", no_args_is_help=True, rich_markup_mode=None)
Partitions = Annotated[int, typer.Option(min=0, max=1024, help="So many parts of each table; 0 for whole ones.")]


def places(rules: Any) -> "list[SharedPlace]":
    """That of the answers, and that of the named stores."""
    from askonce.products.document import Config
    from askonce.rules import ConfigError

    settings = Settings.from_env(rules=rules)
    place = Config.load(settings.rules).cache.place()
    if place is None:
        raise ConfigError(f"{settings.rules}: expected cache.url, the database to share; there is none")
    return [place, place.beside("named_stores")]


@app.command()
def check(rules: RulesOption = None, as_json: AsJson = False) -> None:
    """Whether the database can be used, and what is in it."""
    from askonce.cache.store.opening import upkeep
    from askonce.cli.output import print_json, results

    found = [(place, upkeep().check(place)) for place in places(rules)]
    if as_json:
        print_json({place.schema: asdict(condition) for place, condition in found})
        return
    console = results()
    server = found[0][1]
    vectors = server.pgvector or "missing: CREATE EXTENSION vector"
    console.print(f"PostgreSQL {server.server}, pgvector {vectors}, {1000 * server.round_trip:.1f} ms a round trip")
    for place, one in found:
        tables = f"schema {one.schema}, {one.entries} entries, {one.proxies} proxies" if one.schema else "no tables yet"
        console.print(f"{place.schema}: {tables}", markup=False)


@app.command()
def migrate(rules: RulesOption = None, partitions: Partitions = 0) -> None:
    """Make the tables, or bring them up to this Askonce. A proxy does so at its start as well."""
    from askonce.cache.store.opening import upkeep

    for place in places(rules):
        before, after = upkeep().migrate(place, partitions=partitions)
        typer.echo(f"{place.schema}: {f'schema {after} already' if before == after else f'schema {before} -> {after}'}")


@app.command()
def ddl(rules: RulesOption = None, partitions: Partitions = 0) -> None:
    """Print the statements that make the tables, for somebody who may."""
    from askonce.cache.store.opening import upkeep

    for place in places(rules):
        for statement in upkeep().statements(place, partitions=partitions):
            typer.echo(f"{statement};")


@app.command()
def copy(
    to: Annotated[str, typer.Option(metavar="WHERE", help="database or folder.")],
    rules: RulesOption = None,
    data: Data = None,
) -> None:
    """Copy all answers between the data folder and the database. One that was broken off goes on when begun again."""
    from askonce.cache.store.copying import copy_between
    from askonce.cli.output import counting
    from askonce.products.document import Config

    if to not in ("database", "folder"):
        raise SettingsError(f"--to: expected database or folder; got {to!r}")
    settings = Settings.from_env(rules=rules, data=data)
    limits = Config.load(settings.rules).cache.limits()
    named = settings.data / "named-stores"
    for place, folder in zip(places(rules), (settings.data, named), strict=True):
        if to == "database" and not (folder / "askonce.db").is_file():
            typer.echo(f"{folder}: no answers")
            continue
        with counting(place.schema) as passed:
            done = copy_between(folder, place, limits, into_database=to == "database", passed=passed)
        typer.echo(
            f"{place.schema}: {done.answers} answers copied, {done.there} there already, {done.left_out} too large, "
            f"{done.observations} observations, {done.pairs} wrong pairs"
        )
