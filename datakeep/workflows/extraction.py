"""Running a query, so that what is recorded of it cannot differ from what happened.

The way of the rows: the SQL's text, found to be one SELECT → one read-only transaction → Parquet parts in a
temporary folder, which then are the source of a version like any other. What is cancelled or fails leaves nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import InvalidFile, SecretFound, UsageError
from datakeep.formats.yaml import as_written
from datakeep.repository.scratch import scratch
from datakeep.workflows import attachments, facts
from datakeep.workflows.exactness import exactness_of
from datakeep.workflows.extraction_record import (
    Withholding,
    dictionary,
    files_read,
    folder_of_files,
    moment,
    notes,
    recorded,
    refreshed,
    stated_parameter,
)
from datakeep.workflows.extraction_rows import rows_said
from datakeep.workflows.query_secrets import refuse_in_options
from datakeep.workflows.query_words import Note, advice_notes, no_rows, personal_note, row_notes, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from datakeep.core.progress import Progress
    from datakeep.extract.counting import Counting
    from datakeep.extract.sql.interface import Database, Exactness, Parameter, Statement
    from datakeep.formats.manifest import Source
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.dataset import DatasetRepository

_FIELDS = ("query", "dialect", "database", "parameters", "extracted_at", "extracted_by", "rows", "extraction")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a user wants extracted.

    Args:
        sql: The file with the query; None is the recorded one.
        database: Its URL, which may hold a password; None is the recorded one.
        parameters: ``name=value`` or ``name:type=value``; they win over stated and recorded ones.
        stated: The parameters of a manifest that was handed in; they win over recorded ones.
        as_text: Columns that are kept as the database's own text.
        decimals: ``column=precision,scale`` for numerics that have none of their own.
        timeout_s: How long the query may take; None is as long as it needs.
        part_bytes: A Parquet file that has become so large is followed by another; None is the usual size.
        allow_empty: Whether no rows are an answer, too.
    """

    sql: Path | None = None
    database: str | None = None
    parameters: Sequence[str] = ()
    stated: Mapping[str, Any] = field(default_factory=dict)
    as_text: Sequence[str] = ()
    decimals: Sequence[str] = ()
    timeout_s: int | None = None
    part_bytes: int | None = None
    allow_empty: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A query that is ready to be run: one SELECT, all its parameters, a database.

    ``place`` is where the text lies in the dataset's repository, ``shown`` what the user knows it by; ``recorded`` is
    the dataset whose version has it, if it is not new; ``doubts`` say what was probably meant otherwise.
    ``files`` are those that a recorded query read, each with its sha256 then.
    """

    statement: Statement
    place: str
    shown: str
    text: bytes
    database: Database
    parameters: Mapping[str, Parameter]
    exactness: Exactness
    timeout_s: int | None
    part_bytes: int | None = None
    recorded: str | None = None
    doubts: tuple[str, ...] = ()
    allow_empty: bool = False
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def passwords(self) -> tuple[str, ...]:
        """What opens the database, as far as this process knows it: none of it is written down."""
        from datakeep.extract.sql.passwords import passwords_of

        return passwords_of(self.database.address)


@dataclass(frozen=True, slots=True)
class _Text:
    """The text of a query; the fields are those of :class:`Query`."""

    content: bytes
    place: str
    shown: str
    recorded: str | None = None

    @classmethod
    def of(cls, path: Path) -> _Text:
        return cls(attachments.read(path), f"source/{path.name}", str(path))


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

    def personal_note(
        self, document: Mapping[str, Any], before: Mapping[str, Any] | None = None
    ) -> Iterator[str]:
        """What to say of columns whose names suggest people, that the version before, if any, did not have."""
        names = [column["name"] for column in self.source["extraction"]["columns"]]
        note = personal_note(names, facts.get(document, "privacy.personal"), before)
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


def loading(wanted: Wanted | None) -> Callable[[], None] | None:
    """What loads the packages that a query will need, for a time in which another program is waited for."""
    if wanted is None:
        return None

    def load() -> None:
        from datakeep.extract.sql.opening import load_driver

        load_driver(wanted.database)

    return load


def first_query(wanted: Wanted) -> Query:
    """The query of a new dataset.

    Raises:
        UsageError: The query or the database is not given.
        SourceMissing, SecretFound, QueryRefused, DriverMissing: It cannot be run, or must not be recorded.
    """
    if wanted.sql is None or wanted.database is None:
        lacking = "--database URL" if wanted.database is None else "--sql FILE"
        raise UsageError(
            "a query is run from its file, in a database: one of the two is not given",
            next_step=f"add {lacking}; to record a query that was run elsewhere: --query FILE and the exported files",
        )
    return _query(wanted, _Text.of(wanted.sql), wanted.database, None, {})


def next_query(
    wanted: Wanted, entry: VersionEntry, repository: DatasetRepository, *, against: str | None = None
) -> Query:
    """The recorded query of a version, or its successor: what is not given is as it was.

    Args:
        wanted: What differs.
        entry: The version.
        repository: Its dataset's, which has the text.
        against: Another database, that is not going to be recorded.

    Raises:
        UsageError: The version was not extracted by a query, or its database is not recorded.
        InvalidFile: Its query is not in its repository, or not text.
    """
    from datakeep.extract.sql.parameters import parameters_from_yaml

    source = entry.manifest_model().source
    name = f"{entry.dataset}@{entry.version}"
    if wanted.sql is None and (source is None or source.kind != "sql" or not source.query):
        raise UsageError(
            f"{name} records no query that could be run again",
            next_step=f"give one: datakeep update {entry.dataset} --sql FILE --database URL -m WHY",
        )
    url = against or wanted.database or (source.database if source else None)
    if not url:
        raise UsageError(f"{name} records no database", next_step="name it: --database URL")
    if wanted.sql is not None:
        return _query(wanted, _Text.of(wanted.sql), url, None, {})
    place = str(source.query if source else None)
    recorded = repository.read(entry.commit, place)
    if recorded is None:
        raise InvalidFile(
            f"{name} names the query {place}, which is not in its repository",
            next_step=f"give it again: datakeep update {entry.dataset} --sql FILE -m WHY",
        )
    before = parameters_from_yaml((source.parameters if source else None) or {})
    text = _Text(recorded, place, f"{place} of {name}", entry.dataset)
    return _query(wanted, text, url, source, before)


def _query(
    wanted: Wanted, text: _Text, url: str, source: Source | None, before: Mapping[str, Parameter]
) -> Query:
    from datakeep.extract.sql.mistyped import doubts
    from datakeep.extract.sql.opening import open_database
    from datakeep.extract.sql.statement import check_parameters, parameters_from_yaml, parameters_of, parse

    database = open_database(url)
    database.folder = folder_of_files(source)
    _refuse_password(database, text, wanted)
    before = {**before, **parameters_from_yaml(_as_stated(wanted.stated))}
    given = parameters_of(wanted.parameters, before)
    with told(text.shown, recorded=text.recorded):
        try:
            statement = parse(text.content.decode("utf-8-sig"), database.address.dialect)
        except UnicodeDecodeError as error:
            raise InvalidFile(f"{text.shown} is not UTF-8 text", next_step="save it as UTF-8") from error
        check_parameters(statement, {**before, **given})
    return Query(
        statement,
        text.place,
        text.shown,
        text.content,
        database,
        {**before, **given},
        exactness_of(wanted.as_text, wanted.decimals, source),
        wanted.timeout_s,
        wanted.part_bytes,
        text.recorded,
        tuple(doubts([one for one in wanted.parameters if one.partition("=")[0] not in before])),
        wanted.allow_empty or (source is not None and source.rows == 0),
        files_read(source),
    )


def _as_stated(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a manifest that was read with its author's digits: ``0.10`` is no 0.1."""
    written = {name: as_written(value) for name, value in parameters.items()}
    return {
        name: {"type": "decimal", "value": written[name]} if isinstance(value, float) else written[name]
        for name, value in parameters.items()
    }


def _refuse_password(database: Database, text: _Text, wanted: Wanted) -> None:
    """Refuse to write down the very password that opens the database, which this process knows."""
    from datakeep.extract.sql.passwords import passwords_of
    from datakeep.extract.sql.places import is_name_in

    known = passwords_of(database.address)
    refuse_in_options(database.address.shown, known)
    content = text.content.decode("utf-8", "replace")
    places = {text.shown: content, **{f"--param {one.partition('=')[0]}": one for one in wanted.parameters}}
    places |= {
        f"source.parameters.{name} of the manifest": str(value) for name, value in wanted.stated.items()
    }
    for where, found in places.items():
        if any(
            secret in found and not (found is content and is_name_in(secret, content)) for secret in known
        ):
            raise SecretFound(
                f"{where} holds the password of {database.address.shown}, and would be written down for good",
                next_step="take it out",
            )


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
    query: Query, name: str, progress: Progress, *, by: str, counting: Counting | None = None
) -> Iterator[Extracted]:
    """The rows of ``query``, for the length of a ``with`` block.

    Args:
        query: What to run.
        name: Of the dataset, and of the files.
        progress: Told of the rows.
        by: The e-mail of whoever runs it.
        counting: Counts the rows for their profile while they are written.

    Raises:
        QueryRefused, QueryFailed, NotExact: The database does not take it, gives up, or has what cannot be kept.
        DatabaseUnreachable, AccessDenied, DriverMissing: Of the database.
        NoRows: There are none, and ``query`` does not allow that.
        NoSpace: The folder for temporary files is full.
    """
    from datakeep.extract.sql.mistyped import quoted_doubts
    from datakeep.extract.sql.passwords import passwords_of

    with scratch() as folder, scratch() as spilled:
        query.database.scratch = spilled
        shown = query.database.address.shown
        doubts = (*quoted_doubts(query.statement), *query.doubts)
        secrets = passwords_of(query.database.address)
        with told(
            query.shown,
            database=shown,
            recorded=query.recorded,
            doubts=doubts,
            files=query.files,
            secrets=secrets,
        ):
            done = _run(query, folder, name, progress, by, counting)
        yield done


def _run(
    query: Query, folder: Path, name: str, progress: Progress, by: str, counting: Counting | None
) -> Extracted:
    from datakeep.extract.sql.lineage import column_origins, read_tables, trace
    from datakeep.extract.sql.parquet_parts import PART_BYTES, write_parts
    from datakeep.extract.sql.ties import Ties, doubtful_order
    from datakeep.workflows.check_sql import with_catalogue

    started = datetime.now(UTC)
    progress.stage("asking the catalogue", total=None, unit="tables")
    with query.database.session(timeout_s=query.timeout_s) as session:
        refuse_in_options(session.shown, query.passwords)
        names = tuple(read_tables(query.statement))
        tables = session.tables(names) if names else {}
        checked = with_catalogue(query.statement, names, tables, session, ())
        origins = column_origins(query.statement, tables)
        hidden = Withholding(query.passwords)
        columns = dictionary(origins, tables, hidden)
        keys = [column for column, known in columns.items() if known.get("key")]
        sorting = doubtful_order(query.statement, tables)
        ties = Ties(sorting) if sorting else None
        with session.run(query.statement, query.parameters, query.exactness) as result:
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
    said = [*advised, *of_rows, *(Note(one, one) for one in (*notes(record), *row_notes(query, parts.rows)))]
    said += [Note(guess.told, guess.record or guess.told) for guess in guessed]
    return Extracted(folder, parts.rows, source, columns, query, tuple(said), counting)
