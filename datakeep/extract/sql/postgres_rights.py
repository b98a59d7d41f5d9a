"""Who has no right to read what, as PostgreSQL's catalogue says: a user, or the owner of a view or function."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from datakeep.extract.sql.postgres_catalogue import AS_READER, KINDS, resolved

if TYPE_CHECKING:
    from collections.abc import Collection

    from datakeep.extract.sql.postgres_connection import Connection

#: Who reads what, from what a query names through views: as the reader (no role), also through a view between that
#: reads as its reader, or as a view's owner.
_LACKING = f"""
WITH RECURSIVE reads (oid, place, view, role) AS (
    SELECT named, 0, NULL::oid, NULL::oid FROM unnest($1::text::oid[]) AS named
    UNION
    SELECT d.refobjid, d.refobjsubid, CASE WHEN NOT o.as_reader THEN v.oid END,
           CASE WHEN NOT o.as_reader THEN v.relowner END
    FROM reads AS r
    JOIN pg_class AS v ON v.oid = r.oid AND v.relkind = 'v'
    JOIN pg_rewrite AS w ON w.ev_class = v.oid
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                       AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> v.oid
    CROSS JOIN LATERAL (SELECT {AS_READER} AS as_reader) AS o
)
SELECT c.relkind::text, quote_ident(n.nspname) || '.' || quote_ident(c.relname), pg_get_userbyid(c.relowner)::text,
       (SELECT quote_ident(s.nspname) || '.' || quote_ident(v.relname)
        FROM pg_class AS v JOIN pg_namespace AS s ON s.oid = v.relnamespace WHERE v.oid = r.view),
       CASE WHEN r.role IS NOT NULL THEN pg_get_userbyid(r.role)::text END
FROM reads AS r
JOIN pg_class AS c ON c.oid = r.oid AND c.relname = $2::text AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_roles AS me ON me.rolname = current_user
CROSS JOIN LATERAL (SELECT coalesce(r.role, me.oid) AS id) AS who
WHERE NOT has_table_privilege(who.id, c.oid, 'SELECT')
      AND (r.role IS NULL
           OR CASE WHEN r.place > 0 THEN NOT has_column_privilege(who.id, c.oid, r.place::int2, 'SELECT')
                   ELSE NOT has_any_column_privilege(who.id, c.oid, 'SELECT') END)
ORDER BY r.role IS NOT NULL, 2, 4
"""  # noqa: S608  (all of it stands here)
#: By the text of a function, which must name the table, and no view through which it may be read instead.
_LACKING_WITHIN = """
SELECT c.relkind::text, format('%I.%I', n.nspname, c.relname), pg_get_userbyid(c.relowner)::text,
       f.oid::regprocedure::text, CASE WHEN f.prosecdef THEN pg_get_userbyid(f.proowner)::text END
FROM pg_proc AS f
JOIN pg_class AS c ON c.relname = $3::text AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_roles AS me ON me.rolname = current_user
WHERE (f.oid::regprocedure::text = $1::text OR f.proname = $2::text)
      AND strpos(f.prosrc, c.relname) > 0
      AND NOT EXISTS (
          SELECT FROM pg_depend AS d JOIN pg_rewrite AS w ON w.oid = d.objid JOIN pg_class AS v ON v.oid = w.ev_class
          WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
                AND v.oid <> c.oid AND strpos(f.prosrc, v.relname) > 0)
      AND NOT has_table_privilege(CASE WHEN f.prosecdef THEN f.proowner ELSE me.oid END, c.oid, 'SELECT')
ORDER BY 2, 4
"""
_OWNERS = {
    "table": """
SELECT format('%I.%I', n.nspname, c.relname), pg_get_userbyid(c.relowner)::text
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = $1::text AND c.relkind IN ('r', 'p', 'f', 'v', 'm') AND NOT has_table_privilege(c.oid, 'SELECT')
ORDER BY 1
""",
    "schema": """
SELECT quote_ident(nspname), pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = $1::text
""",
    "function": """
SELECT oid::regprocedure::text, pg_get_userbyid(proowner)::text
FROM pg_proc WHERE proname = $1::text AND NOT has_function_privilege(oid, 'EXECUTE') ORDER BY 1
""",
}


class Lacking(NamedTuple):
    """What somebody has no right to.

    Attributes:
        kind: What it is.
        name: With its schema.
        owner: Who can grant it.
        through: The view or function through which it is read with the rights of its owner.
        role: That owner; None where it is read with the rights of this user.
    """

    kind: str
    name: str
    owner: str
    through: str | None = None
    role: str | None = None


def owners(connection: Connection, kind: str, name: str) -> list[Lacking]:
    """Each thing of this kind and name that this user has no right to."""
    sql = _OWNERS.get({"relation": "table", "view": "table", "materialized view": "table"}.get(kind, kind))
    return [Lacking(kind, *row) for row in connection.rows(sql, name)] if sql else []


def lacking(connection: Connection, names: Collection[str], denied: str) -> list[Lacking]:
    """Which table of the name ``denied`` somebody may not read, by whose rights a query reads it.

    Args:
        connection: In a transaction.
        names: What the query names.
        denied: As the server says it, without a schema.
    """
    oids = [oid for name in names if (oid := resolved(connection, name)) is not None]
    rows = connection.rows(_LACKING, "{" + ",".join(oids) + "}", denied) if oids else []
    return [
        Lacking(KINDS.get(kind, "table"), name, owner, view and f"the view {view}", role)
        for kind, name, owner, view, role in rows
    ]


def lacking_within(connection: Connection, called: str, name: str, denied: str) -> list[Lacking]:
    """The tables of the name ``denied`` that a function may not read.

    Args:
        connection: In a transaction.
        called: The function with the types of its arguments, as the server says it; empty if it does not.
        name: Its name alone; empty if ``called`` is known.
        denied: As the server says it, without a schema.
    """
    rows = connection.rows(_LACKING_WITHIN, called, name, denied)
    return [
        Lacking(KINDS.get(kind, "table"), table, owner, role and f"the function {function}", role)
        for kind, table, owner, function, role in rows
    ]
