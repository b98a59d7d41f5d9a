"""From a text to a statement: exactly one SELECT, or a refusal that shows the place and the way out."""

from __future__ import annotations

from sqlglot import ErrorLevel, exp

from datakeep.core.errors import SecretFound
from datakeep.core.secrets import find_secret
from datakeep.extract.sql.interface import Statement
from datakeep.extract.sql.keys import is_aggregated
from datakeep.extract.sql.one_select import check_start, check_tree
from datakeep.extract.sql.parameters import check_parameters as check_parameters  # noqa: PLC0414  handed on
from datakeep.extract.sql.parameters import parameters_from_yaml as parameters_from_yaml  # noqa: PLC0414
from datakeep.extract.sql.parameters import parameters_of as parameters_of  # noqa: PLC0414
from datakeep.extract.sql.reading import MAX_CHARACTERS, Reading, read, refuse


def parse(text: str, dialect: str) -> Statement:
    """The one SELECT in ``text``; VALUES, WITH, UNION and the like are SELECTs too.

    Nothing is sent anywhere. What is refused: no or several statements, whatever writes, locks, administers or
    reaches out of the database, parameters other than ``:name``, and what cannot be parsed.

    Args:
        text: As the user wrote it; it is kept so.
        dialect: As sqlglot names it: ``postgres``, ``sqlite``, ``duckdb`` …

    Raises:
        QueryRefused: It is not one SELECT; shows line, column, the line with a caret, and the way out.
        SecretFound: A password or token stands in it.
        UsageError: There is no such dialect.
    """
    if len(text) > MAX_CHARACTERS:
        refuse(text[:1000], 0, f"the query has more than {MAX_CHARACTERS:,} characters", "split it")
    if "\x00" in text:
        refuse(
            text.replace("\x00", " "), text.index("\x00"), "a NUL character stands in the query", "remove it"
        )
    if secret := find_secret(text):
        raise SecretFound(
            f"the query holds {secret}; queries are written down with the dataset",
            next_step="take it out: the database's own URL or password file is where it belongs",
        )
    check_start(text, dialect)
    reading = read(text, dialect)
    check_tree(reading)
    return Statement(
        text=text,
        dialect=dialect,
        normalised=_normalised(reading),
        placeholders=reading.placeholders,
        single=_is_single(reading.tree),
        ordered=bool(reading.tree.unnest().args.get("order") or reading.tree.args.get("order")),
    )


def _is_single(tree: exp.Expr) -> bool:
    query = tree.unnest()
    # A function without FROM may give many rows, as generate_series() does.
    bare = query.args.get("from_") is None and query.find(exp.Func) is None
    return isinstance(query, exp.Select) and (bare or is_aggregated(query))


def _normalised(reading: Reading) -> str:
    def colon(node: exp.Expr) -> exp.Expr:
        # Each dialect has a form of its own for a placeholder; ours is the same in all.
        return exp.Var(this=f":{node.this}") if isinstance(node, exp.Placeholder) and node.this else node

    return reading.tree.transform(colon).sql(
        dialect=reading.dialect, pretty=True, comments=False, unsupported_level=ErrorLevel.IGNORE
    )
