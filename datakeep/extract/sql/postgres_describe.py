"""How the server describes a query's result, before a row of it is read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from datakeep.extract.sql.faults import NotExact, QueryRefused
from datakeep.extract.sql.postgres_types import Described, around, packed_digits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.extract.sql.postgres_connection import Connection

#: pg_typeof keeps the names of domains, which the description of a result does not. No row of the query is made for
#: it: the join's condition is known to be false before it begins.
_TYPES = "SELECT unnest(ARRAY[{types}]) FROM (SELECT) AS none LEFT JOIN (\n{query}\n) AS q({names}) ON false"
#: What stands below a domain, and the element of an array; those two can lie in one another, twice at most. Every
#: step is looked up by the key of pg_type, which in a large database has a row for each of its tables, too.
_CATALOGUE = """
WITH RECURSIVE below(oid, base) AS (
    SELECT one, one FROM unnest($1::text::oid[]) AS one
    UNION ALL
    SELECT below.oid, t.typbasetype FROM below JOIN pg_type AS t ON t.oid = below.base WHERE t.typtype = 'd'
), bottom AS (
    SELECT below.oid, CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname END AS name,
           (SELECT e.oid FROM pg_type AS e WHERE e.oid = t.typelem AND e.typarray = t.oid) AS element
    FROM below JOIN pg_type AS t ON t.oid = below.base
    WHERE t.typtype <> 'd'
), below_element(oid, base) AS (
    SELECT DISTINCT element, element FROM bottom WHERE element IS NOT NULL
    UNION ALL
    SELECT b.oid, t.typbasetype FROM below_element AS b JOIN pg_type AS t ON t.oid = b.base WHERE t.typtype = 'd'
), bottom_element AS (
    SELECT b.oid, CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname END AS name
    FROM below_element AS b JOIN pg_type AS t ON t.oid = b.base
    WHERE t.typtype <> 'd'
)
SELECT one.oid::int8, format_type(one.oid, NULL), one.name::text, inner_one.name::text, one.element IS NOT NULL
FROM bottom AS one LEFT JOIN bottom_element AS inner_one ON inner_one.oid = one.element
"""


def describe(connection: Connection, query: str) -> list[Described]:
    """The columns of ``query``, in order.

    Raises:
        QueryRefused: It has no column, or two of one name.
    """
    schema = connection.schema(query)
    _refuse_names(_names(schema))
    oids = _type_oids(connection, query, len(schema))
    wanted = "{" + ",".join(map(str, sorted(set(oids)))) + "}"
    known = {row[0]: row[1:] for row in connection.rows(_CATALOGUE, wanted)}
    typmods = [_typmod(field) for field in schema]
    for at, typmod in _element_typmods(connection, query, [known[oid] for oid in oids]).items():
        typmods[at] = typmod
    described = []
    for name, oid, typmod in zip(schema.names, oids, typmods, strict=True):
        formatted, base, element, is_array = known[oid]
        described.append(Described(name, _shown(formatted, typmod), base, element, is_array, typmod))
    return described


def _names(schema: Any) -> list[str]:
    try:
        return list(schema.names)
    except UnicodeDecodeError as error:
        raise NotExact(
            f"the name of a column is no UTF-8: {error.object.decode(errors='backslashreplace')!r}",
            next_step="give it a name with AS",
        ) from None


def _refuse_names(names: Sequence[str]) -> None:
    if not names:
        raise QueryRefused("the query has no column", next_step="name the columns to keep behind SELECT")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise QueryRefused(
            f"more than one column of the query is called {', '.join(twice)}",
            next_step=_name_step(twice[0]),
        )


def _name_step(name: str) -> str:
    if name == "?column?":  # PostgreSQL's own word for a column that has none
        return "give each column that is computed a name with AS, such as: a + 1 AS next_a"
    return f"give each a name of its own, such as: a.{name} AS a_{name}"


def _type_oids(connection: Connection, query: str, count: int) -> list[int]:
    names = [f"c{number}" for number in range(1, count + 1)]
    types = ", ".join(f"pg_typeof(q.{name})::oid::int8" for name in names)
    return [
        row[0] for row in connection.rows(_TYPES.format(types=types, query=query, names=", ".join(names)))
    ]


def _element_typmods(connection: Connection, query: str, types: Sequence[tuple[Any, ...]]) -> dict[int, int]:
    """Position of each array of numerics to the typmod of its elements, which only an element shows."""
    names = [f"c{number}" for number in range(1, len(types) + 1)]
    arrays = [at for at, (_, _, element, _) in enumerate(types) if element == "numeric"]
    if not arrays:
        return {}
    schema = connection.schema(around(query, [f"q.{names[at]}[1]" for at in arrays], names))
    return {at: _typmod(field) for at, field in zip(arrays, schema, strict=True)}


def _typmod(field: Any) -> int:
    return int((field.metadata or {}).get(b"POSTGRESQL:typmod", b"-1"))


def _shown(formatted: str, typmod: int) -> str:
    """The type's name, with a numeric's digits; those of a domain stand in its definition."""
    if typmod == -1 or formatted not in ("numeric", "numeric[]"):
        return formatted
    precision, scale = packed_digits(typmod)
    return formatted.replace("numeric", f"numeric({precision},{scale})")
