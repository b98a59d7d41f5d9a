"""Running a query, so that what is recorded of it cannot differ from what happened.

The way of the rows: the SQL's text, found to be one SELECT → one read-only transaction → Parquet parts in a
temporary folder, which then are the source of a version like any other. What is cancelled or fails leaves nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from datakeep.repository.scratch import scratch
from datakeep.workflows import facts
from datakeep.workflows.extraction_record import (
    Withholding,
    dictionary,
    former_names,
    moment,
    notes,
    recorded,
    refreshed,
    stated_parameter,
)
from datakeep.workflows.extraction_rows import rows_said
from datakeep.workflows.query_secrets import refuse_in_options
from datakeep.workflows.query_words import (
    Note,
    advice_notes,
    folded,
    no_rows,
    personal_columns,
    personal_note,
    row_notes,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from datakeep.core.progress import Progress
    from datakeep.extract.counting import Counting
    from datakeep.workflows.wanted_query import Query

_FIELDS = ("query", "dialect", "database", "parameters", "extracted_at", "extracted_by", "rows", "extraction")


@dataclass(frozen=True, slots=True)
class Extracted:
    """The rows, and what there is to say of them.

    Attributes:
        folder: Holds the Parquet parts, and nothing else.
        rows: How many.
        source: The fields of the manifest's ``source`` that the tool knows.
        columns: Name of a column of the result to ``meaning`` and ``key``, as far as the catalogue tells.
        query: That was run.
        said: What a person should know: what cannot be derived again, and types that were changed.
        counted: What was counted of the rows for a profile, if one is wanted.
    """

    folder: Path
    rows: int
    source: dict[str, Any]
    columns: dict[str, dict[str, Any]]
    query: Query
    said: tuple[Note, ...]
    counted: Counting | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """All that there is to say, a sentence each."""
        return (*self.query.doubts, *(one.text for one in self.said))

    def said_before(self, source: Mapping[str, Any] | None) -> set[str]:
        """The keys of what was said when the same query ran for a version whose ``source`` this is; else none."""
        record = (source or {}).get("extraction")
        if self.query.recorded is None or record is None:
            return set()
        rows = row_notes(self.query, (source or {}).get("rows") or 0)
        return {*record.get("advice", ()), *record.get("guessed", ()), *notes(record), *rows}

    @property
    def renamed(self) -> Mapping[str, Collection[str]]:
        """Columns of the result (in lower case) that had other names where they came from, and those."""
        return former_names(self.source, self.query.text)

    def personal_note(
        self,
        document: Mapping[str, Any],
        before: Mapping[str, Any] | None = None,
        renamed_before: Mapping[str, Collection[str]] | None = None,
    ) -> Iterator[str]:
        """What to say of columns whose names suggest people, that the version before, if any, did not have.

        Args:
            document: The manifest.
            before: That of the version before.
            renamed_before: Columns of that version (in lower case) that had other names before, and those.
        """
        stated = (before or {}).get("columns")
        names = [column.get("name") for column in stated] if isinstance(stated, list) else []
        known = [name for name in names if name]
        said = personal_columns(known, renamed_before or {})
        names = [column["name"] for column in self.source["extraction"]["columns"]]
        found = [one for one in personal_columns(names, self.renamed) if one not in said]
        note = personal_note(found, facts.get(document, "privacy.personal"))
        yield from [note] if note else []

    def describe(self, document: dict[str, Any], before: Mapping[str, Any] | None = None) -> tuple[str, ...]:
        """Fill in what the catalogue says of the columns, where nobody has stated it.

        Args:
            document: The manifest, whose columns are those of the version before, as far as they are the same.
            before: ``source.extraction`` of that version: what the catalogue said then is not what a person stated.

        Returns:
            What the catalogue says anew of a column of which a person has stated something else, a sentence each.
        """
        known = (before or {}).get("dictionary")
        return tuple(refreshed(document.get("columns") or [], self.columns, known))


def state_query(document: dict[str, Any], query: Query, *, by: str, now: datetime) -> None:
    """Put into the manifest what is known before the query is run, so that missing facts are asked for first.

    Raises:
        InvalidFile: A parameter holds what cannot be written down.
    """
    facts.put(document, "source.kind", "sql")
    facts.put(document, "source.query", query.place)
    facts.put(document, "source.database", query.database.address.shown)
    facts.put(document, "source.extracted_at", now.isoformat(timespec="seconds"))
    facts.put(document, "source.extracted_by", by)
    if query.parameters:
        stated = {name: stated_parameter(name, one) for name, one in query.parameters.items()}
        facts.check_writable({"source.parameters": stated})
        facts.put(document, "source.parameters", stated)


def state_extracted(document: dict[str, Any], done: Extracted) -> None:
    """Put into the manifest what the tool knows of the query that it ran; nothing older of it stays."""
    for name in _FIELDS:
        if name in done.source:
            facts.put(document, f"source.{name}", done.source[name])
        else:
            document["source"].pop(name, None)


@contextmanager
def extracted(
    query: Query,
    name: str,
    progress: Progress,
    *,
    by: str,
    counting: Counting | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> Iterator[Extracted]:
    """The rows of ``query``, for the length of a ``with`` block.

    Args:
        query: What to run.
        name: Of the dataset, and of the files.
        progress: Told of the rows.
        by: The e-mail of whoever runs it.
        counting: Counts the rows for their profile while they are written.
        meanwhile: Called once the query runs, while its first rows are waited for.

    Raises:
        QueryRefused, QueryFailed, NotExact: The database does not take it, gives up, or has what cannot be kept.
        DatabaseUnreachable, AccessDenied, DriverMissing: Of the database.
        NoRows: There are none, and ``query`` does not allow that.
        NoSpace: The folder for temporary files is full.
    """
    from datakeep.extract.sql.mistyped import quoted_doubts

    with scratch() as folder, scratch() as spilled:
        query.database.scratch = spilled
        shown = query.database.address.shown
        doubts = (*quoted_doubts(query.statement), *query.doubts)
        secrets = query.passwords
        with told(
            query.shown,
            database=shown,
            recorded=query.recorded,
            elsewhere=query.elsewhere,
            doubts=doubts,
            files=query.files,
            secrets=secrets,
        ):
            done = _run(query, folder, name, progress, by, counting, meanwhile, secrets)
        yield done


def _run(
    query: Query,
    folder: Path,
    name: str,
    progress: Progress,
    by: str,
    counting: Counting | None,
    meanwhile: Callable[[], None] | None,
    secrets: Collection[str],
) -> Extracted:
    from datakeep.extract.sql.lineage import column_origins, read_tables, trace
    from datakeep.extract.sql.parquet_parts import PART_BYTES, write_parts
    from datakeep.extract.sql.ties import Ties, doubtful_order, wider_equality
    from datakeep.workflows.check_sql import with_catalogue

    started = datetime.now(UTC)
    progress.stage("asking the catalogue", total=None, unit="tables")
    with query.database.session(timeout_s=query.timeout_s) as session:
        refuse_in_options(session.shown, secrets)
        names = tuple(read_tables(query.statement))
        tables = session.tables(names) if names else {}
        checked = with_catalogue(query.statement, names, tables, session, ())
        origins = column_origins(query.statement, tables)
        hidden = Withholding(secrets)
        columns = dictionary(origins, tables, hidden)
        keys = [column for column, known in columns.items() if known.get("key")]
        sorting = doubtful_order(query.statement, tables, by_values=False)
        if sorting and sorting.exact_texts and wider_equality(query.statement.dialect, session.ask):
            sorting = replace(sorting, exact_texts=False)
        ties = Ties(sorting) if sorting else None
        with session.run(query.statement, query.parameters, query.exactness) as result:
            if meanwhile is not None:
                meanwhile()
            if ties:
                ties.told_types(result.columns)
            parts = write_parts(
                result,
                folder,
                name=name,
                progress=progress,
                keys=keys,
                part_bytes=query.part_bytes or PART_BYTES,
                shown=folder.parent,
                watch=ties.add if ties else None,
                counting=counting,
            )
            given = result.columns
        if not (parts.rows or query.allow_empty):
            raise no_rows()
        # Behind the rows: what a file was is only said once it has been read, and was not written to meanwhile.
        reads = trace(query.statement, session.tables)
        record = recorded(query, session, given, reads, origins, tables.values(), hidden)
        guessed = session.guessed(query.statement, query.parameters, reads)
        shown = session.shown or query.database.address.shown
        began = session.snapshot.began or started
    of_rows = list(rows_said(query, tables, columns, parts.files, ties))
    record |= {"dictionary": {name: dict(known) for name, known in columns.items() if known}}
    advised = list(advice_notes(query, checked))
    record |= {"advice": [one.key for one in (*advised, *of_rows)]} if advised or of_rows else {}
    record |= {"guessed": [one.record or one.told for one in guessed]} if guessed else {}
    record |= {"started_at": moment(started), "ended_at": moment(datetime.now(UTC))}
    source = {
        "query": query.place,
        "dialect": query.statement.dialect,
        "database": shown,
        "extracted_at": moment(began),
        "extracted_by": by,
        "rows": parts.rows,
        "extraction": record,
    }
    if query.parameters:
        source["parameters"] = {name: stated_parameter(name, one) for name, one in query.parameters.items()}
    said = [
        *folded(advised),
        *of_rows,
        *(Note(one, one) for one in (*notes(record), *row_notes(query, parts.rows))),
    ]
    said += [Note(guess.told, guess.record or guess.told) for guess in guessed]
    return Extracted(folder, parts.rows, source, columns, query, tuple(said), counting)
