"""BigQuery, through its ADBC driver. Untried against an account."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from datakeep.core.errors import UsageError
from datakeep.extract.sql.interface import Snapshot, Table, TableColumn
from datakeep.extract.sql.qualified import split
from datakeep.extract.sql.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from datakeep.extract.sql.interface import TableKind
    from datakeep.extract.sql.warehouse import WarehouseSession

_PREFIX = "adbc.bigquery.sql."
_AUTH = f"{_PREFIX}auth_type"
_NAME = re.compile(r"[A-Za-z0-9_:.-]+")
_KINDS: dict[str, TableKind] = {"VIEW": "view", "MATERIALIZED VIEW": "materialized view"}
_TABLES = """
    SELECT t.table_type, t.ddl, o.option_value
    FROM {home}.INFORMATION_SCHEMA.TABLES t LEFT JOIN {home}.INFORMATION_SCHEMA.TABLE_OPTIONS o
      ON o.table_name = t.table_name AND o.option_name = 'description'
    WHERE t.table_name = ?
"""
_COLUMNS = """
    SELECT c.column_name, c.data_type, c.is_nullable = 'YES', p.description
    FROM {home}.INFORMATION_SCHEMA.COLUMNS c LEFT JOIN {home}.INFORMATION_SCHEMA.COLUMN_FIELD_PATHS p
      ON p.table_name = c.table_name AND p.field_path = c.column_name
    WHERE c.table_name = ? ORDER BY c.ordinal_position
"""
_KEYS = """
    SELECT column_name FROM {home}.INFORMATION_SCHEMA.KEY_COLUMN_USAGE
    WHERE table_name = ? AND constraint_name LIKE '%.pk$' ORDER BY ordinal_position
"""


class BigqueryDatabase(Warehouse):
    """``bigquery://project/dataset?credentials_path=…&location=…``; without a path, Google's default credentials."""

    what, extra, package = "BigQuery", "bigquery", "adbc_driver_bigquery"
    place = re.compile(r" at \[(?P<line>\d+):(?P<column>\d+)\]")
    first_column = 1
    types: ClassVar[Mapping[str, str]] = {
        "text": "STRING", "integer": "INT64", "decimal": "NUMERIC", "double": "FLOAT64", "boolean": "BOOL",
        "date": "DATE", "timestamp": "TIMESTAMP",
    }  # fmt: skip

    def options(self) -> dict[str, str]:
        """The driver's options."""
        parts = urlsplit(self.address.connect)
        project, dataset = unquote(parts.netloc), unquote(parts.path.strip("/"))
        if not project:
            raise UsageError(
                f"{self.address.shown} names no project", next_step="write bigquery://PROJECT/DATASET"
            )
        options = {f"{_PREFIX}project_id": project, _AUTH: f"{_AUTH}.auth_bigquery"}
        if dataset:
            options[f"{_PREFIX}dataset_id"] = dataset
        for name, value in parse_qsl(parts.query):
            if name == "location":
                options[f"{_PREFIX}location"] = value
            elif name == "credentials_path":
                options |= {_AUTH: f"{_AUTH}.json_credential_file", f"{_PREFIX}auth_credentials": value}
            else:
                raise UsageError(
                    f"{self.address.shown}: {name} is no parameter that is known",
                    next_step="known are: credentials_path, location",
                )
        return options

    def statement_options(self, timeout_s: int | None) -> dict[str, str | int]:
        """Standard SQL, names of tables within the dataset, values by place."""
        options = self.options()
        found: dict[str, str | int] = {
            f"{_PREFIX}query.parameter_mode": f"{_PREFIX}query.parameter_mode_positional"
        }
        if dataset := options.get(f"{_PREFIX}dataset_id"):
            found |= {
                f"{_PREFIX}query.default_project_id": options[f"{_PREFIX}project_id"],
                f"{_PREFIX}query.default_dataset_id": dataset,
            }
        if timeout_s is not None:
            found[f"{_PREFIX}query.job_timeout"] = timeout_s * 1000
        return found

    def begin(self, session: WarehouseSession) -> tuple[str, Snapshot]:
        """BigQuery has no sessions that only read; a job of one SELECT sees one snapshot."""
        [(now,)] = session.rows("SELECT FORMAT_TIMESTAMP('%Y-%m-%dT%H:%M:%E6S', CURRENT_TIMESTAMP())")
        began = datetime.fromisoformat(now).replace(tzinfo=UTC)
        return "BigQuery", Snapshot("snapshot: one statement sees one snapshot", began)

    def tables(self, session: WarehouseSession, names: Collection[str]) -> dict[str, Table]:
        """What INFORMATION_SCHEMA has of each name."""
        options = self.options()
        found = {}
        for name in names:
            qualifier, bare = split(name if name.count("`") != 2 else name.replace("`", ""))
            project, _, dataset = qualifier.rpartition(".")
            dataset = dataset or options.get(f"{_PREFIX}dataset_id", "")
            if not dataset:
                continue
            home = f"`{_named(project or options[f'{_PREFIX}project_id'])}`.`{_named(dataset)}`"
            rows = session.rows(_TABLES.format(home=home), [bare])
            for kind, ddl, description in rows[:1]:
                keys = session.rows(_KEYS.format(home=home), [bare])
                found[name] = Table(
                    f"{dataset}.{bare}",
                    _KINDS.get(kind, "table"),
                    tuple(TableColumn(*row) for row in session.rows(_COLUMNS.format(home=home), [bare])),
                    comment=_literal(description),
                    primary_key=tuple(key for (key,) in keys),
                    definition=ddl if kind in _KINDS else None,
                )
        return found


def _named(part: str) -> str:
    """A project's or dataset's name, which goes into the text of a question: nothing else passes."""
    if not _NAME.fullmatch(part):
        raise UsageError(f"{part!r} is no name of BigQuery", next_step="correct the URL or the query")
    return part


def _literal(text: str | None) -> str | None:
    """TABLE_OPTIONS has a description as a literal of SQL."""
    return text[1:-1].replace('\\"', '"').replace("\\n", "\n") if text and text[0] == '"' else text
