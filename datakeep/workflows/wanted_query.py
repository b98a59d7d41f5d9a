"""Which query is run for a version: a file's, or a recorded one; in which database, with which parameters."""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import InvalidFile, UsageError
from datakeep.core.parameter_types import type_of_text
from datakeep.formats.yaml import as_written, is_quoted, source_text
from datakeep.workflows import attachments
from datakeep.workflows.exactness import exactness_of
from datakeep.workflows.extraction_record import (
    files_read,
    folder_of_files,
)
from datakeep.workflows.query_secrets import refuse_in_query
from datakeep.workflows.query_words import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from datakeep.extract.sql.interface import Database, Exactness, Parameter, Statement
    from datakeep.formats.manifest import Source
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.dataset import DatasetRepository

#: What is no number as an option takes it, and one of YAML: ``007``.
_ZEROS = re.compile(r"[+-]?0[0-9]+")


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
    ``files`` are those that a recorded query read, each with its sha256 then. ``elsewhere``: it was written for
    another product than it is run by.
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
    elsewhere: bool = False

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


def loading(wanted: Wanted | None) -> Callable[[], None] | None:
    """What loads the packages that a query will need, for a time in which another program is waited for."""
    if wanted is None:
        return None

    def load() -> None:
        from datakeep.extract.sql.opening import load_driver

        load_driver(wanted.database)

    return load


class Early:
    """What a query will need, for a time in which another program is waited for.

    Attributes:
        database: That of the URL which the user gave, being connected to; None before it is wanted, or if there is
            no such database, which is told when it is needed.
    """

    def __init__(self, wanted: Wanted | None, stack: ExitStack) -> None:
        self._wanted, self._stack = wanted, stack
        self.database: Database | None = None

    def __call__(self) -> None:
        """Load the packages, and begin to connect."""
        if self._wanted is not None:
            from datakeep.extract.sql.opening import connecting, load_driver

            self.database = self._stack.enter_context(connecting(self._wanted.database))
            load_driver(self._wanted.database)


@contextmanager
def early(wanted: Wanted | None) -> Iterator[Early]:
    """A query's database can be connected to before it is known whether the query will run: no rows are asked for.

    At the end of the ``with`` block nothing is left of it.
    """
    with ExitStack() as stack:
        yield Early(wanted, stack)


def first_query(wanted: Wanted, database: Database | None = None) -> Query:
    """The query of a new dataset.

    Args:
        wanted: What the user wants.
        database: That of its URL, if it is open already.

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
    return _query(wanted, _Text.of(wanted.sql), wanted.database, None, {}, {}, database)


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
    recorded = (source.parameters if source else None) or {}
    if wanted.sql is not None:
        return _query(wanted, _Text.of(wanted.sql), url, None, {}, recorded)
    place = str(source.query if source else None)
    content = repository.read(entry.commit, place)
    if content is None:
        raise InvalidFile(
            f"{name} names the query {place}, which is not in its repository",
            next_step=f"give it again: datakeep update {entry.dataset} --sql FILE -m WHY",
        )
    before = parameters_from_yaml(recorded)
    text = _Text(content, place, f"{place} of {name}", entry.dataset)
    query = _query(wanted, text, url, source, before, recorded)
    is_other = bool(against and source and source.dialect and source.dialect != query.statement.dialect)
    return replace(query, elsewhere=is_other)


def _query(
    wanted: Wanted,
    text: _Text,
    url: str,
    source: Source | None,
    before: Mapping[str, Parameter],
    recorded: Mapping[str, Any],
    database: Database | None = None,
) -> Query:
    from datakeep.extract.sql.mistyped import doubts
    from datakeep.extract.sql.opening import open_database
    from datakeep.extract.sql.statement import check_parameters, parameters_from_yaml, parameters_of, parse

    database = database or open_database(url)
    folder = folder_of_files(source)
    # Names of files can be values, too: where they begin here anyway, they stay as they are written.
    database.folder = None if folder is None or folder.samefile(Path()) else folder
    content = text.content.decode("utf-8", "replace")
    refuse_in_query(database.address, text.shown, content, wanted.parameters, wanted.stated)
    before = {**before, **parameters_from_yaml(_as_stated(wanted.stated, recorded))}
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


def _as_stated(parameters: Mapping[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a manifest that was read with its author's digits and quotes: ``0.10`` is no 0.1, "7" no 7.

    A text that stands there as it is ``recorded`` has been written by datakeep, and means what that does.
    """
    return {
        name: value if isinstance(value, str) and value == recorded.get(name) else _one_stated(name, value)
        for name, value in parameters.items()
    }


def _one_stated(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        text = {"value": source_text(value.get("value"))} if value.get("type") == "text" else {}
        return as_written({**value, **text}) if "value" in value else value
    if is_quoted(value):
        if type_of_text(value) == "decimal":
            raise UsageError(
                f"source.parameters.{name}: {value!r} in quotes is a text, or a decimal as datakeep records it",
                next_step=f"write {name}: {{type: decimal, value: {value}}}, or {{type: text, value: {value}}}",
            )
        return {"type": "text", "value": str(value)}
    if isinstance(value, float):
        return {"type": "decimal", "value": source_text(value)}
    written = source_text(value)
    return {"type": "text", "value": written} if _ZEROS.fullmatch(str(written)) else value
