"""The options of ``register``, ``update`` and ``reextract`` that say how a query is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from datakeep.workflows.wanted_query import Wanted


def once(ctx: click.Context, parameter: click.Parameter, values: tuple[Any, ...]) -> Any:
    """The one value of an option that says where the data come from: the last of two is not taken in silence."""
    if len(values) > 1:
        raise click.UsageError(f"{parameter.opts[0]} is given {len(values)} times: it can be given once", ctx)
    return values[0] if values else None


parameter_option = click.option(
    "--param",
    "parameters",
    metavar="NAME[:TYPE]=VALUE",
    multiple=True,
    help="A value that is bound to :NAME in the query; may be repeated. NAME:TYPE:null is NULL.",
)
timeout_option = click.option(
    "--query-timeout", type=click.IntRange(min=1), metavar="SECONDS", help="How long the query may take."
)
_REPEATED = (("parameters", "--param"), ("as_text", "--as-text"), ("decimals", "--decimal"))
_OPTIONS = (
    click.option(
        "--sql",
        type=click.Path(path_type=Path),
        multiple=True,
        callback=once,
        metavar="FILE",
        help="Run the SELECT in this file, in the database that --database names, and take its rows as the data.",
    ),
    parameter_option,
    click.option(
        "--as-text",
        multiple=True,
        metavar="COLUMN",
        help="Keep this column as the database's own text, where Arrow cannot hold its values; may be repeated.",
    ),
    click.option(
        "--decimal",
        "decimals",
        multiple=True,
        metavar="COLUMN=PRECISION,SCALE",
        help="Make this numeric column, which has no precision of its own, a decimal; may be repeated.",
    ),
    timeout_option,
    click.option(
        "--allow-empty", is_flag=True, help="Take a query that gives no rows, too; else that is an error."
    ),
)


def extraction_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function takes what says how a query is run."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def wanted(options: dict[str, Any], stated: dict[str, Any], *, rerun: bool = False) -> Wanted | None:
    """What is to be extracted; None if no query is to be run.

    Args:
        options: Of the command line.
        stated: The facts that are stated; the database, which may hold a password, is taken out of them.
        rerun: The recorded query is run, where no file is named.

    Raises:
        click.UsageError: Options contradict each other.
    """
    from datakeep.workflows.wanted_query import Wanted

    if options["sql"] is None and not rerun:
        for name, option in (*_REPEATED, ("allow_empty", "--allow-empty")):
            if options[name]:
                raise click.UsageError(f"{option} belongs to a query that is run: --sql FILE or --rerun")
        return None
    if options["sql"] is not None and rerun:
        raise click.UsageError("--rerun runs the recorded query, --sql FILE another one: give one of the two")
    if options.get("sources"):
        raise click.UsageError("the data is the rows of the query, or SOURCE, not both")
    for field, option in (("source.query", "--query"), ("source.extracted_at", "--extracted-at")):
        if field in stated:
            raise click.UsageError(f"{option} is recorded by datakeep itself where it runs the query")
    if stated.get("source.kind", "sql") != "sql":
        raise click.UsageError("--source-kind of a query that is run is sql")
    return Wanted(
        sql=options["sql"],
        database=stated.pop("source.database", None),
        parameters=options["parameters"],
        as_text=options["as_text"],
        decimals=options["decimals"],
        timeout_s=options["query_timeout"],
        allow_empty=options["allow_empty"],
    )


def typed(options: dict[str, Any]) -> list[str]:
    """These options as they were typed, for a line to repeat."""
    line = []
    line += [f"--{name.replace('_', '-')}" for name in ("rerun", "allow_empty") if options.get(name)]
    for name, option in (("sql", "--sql"), ("query_timeout", "--query-timeout")):
        if options.get(name):
            line += [option, str(options[name])]
    for name, option in _REPEATED:
        for value in options.get(name) or ():
            line += [option, value]
    return line
