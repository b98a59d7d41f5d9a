"""Functions that write, administer, wait, or reach out of the database: the wall before a read-only transaction.

No such list can be whole: any function that a database's owners made may write. It is here for an early refusal that
says why; the transaction in which a query runs refuses the rest.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Refused(NamedTuple):
    """Functions of one kind.

    Attributes:
        names: A pattern that a whole name in lower case fulfils.
        what: What they do, as the end of a sentence.
        dialects: Which have them; empty: the name means the same everywhere, or does not exist.
    """

    names: str
    what: str
    dialects: frozenset[str] = frozenset()


_DUCKDB = frozenset({"duckdb"})
_MYSQL = frozenset({"mysql", "doris", "starrocks", "singlestore"})
_REACHES = "reaches out of the database"
_OTHER = "runs SQL on another database"
_TEXT_QUERY = "runs a query that is a text"
_TEXT_NAME = "makes a table's name of a text"
#: What hides which tables are read: the way out is another one.
HIDING = frozenset({_TEXT_QUERY, _TEXT_NAME})

_FUNCTIONS = (
    Refused(r"nextval|setval", "moves a sequence on"),
    Refused(r"set_config|setseed", "changes the session"),
    Refused(
        r"pg_read_\w+|pg_stat_file|pg_ls_\w+|pg_file_\w+|pg_current_logfile", "reaches the server's files"
    ),
    Refused(
        r"lo_(import|export|creat|create|unlink|put|get|from_bytea|open|close|truncate|truncate64)|loread|lowrite",
        "reads or writes large objects, or the server's files",
    ),
    Refused(r"dblink\w*|postgres_fdw_\w+|(postgres|mysql|sqlite)_(execute|query)", _OTHER),
    Refused(
        r"pg_(terminate|cancel)_backend|pg_reload_conf|pg_rotate_logfile\w*|pg_promote|pg_switch_(wal|xlog)"
        r"|pg_(create|drop|replication|logical|copy_\w+_slot|backup|wal_replay)_\w+|pg_(start|stop)_backup"
        r"|pg_stat_reset\w*|pg_stat_statements_reset|pg_import_system_collations|pg_log_\w+|pg_copy_\w+_replication_slot",
        "administers the server",
    ),
    Refused(
        r"pg_(try_)?advisory\w*|get_lock|release_lock|release_all_locks|sp_getapplock",
        "takes or frees locks",
    ),
    Refused(r"pg_notify|pg_sleep\w*|sleep|benchmark", "waits for others, or wakes them"),
    Refused(r"query_to_xml\w*|cursor_to_xml\w*|ts_stat|dbms_xmlgen", _TEXT_QUERY),
    Refused(r"query|query_table", _TEXT_QUERY, _DUCKDB),
    Refused(r"identifier", _TEXT_NAME, frozenset({"snowflake", "databricks", "spark"})),
    Refused(r"getenv", "reads the environment, where passwords are", _DUCKDB),
    Refused(r"which_secret|duckdb_secrets", "reads the stored passwords", _DUCKDB),
    Refused(
        r"load_extension|writefile|readfile|edit|fts3_tokenizer",
        "loads code, or reaches this machine's files",
        frozenset({"sqlite"}),
    ),
    Refused(
        r"load_file|sys_exec|sys_eval|(master|source)_pos_wait",
        "reaches the server's files or programs",
        _MYSQL,
    ),
    Refused(r"external_query", _OTHER, frozenset({"bigquery"})),
    Refused(r"system\$\w+", "administers the account", frozenset({"snowflake"})),
    Refused(r"openrowset|openquery|opendatasource|xp_\w+|sp_\w+", _REACHES, frozenset({"tsql", "fabric"})),
    Refused(r"remote|remotesecure|cluster", _REACHES, frozenset({"clickhouse"})),
    Refused(r"http|http_\w+|urlopen", _REACHES, frozenset({"postgres", "redshift", "duckdb", "sqlite"})),
)
#: Oracle's packages, whose names stand before a dot; those that only compute are not among them.
_PACKAGES = re.compile(
    r"utl_(http|file|smtp|tcp|inaddr|mail|dbws)|httpuritype"
    r"|dbms_(?!(random|lob|crypto|utility|metadata|rowid)$)\w+"
)


def what_it_does(function: str, dialect: str) -> str | None:
    """What a function does that a SELECT must not, as the end of a sentence; None if nothing is known of it."""
    name = function.lower()
    for one in _FUNCTIONS:
        if (not one.dialects or dialect in one.dialects) and re.fullmatch(one.names, name):
            return one.what
    return None


def is_refused_package(name: str, dialect: str) -> bool:
    """Whether ``name`` is a package of Oracle's that reaches out, or changes something."""
    return dialect == "oracle" and _PACKAGES.fullmatch(name.lower()) is not None
