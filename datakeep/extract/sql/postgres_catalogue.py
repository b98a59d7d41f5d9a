"""What PostgreSQL's catalogue has of the tables and functions that a query reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.extract.sql.interface import Function, Table, TableColumn
from datakeep.extract.sql.postgres_connection import failures
from datakeep.extract.sql.postgres_faults import gone

if TYPE_CHECKING:
    from datakeep.extract.sql.interface import TableKind
    from datakeep.extract.sql.postgres_connection import Connection

#: What pg_class calls what holds rows.
KINDS: dict[str, TableKind] = {
    "r": "table",
    "p": "table",
    "f": "table",
    "v": "view",
    "m": "materialized view",
}
#: A name that is none, or lies in a schema that this user may not enter, is an error to the server.
_SAVEPOINT = "datakeep_name"
_RESOLVE = "SELECT to_regclass($1::text)::oid::int8"
#: Of the one row of pg_class that is looked at: whether it is a view that is read with its reader's rights.
AS_READER = """coalesce((SELECT option_value::bool FROM pg_options_to_table(reloptions)
                 WHERE option_name = 'security_invoker'), false)"""
_TABLE = f"""
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind::text, obj_description(c.oid, 'pg_class'),
       pg_get_userbyid(c.relowner)::text, CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
       c.relrowsecurity, NOT c.relforcerowsecurity,
       {AS_READER},
       c.relkind = 'r' AND c.relhassubclass
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = $1::text::oid
"""  # noqa: S608  (all of it stands here)
_COLUMNS = """
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, col_description(a.attrelid, a.attnum)
FROM pg_attribute AS a
WHERE a.attrelid = $1::text::oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
#: Indexes of whole columns and of all rows; columns that an index only carries along (INCLUDE) are not of its key.
_UNIQUE = """
SELECT i.indexrelid::int8, i.indisprimary, a.attname::text
FROM pg_index AS i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = $1::text::oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
      AND k.place <= i.indnkeyatts
ORDER BY i.indisprimary DESC, i.indexrelid, k.place
"""
_VOLATILE = """
SELECT 1 FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE lower(p.proname) = lower($1::text) AND p.provolatile = 'v'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND CASE WHEN $2::text = '' THEN pg_function_is_visible(p.oid) ELSE lower(n.nspname) = lower($2::text) END
LIMIT 1
"""
#: An aggregate's definition is made of what says what it gives: PostgreSQL has no text of it. What an extension made
#: is told by its version, not by us.
_FUNCTIONS = """
SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
       CASE WHEN p.prokind = 'a' THEN (
           SELECT format('CREATE AGGREGATE %I.%I(%s) (%s)', n.nspname, p.proname,
               pg_get_function_identity_arguments(p.oid), concat_ws(', ',
                   'SFUNC = ' || g.aggtransfn::text, 'STYPE = ' || g.aggtranstype::regtype::text,
                   'FINALFUNC = ' || nullif(g.aggfinalfn::oid, 0)::regproc::text,
                   'INITCOND = ' || quote_literal(g.agginitval)))
           FROM pg_aggregate AS g WHERE g.aggfnoid = p.oid
       ) ELSE pg_get_functiondef(p.oid) END, pg_get_userbyid(p.proowner)::text
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE lower(p.proname) = lower($1::text) AND p.prokind IN ('f', 'w', 'a')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND CASE WHEN $2::text = '' THEN pg_function_is_visible(p.oid) ELSE lower(n.nspname) = lower($2::text) END
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                      AND d.deptype = 'e')
ORDER BY 1
"""
#: Whether somebody has made an operator, or a cast with a function: which a query calls, its text does not name.
_UNNAMED = """
SELECT 1 WHERE EXISTS (
    SELECT FROM pg_operator AS o JOIN pg_namespace AS n ON n.oid = o.oprnamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND NOT EXISTS (
        SELECT FROM pg_depend AS d
        WHERE d.classid = 'pg_operator'::regclass AND d.objid = o.oid AND d.deptype = 'e')
) OR EXISTS (
    SELECT FROM pg_cast AS c JOIN pg_proc AS p ON p.oid = c.castfunc JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND NOT EXISTS (
        SELECT FROM pg_depend AS d WHERE d.classid = 'pg_cast'::regclass AND d.objid = c.oid AND d.deptype = 'e')
)
"""


def table(connection: Connection, name: str) -> Table | None:
    """The table that a query means by ``name``; None if there is none that this user can see."""
    oid = resolved(connection, name)
    if oid is None:
        return None
    shown, kind, comment, owner, definition, *more = connection.rows(_TABLE, oid)[0]
    row_security, owner_sees_all, as_reader, inherited = more
    columns = [TableColumn(*row) for row in connection.rows(_COLUMNS, oid)]
    keys: dict[tuple[int, bool], list[str]] = {}
    for index, primary, column in connection.rows(_UNIQUE, oid):
        keys.setdefault((index, primary), []).append(column)
    return Table(
        name=shown,
        kind=KINDS.get(kind, "unknown"),
        columns=tuple(columns),
        comment=comment,
        primary_key=next((tuple(key) for (_, primary), key in keys.items() if primary), ()),
        unique=tuple(tuple(key) for (_, primary), key in keys.items() if not primary),
        definition=definition,
        owner=owner,
        row_security=row_security,
        owner_sees_all=owner_sees_all,
        as_reader=as_reader,
        inherited=inherited,
    )


def is_volatile(connection: Connection, function: str) -> bool:
    """Whether a function of this name, not one of PostgreSQL's own, is volatile; that is what none stated is."""
    schema, _, name = function.rpartition(".")
    return bool(connection.rows(_VOLATILE, name.strip('"'), schema.strip('"')))


def functions(connection: Connection, function: str) -> list[Function]:
    """The functions that a call of this name may mean, none of PostgreSQL's own or of an extension."""
    schema, _, name = function.rpartition(".")
    rows = connection.rows(_FUNCTIONS, name.strip('"'), schema.strip('"'))
    return [Function(shown, definition, owner) for shown, definition, owner in rows]


def has_unnamed(connection: Connection) -> bool:
    """Whether the database has operators or casts of somebody's own, whose functions a query calls without a name."""
    return bool(connection.rows(_UNNAMED))


def resolved(connection: Connection, name: str) -> str | None:
    """Its oid, by the search path; a name with letters that need quotes may come without them."""
    quoted = ".".join('"' + part.strip('"').replace('"', '""') + '"' for part in name.split("."))
    for written in dict.fromkeys((name, quoted)):
        connection.do(f"SAVEPOINT {_SAVEPOINT}")
        try:
            oid = connection.rows(_RESOLVE, written)[0][0]
        except failures() as error:
            if gone(error):
                raise
            connection.do(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
            oid = None
        connection.do(f"RELEASE SAVEPOINT {_SAVEPOINT}")
        if oid is not None:
            return str(oid)
    return None
