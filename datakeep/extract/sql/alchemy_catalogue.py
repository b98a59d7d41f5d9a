"""What SQLAlchemy's inspector finds of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datakeep.extract.sql.interface import Table, TableColumn
from datakeep.extract.sql.qualified import split

if TYPE_CHECKING:
    from collections.abc import Callable


def table_of(inspector: Any, name: str) -> Table | None:
    """The table or view of this name, as a query writes it; None if it cannot be seen."""
    import sqlalchemy

    schema, bare = split(name)
    home = schema or None
    try:
        columns = inspector.get_columns(bare, schema=home)
    except sqlalchemy.exc.NoSuchTableError:
        return None
    ask = _Asker(inspector, bare, home)
    view = bare in ask.of(inspector.get_view_names, schema=home)
    key = ask.about(inspector.get_pk_constraint).get("constrained_columns") or []
    return Table(
        f"{schema or inspector.default_schema_name}.{bare}",
        "view" if view else "table",
        tuple(_column(inspector, column) for column in columns),
        comment=ask.about(inspector.get_table_comment).get("text"),
        primary_key=tuple(key),
        unique=_unique(ask, inspector),
        definition=ask.of(inspector.get_view_definition, bare, schema=home) or None if view else None,
    )


class _Asker:
    """Questions that a dialect may have no answer to; it then counts as empty."""

    def __init__(self, inspector: Any, name: str, schema: str | None) -> None:
        self._inspector = inspector
        self._name = name
        self._schema = schema

    def about(self, question: Callable[..., Any]) -> Any:
        """One that is asked of the table."""
        return self.of(question, self._name, schema=self._schema) or {}

    @staticmethod
    def of(question: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """One that is asked of anything."""
        import sqlalchemy

        try:
            return question(*arguments, **named)
        except (
            NotImplementedError,
            sqlalchemy.exc.NoSuchTableError,
            sqlalchemy.exc.UnsupportedCompilationError,
        ):
            return []


def _column(inspector: Any, column: dict[str, Any]) -> TableColumn:
    import sqlalchemy

    try:
        kind = column["type"].compile(dialect=inspector.bind.dialect)
    except sqlalchemy.exc.CompileError:
        kind = str(column["type"].__visit_name__)
    return TableColumn(column["name"], kind, bool(column.get("nullable", True)), column.get("comment"))


def _unique(ask: _Asker, inspector: Any) -> tuple[tuple[str, ...], ...]:
    found = [constraint["column_names"] for constraint in ask.about(inspector.get_unique_constraints) or []]
    found += [
        index["column_names"] for index in ask.about(inspector.get_indexes) or [] if index.get("unique")
    ]
    return tuple(dict.fromkeys(tuple(names) for names in found if None not in names))
