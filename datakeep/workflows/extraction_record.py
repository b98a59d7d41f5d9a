"""What is written down of a query that was run: all of it seen by the tool, none of it typed."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from datakeep.core.counts import few
from datakeep.core.errors import InvalidFile, UsageError
from datakeep.core.secrets import find_secret
from datakeep.formats.yaml import plain, unshowable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from datakeep.extract.sql.interface import Parameter, Session, SourceColumn, SourceFile, Table
    from datakeep.extract.sql.lineage import TableRead
    from datakeep.formats.manifest import Source
    from datakeep.workflows.wanted_query import Query

    #: Column of a result to the table and column whose value it is, unchanged; None for one that is computed.
    Origins = Mapping[str, tuple[str, str] | None]

#: Larger whole numbers are written as text: not every reader of YAML takes them.
_PLAIN_BITS = 63
#: What a person can state of a query, too.
_OF_THE_RUN = ("kind", "query", "dialect", "database", "parameters", "extracted_at", "extracted_by", "rows")
_ITEMS = re.compile(r"(?<=list<)\w*(?=: )")
#: How what stands for a text that is not written down begins.
WITHHELD_TEXT = "(withheld:"
#: Columns of which the same is said that are named.
_NAMED = 5
_MODIFIERS = re.compile(r"\s*\([^()]*\)")


@dataclass(frozen=True, slots=True)
class Withholding:
    """What of a database's own texts (comments, definitions) is written down; ``known`` passwords are not."""

    known: Collection[str] = ()

    def fault(self, text: str) -> str | None:
        """Why a text is not written down, in words that do not repeat it; None if it is."""
        if any(secret in text for secret in self.known):
            return "the password of the database"
        return find_secret(text) or unshowable(text)

    def kept(self, text: str) -> str:
        """The text, or that it is withheld."""
        fault = self.fault(text)
        return f"{WITHHELD_TEXT} it holds {fault})" if fault else text


def dictionary(
    origins: Origins, tables: Mapping[str, Table], hidden: Withholding = Withholding()
) -> dict[str, dict[str, Any]]:
    """What the catalogue says of the result's plain columns: comments, and the key of the first table that has one.

    A table's key names its rows; of a result it does so where nothing multiplies them, which only the data tell.
    """
    comments = {
        (table.name, column.name): column.comment for table in tables.values() for column in table.columns
    }
    found: dict[str, dict[str, Any]] = {}
    for column, origin in origins.items():
        comment = comments.get(origin) if origin else None
        found[column] = {"meaning": hidden.kept(comment)} if comment else {}
    for table in tables.values():
        wanted = {(table.name, key) for key in table.primary_key}
        of_key = {origin: column for column, origin in origins.items() if origin in wanted}
        if wanted and of_key.keys() == wanted:
            for column in of_key.values():
                found[column]["key"] = True
            break
    return found


def refreshed(
    columns: Collection[dict[str, Any]],
    now: Mapping[str, Mapping[str, Any]],
    before: Mapping[str, Mapping[str, Any]] | None,
) -> Iterator[str]:
    """Bring the data dictionary up to date with the catalogue; what a person has stated stays.

    Args:
        columns: Of the manifest; they are changed.
        now: Name of a column to ``meaning`` and ``key``, as the catalogue has them.
        before: The same of the version before; None if it was not recorded: all is a person's then.

    Yields:
        What the catalogue says anew where a person has stated something else, a sentence each.
    """
    for column in columns:
        name = column["name"]
        old, new = (before or {}).get(name, {}), now.get(name, {})
        for what in ("meaning", "key"):
            stated, said = plain(column.get(what)), new.get(what)
            if stated is None or stated == old.get(what):
                if said is not None:
                    column[what] = said
                elif stated is not None:
                    del column[what]
            elif what == "meaning" and said is not None and said not in (stated, old.get(what)):
                yield (
                    f"column {name}: the database says {said!r} of it now; its meaning stays {stated!r}, as it was "
                    f"stated: to change it, edit columns in the manifest"
                )


def recorded(
    query: Query,
    session: Session,
    columns: Collection[SourceColumn],
    reads: Collection[TableRead],
    origins: Origins,
    tables: Collection[Table],
    hidden: Withholding = Withholding(),
) -> dict[str, Any]:
    """``source.extraction`` of the manifest, but for the times: what ran where, and what it gave and read."""
    from datakeep.extract.sql.functions import functions_called

    snapshot = session.snapshot
    record: dict[str, Any] = {
        "query_sha256": hashlib.sha256(query.text).hexdigest(),
        "normalised": query.statement.normalised,
        "server": session.server,
        "isolation": snapshot.isolation,
        **({"snapshot": snapshot.identity} if snapshot.identity else {}),
        **({"snapshot_at": moment(snapshot.began)} if snapshot.began else {}),
        "columns": list(_columns(columns, origins, tables)),
        "tables": [_table(read, hidden) for read in reads],
    }
    made = session.functions(functions_called(query.statement, reads))
    if made is not None:
        record["functions"] = [
            {"name": one.name, "definition": hidden.kept(one.definition)}
            | ({"owner": hidden.kept(one.owner)} if one.owner else {})
            for one in made
        ]
    if settings := session.settings():
        record["settings"] = {name: hidden.kept(value) for name, value in settings.items()}
    if query.exactness.as_text:
        record["as_text"] = sorted(query.exactness.as_text)
    if query.exactness.decimals:
        record["decimals"] = {name: list(pair) for name, pair in sorted(query.exactness.decimals.items())}
    return record


def _columns(
    columns: Collection[SourceColumn], origins: Origins, tables: Collection[Table]
) -> Iterator[dict[str, Any]]:
    """Names and types. What describes a result often has no length of a text; the column that it comes from has."""
    declared = {
        (table.name, column.name): column.database_type for table in tables for column in table.columns
    }
    for column in columns:
        origin = origins.get(column.name)
        whole = declared.get(origin, "") if origin else ""
        same = _MODIFIERS.sub("", whole) == _MODIFIERS.sub("", column.database_type)
        found = {"name": column.name, "database_type": whole if same else column.database_type}
        # As Parquet calls the items of a list, whatever the driver does; so the data dictionary has it, too.
        found |= {"arrow_type": _ITEMS.sub("element", column.arrow_type)}
        yield found | ({"note": column.note} if column.note else {})


def _table(read: TableRead, hidden: Withholding) -> dict[str, Any]:
    texts = {"comment": read.comment, "definition": read.definition, "owner": read.owner}
    found: dict[str, Any] = {
        "name": read.name,
        "kind": read.kind,
        "columns": "unknown" if read.columns is None else list(read.columns),
    }
    more = {
        "through": list(read.reached_through),
        "primary_key": list(read.primary_key),
        "files": [_file(file) for file in read.files],
    }
    found |= {field: value for field, value in more.items() if value}
    return found | {field: hidden.kept(text) for field, text in texts.items() if text}


def _file(file: SourceFile) -> dict[str, Any]:
    digests = {"sha256": file.sha256, "version": file.version}
    found = {"path": file.path, "size_bytes": file.size_bytes}
    return found | {name: value for name, value in digests.items() if value}


def former_names(source: Mapping[str, Any], text: bytes) -> Mapping[str, Collection[str]]:
    """Each column of a query's result (in lower case) that had other names where it came from, and those.

    Args:
        source: Of the manifest, with what was recorded of the run: the views, too.
        text: Of the query.
    """
    from datakeep.extract.sql import former, renamed

    run = source["extraction"]
    tables = {
        one["name"]: renamed.Behind(
            () if one["columns"] == "unknown" else tuple(one["columns"]), one.get("definition") or ""
        )
        for one in run.get("tables") or ()
    }
    result = [one["name"] for one in run.get("columns") or ()]
    functions = {one["name"]: one["definition"] for one in run.get("functions") or ()}
    return former.former_names(text.decode("utf-8-sig"), source["dialect"], tables, result, functions)


def stated_parameter(name: str, parameter: Parameter) -> Any:
    """A parameter as the manifest states it: plainly where that is read as the same type, else with its type."""
    from datakeep.extract.sql.parameters import parameters_from_yaml

    value = parameter.value
    shown = value if value is None or isinstance(value, bool | int | str) else None
    if shown is None and value is not None:
        shown = value.isoformat() if hasattr(value, "isoformat") else str(value)
    if isinstance(shown, int) and shown.bit_length() > _PLAIN_BITS:
        shown = str(shown)
    elif shown is not None:
        with suppress(UsageError):  # a text that looks like a day, and is none
            if parameters_from_yaml({name: shown}) == {name: parameter}:
                return shown
    return {"type": parameter.type, "value": repr(value) if isinstance(value, float) else shown}


def notes(record: Mapping[str, Any]) -> Iterator[str]:
    """What a person should know of types that were changed, a sentence for all columns of which it is the same."""
    alike: dict[tuple[str, str], list[str]] = {}
    for column in record["columns"]:
        if note := column.get("note"):
            alike.setdefault((column["database_type"], note), []).append(column["name"])
    for (kind, note), names in alike.items():
        yield f"{'column' if len(names) == 1 else 'columns'} {few(names, _NAMED)} ({kind}): {note}"


def moment(when: datetime) -> str:
    """A time as it is written down, with its zone, and with microseconds where it has any."""
    return when.isoformat(timespec="microseconds" if when.microsecond else "seconds")


def keep_true(
    document: dict[str, Any],
    before: Mapping[str, Any] | None,
    files: Mapping[str, bytes | None],
    *,
    data: bool,
) -> None:
    """Let ``source.extraction`` say only what datakeep saw of these very rows and this very query.

    Args:
        document: The manifest of a version whose query is not run now.
        before: ``source`` of the version before it; None if there is none.
        files: Documents that are handed in for it, by place.
        data: Whether its data are other ones, which did not come from a query; the record is then dropped, as where
            a person states the query, or where it was run, anew.

    Raises:
        InvalidFile: A person has written it.
    """
    source, known = plain(document.get("source")), before or {}
    if not isinstance(source, dict) or source.get("extraction") is None:
        if data and known.get("extraction") is not None:
            _forget_run(document, known)
        return
    if source["extraction"] != known.get("extraction"):
        raise InvalidFile(
            "source.extraction is stated, which only datakeep writes, of a query that it runs",
            next_step="leave it out; --sql FILE --database URL runs the query",
        )
    text = files.get(str(source.get("query")))
    other_text = text is not None and hashlib.sha256(text).hexdigest() != source["extraction"]["query_sha256"]
    if data or other_text or any(source.get(name) != known.get(name) for name in _OF_THE_RUN):
        del document["source"]["extraction"]
    if data:
        _forget_run(document, known)


def _forget_run(document: dict[str, Any], known: Mapping[str, Any]) -> None:
    """Take out what was recorded of a query that did not give these data; what is stated now stays."""
    source = document["source"]
    for name in _OF_THE_RUN:
        if name != "kind" and name in source and plain(source[name]) == known.get(name):
            del source[name]
    if source["kind"] == "sql" and "query" not in source:
        source["kind"] = "files"


def ended(document: Mapping[str, Any]) -> datetime:
    """When the extraction of a manifest ended; a version of its rows is not older."""
    return datetime.fromisoformat(document["source"]["extraction"]["ended_at"])


def files_read(source: Source | None) -> dict[str, str]:
    """The files of this machine that a recorded query read, each with the sha256 that it had."""
    run = source.extraction if source else None
    files = [file for table in (run.tables if run else None) or () for file in table.files or ()]
    return {file.path: file.sha256 for file in files if file.sha256}


def folder_of_files(source: Source | None) -> Path | None:
    """The folder in which relative names of files of a recorded query begin, so that another run reads the same.

    None where it names none, where that cannot be told (of a pattern with ``**``), and where the folder is not here.
    """
    run = source.extraction if source else None
    for table in (run.tables if run else None) or ():
        name = PurePath(table.name)
        if table.kind != "file" or not table.files or "**" in name.parts or name.is_absolute():
            continue
        path = Path(table.files[0].path)
        folder = Path(*path.parts[: -len(name.parts)])
        if path.is_absolute() and len(path.parts) > len(name.parts) and folder.is_dir():
            return folder
    return None
