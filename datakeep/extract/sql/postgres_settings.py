"""Which settings of a PostgreSQL session say what a query means: those that URL, role or database have set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.core.secrets import find_secret, is_secret_name

if TYPE_CHECKING:
    from datakeep.extract.sql.postgres_connection import Connection

#: What text means, which table a name is, how a value is read. What only makes a query fast or slow is none of them,
#: nor is what the session sets itself (time zone, form of dates and intervals), but for the order of day and month.
_NAMED = (
    "search_path", "DateStyle", "lc_monetary", "lc_numeric", "lc_time", "default_text_search_config", "row_security",
    "standard_conforming_strings", "backslash_quote", "transform_null_equals", "array_nulls", "bytea_output",
    "xmlbinary", "xmloption", "timezone_abbreviations",
)  # fmt: skip
#: Of a running server: what the configuration of all of it says is the server's own, and not told.
_IN_FORCE = """
SELECT s.name, s.setting FROM pg_catalog.pg_settings AS s
WHERE s.name = 'search_path' OR s.source IN ('user', 'database', 'database user', 'client')
   OR (s.name = 'DateStyle' AND s.setting <> 'ISO, MDY')
"""
#: Settings of people's own, such as app.tenant, which policies and views ask for; the catalogue alone has them.
_OWN = """
SELECT DISTINCT name, current_setting(name, true)
FROM pg_catalog.pg_db_role_setting AS r
CROSS JOIN LATERAL unnest(r.setconfig) AS one
CROSS JOIN LATERAL split_part(one, '=', 1) AS name
WHERE name LIKE '%.%' AND current_setting(name, true) IS NOT NULL
  AND r.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))
  AND r.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
ORDER BY 1
"""


def settings_of(connection: Connection) -> dict[str, str]:
    """Name and value of each, in the order of their names; none that holds a secret."""
    found = {name: value for name, value in connection.rows(_IN_FORCE) if name in _NAMED}
    found |= dict(connection.rows(_OWN))
    return {
        name: found[name]
        for name in sorted(found)
        if not (is_secret_name(name.rpartition(".")[2]) or find_secret(found[name]))
    }
