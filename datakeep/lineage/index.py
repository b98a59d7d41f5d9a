"""The index of a keep: what its committed files say, kept ready to be searched; a cache that can be deleted.

It is made of the files at one commit. Where the keep has moved on, the difference of the two trees says which
files to read again; an index that is damaged, half made or of another format is made anew, and one that cannot be
kept (a keep that may not be written, another process at work) is made for the one question. Laws, which tests
hold it to: it equals an index made from nothing at the same commit; and a file that cannot be read is in it as
broken, and takes nothing else away.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from datakeep.lineage import lost, same_bytes, schema, wanting
from datakeep.lineage.committed import (
    PREFIXES,
    Place,
    Told,
    folded,
    place_of,
    seconds,
    texts,
    to_json,
    told,
    words,
)
from datakeep.lineage.evidence import means
from datakeep.lineage.shapes import describe_files, describe_undeclared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_READ_AT_ONCE = 500
#: Words that are counted in memory at once.
_MAX_WORDS = 200_000
_LOCK_S = 10.0
#: Of a subject's texts; more are of no use to find it by.
_MAX_DOCS = 20_000


class Source(Protocol):
    """The files of a keep at one commit, by git's object ids."""

    commit: str | None

    def object_ids(self, prefixes: Sequence[str], /) -> dict[str, str]:
        """Path to object id of all files below ``prefixes``."""

    def changed_since(self, commit: str, prefixes: Sequence[str], /) -> Mapping[str, str | None] | None:
        """Path to object id (None: gone) of what changed since ``commit``; None if that is not known."""

    def read_objects(self, object_ids: Sequence[str], /) -> Mapping[str, bytes]:
        """The bytes of those objects that are there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One committed file; ``fault`` says why it cannot be read, and then there is no data."""

    path: str
    place: Place
    data: dict[str, Any] | None
    fault: str | None


class Index:
    """An open index, up to date with the commit that it was opened for.

    Attributes:
        database: Its tables; see :mod:`datakeep.lineage.schema`.
        temporary: Why it is kept for this one question only; None if it is kept.
    """

    def __init__(self, database: sqlite3.Connection, temporary: str | None = None) -> None:
        self.database = database
        self.temporary = temporary

    @classmethod
    def open(cls, path: Path | None, source: Source, *, starting: Callable[[int], None]) -> Index:
        """The index at ``path``, brought up to date, or made; without a place one for this question.

        Args:
            path: The database's file; its folder exists.
            source: The keep's files.
            starting: Is told how many files will be read, before that begins.
        """
        if path is None:
            return cls._for_once(source, starting, "the keep's folder cannot be written")
        try:
            return cls(_kept(path, source, starting))
        except _AtWork:
            return cls._for_once(source, starting, "another process is making it")
        except sqlite3.OperationalError as error:
            if not schema.is_busy(error):
                raise
            return cls._for_once(source, starting, str(error))
        except OSError as error:
            return cls._for_once(source, starting, error.strerror or str(error))

    @classmethod
    def _for_once(cls, source: Source, starting: Callable[[int], None], why: str) -> Index:
        database = schema.create(None)
        _update(database, source, starting)
        return cls(database, why)

    def close(self) -> None:
        """Give the database back."""
        self.database.close()

    def entry(self, path: str) -> Entry | None:
        """The committed file at ``path``; None if there is none."""
        return next(self.entries([path]), None)

    def entries(self, paths: Iterable[str]) -> Iterator[Entry]:
        """Those of ``paths`` that are in the keep."""
        query = "SELECT kind, name, number, data, fault FROM entry WHERE path = ?"
        for path in paths:
            for kind, name, number, data, fault in self.database.execute(query, (path,)):
                yield Entry(path, Place(kind, name, number), json.loads(data) if data else None, fault)

    def broken(self, kind: str) -> list[tuple[str, str]]:
        """Path and reason of every file of a kind that cannot be read, by path."""
        query = "SELECT path, fault FROM entry WHERE kind = ? AND fault IS NOT NULL ORDER BY path"
        return list(self.database.execute(query, (kind,)))

    def write(self, change: Callable[[sqlite3.Connection], None]) -> None:
        """What ``change`` writes is in the index; a busy one is left as it is, for the next to fill."""
        try:
            with schema.transaction(self.database):
                change(self.database)
        except sqlite3.OperationalError as error:
            if not schema.is_busy(error):
                raise


def _kept(path: Path, source: Source, starting: Callable[[int], None]) -> sqlite3.Connection:
    """The index in the file ``path``, at the commit of ``source``."""
    try:
        database = schema.connect(path)
    except sqlite3.DatabaseError as error:
        if schema.is_busy(error):
            raise
        database = None
    if database is not None and schema.meta(database, "commit") == (source.commit or ""):
        return database
    with _alone(path):
        if database is not None:
            try:
                _update(database, source, starting)
                return database
            except sqlite3.DatabaseError as error:
                if schema.is_busy(error):
                    raise
                database.close()
        else:
            # Another process may have made it while this one waited.
            made = _made_meanwhile(path)
            if made is not None:
                _update(made, source, starting)
                return made
        schema.remove(path)
        database = schema.create(path)
        _update(database, source, starting)
        return database


class _AtWork(Exception):
    """Another process makes the index, and takes its time."""


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout  # late: an index that is up to date needs no lock

    lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=_LOCK_S)
    try:
        lock.acquire()
    except Timeout as error:
        raise _AtWork from error
    try:
        yield
    finally:
        lock.release()


def _made_meanwhile(path: Path) -> sqlite3.Connection | None:
    try:
        return schema.connect(path)
    except sqlite3.DatabaseError:
        return None


def _update(database: sqlite3.Connection, source: Source, starting: Callable[[int], None]) -> None:
    """The index is that of the source's commit."""
    before = schema.meta(database, "commit")
    commit = source.commit or ""
    if before == commit:
        return
    changed = _changed(database, source, before)
    starting(sum(1 for one in changed.values() if one))
    touched: set[tuple[str, str]] = {
        (place.kind, place.name) for path in changed if (place := place_of(path))
    }
    with schema.transaction(database):
        datasets = [name for kind, name in touched if kind == "dataset"]
        renamed = lost.aliases(database, datasets)
        _forget(database, changed)
        _take(database, source, {path: one for path, one in changed.items() if one})
        counts = Words(database)
        for kind, name in sorted(touched):
            describe(database, kind, name, counts)
        counts.write()
        lost.renew(
            database,
            touched | renamed | lost.aliases(database, datasets) | lost.named_by(database, changed),
        )
        schema.set_meta(database, "commit", commit)


def _changed(database: sqlite3.Connection, source: Source, before: str | None) -> dict[str, str | None]:
    """Path to object id of what is to be read again, None for what is gone."""
    found = source.changed_since(before, PREFIXES) if before else None
    if found is None:
        there = source.object_ids(PREFIXES)
        known = dict(database.execute("SELECT path, object FROM entry"))
        found = {path: None for path in known if path not in there}
        found |= {path: one for path, one in there.items() if known.get(path) != one}
    return {path: one for path, one in found.items() if place_of(path)}


def _forget(database: sqlite3.Connection, paths: Iterable[str]) -> None:
    for path in paths:
        for table in (
            "entry",
            "version",
            "artifact",
            "undeclared",
            "leads",
            "lost",
            "query",
            "object",
            "wanting",
        ):
            database.execute(f"DELETE FROM {table} WHERE path = ?", (path,))  # noqa: S608  # our own names


def _take(database: sqlite3.Connection, source: Source, wanted: Mapping[str, str]) -> None:
    """Read the objects of ``wanted``."""
    paths = list(wanted)
    for first in range(0, len(paths), _READ_AT_ONCE):
        some = paths[first : first + _READ_AT_ONCE]
        found = source.read_objects([wanted[path] for path in some])
        for path in some:
            place = place_of(path)
            if place is None:
                continue
            data = found.get(wanted[path])
            missing = Told(place, None, f"{path} cannot be read: its object is missing or damaged")
            _store(database, path, wanted[path], told(path, place, data) if data is not None else missing)


def _store(database: sqlite3.Connection, path: str, object_id: str, one: Told) -> None:
    place, data = one.place, one.data
    database.execute(
        "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?)",
        (path, object_id, place.kind, place.name, place.number, one.fault, to_json(data) if data else None),
    )
    if data and place.kind == "dataset":
        _store_version(database, path, one, data)
    elif data and place.kind == "model":
        _store_model(database, path, data)


def _store_version(database: sqlite3.Connection, path: str, one: Told, data: dict[str, Any]) -> None:
    place, backend = one.place, data["manifest"].get("backend")
    facts = (
        path, place.name, place.number, data["commit"], data["content"],
        data["inventory"].removeprefix("sha256:"), data["files"], json.dumps(data["stores"]),
        backend if isinstance(backend, str) else None, one.unfit, seconds(data["registered_at"]),
    )  # fmt: skip
    database.execute("INSERT INTO version VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", facts)
    wanting.note(database, path, place, data)
    source = data["manifest"].get("source")
    parents = source.get("parents") if isinstance(source, dict) else None
    for parent in parents if isinstance(parents, list) else ():
        _lead(database, path, "parent", str(parent))
    for left in data.get("left_by") or ():
        _lead(database, path, "left", str(left["model"]))


def _store_model(database: sqlite3.Connection, path: str, data: dict[str, Any]) -> None:
    undeclared = [one for one in data.get("undeclared") or [] if isinstance(one, dict)]
    at_s = seconds(data.get("recorded_at"))
    for one, meaning in means(data["artifacts"], undeclared, data["origin"]):
        row = (path, one["sha256"], one["path"].rpartition("/")[2], one["size_bytes"], meaning, at_s)
        database.execute("INSERT INTO artifact VALUES (?, ?, ?, ?, ?, ?)", row)
    for given in data["inputs"]:
        how = "given" if _is_unread(given, data) else "input"
        _lead(database, path, how, f"{given['dataset']}@{given['version']}")
    for label in sorted({str(one["of"]) for one in undeclared if one.get("of")}):
        _lead(database, path, "undeclared", label)
    same_bytes.note(database, path, data)
    unread = set(data.get("unread_bases") or [])
    for base in data.get("base_models") or []:
        _lead(database, path, "named" if base in unread else "base", str(base))


def _is_unread(given: dict[str, Any], record: dict[str, Any]) -> bool:
    """As :meth:`ModelRecord.read_nothing_of`: from what is known not to have gone in, nothing leads on."""
    read, observed = given.get("files_read") or {}, record.get("observed") or {"by": "strace"}
    is_seen = (observed.get("by") == "strace" and not observed.get("why")) or read.get("of") == 0
    return given.get("how") == "observed" and read.get("count") == 0 and is_seen


def _lead(database: sqlite3.Connection, path: str, how: str, reference: str) -> None:
    """What leads to ``path``; number 0 is the newest version, 'whichever that was'."""
    name, _, version = reference.partition("@")
    number = int(version[1:]) if version[:1] == "v" and version[1:].isdecimal() and len(version) < 12 else 0
    database.execute("INSERT INTO leads VALUES (?, ?, ?, ?)", (path, how, name, number))


class Words:
    """How often each word of the index is used: counted in memory, written in one go."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._steps: Counter[str] = Counter()

    def count(self, text: str, step: int) -> None:
        """The words of a folded text are used once more, or once less."""
        for word in set(words(text)):
            self._steps[word] += step
        if len(self._steps) > _MAX_WORDS:
            self.write()

    def write(self) -> None:
        """All that was counted is in the index."""
        for word, step in self._steps.items():
            if step:
                _count_word(self._database, word, step)
        self._steps.clear()


def describe(database: sqlite3.Connection, kind: str, name: str, counts: Words) -> None:
    """Renew the texts that a subject is found by: each text once, with the newest version that has it."""
    for number, text in database.execute(
        "SELECT id, folded FROM doc WHERE kind = ? AND name = ?", (kind, name)
    ):
        database.execute("DELETE FROM doc_text WHERE rowid = ?", (number,))
        counts.count(text, -1)
    database.execute("DELETE FROM doc WHERE kind = ? AND name = ?", (kind, name))
    if kind == "proof":
        return
    found: dict[tuple[str, str], int] = {}
    rows = database.execute(
        "SELECT e.number, e.data, q.text FROM entry e LEFT JOIN query q ON q.path = e.path "
        "WHERE e.kind = ? AND e.name = ? ORDER BY e.number DESC, e.path",
        (kind, name),
    ).fetchall()
    for number, data, query in rows:
        found.setdefault(("name", name), number)
        if data:
            for one in texts(Place(_kind(kind), name, number), json.loads(data)):
                found.setdefault((one.field, one.text), number)
        if query:
            found.setdefault(("SQL", query), number)
    if kind == "dataset":
        describe_files(database, name, counts)
    if kind == "model":
        describe_undeclared(database, name, (data for _, data, _ in rows))
    for (field, text), number in list(found.items())[:_MAX_DOCS]:
        _add_doc(database, (kind, name, field, number, text), counts)


def _kind(text: str) -> Any:
    return text


def _add_doc(database: sqlite3.Connection, facts: tuple[str, str, str, int, str], counts: Words) -> None:
    text = folded(facts[-1])
    made = database.execute(
        "INSERT INTO doc (kind, name, field, number, text, folded) VALUES (?, ?, ?, ?, ?, ?)", (*facts, text)
    )
    database.execute("INSERT INTO doc_text (rowid, folded) VALUES (?, ?)", (made.lastrowid, text))
    counts.count(text, 1)


def _count_word(database: sqlite3.Connection, word: str, step: int) -> None:
    row = database.execute("SELECT rowid, uses FROM word WHERE word = ?", (word,)).fetchone()
    if row is None:
        made = database.execute("INSERT INTO word VALUES (?, ?)", (word, step))
        database.execute("INSERT INTO word_text (rowid, word) VALUES (?, ?)", (made.lastrowid, word))
    elif row[1] + step > 0:
        database.execute("UPDATE word SET uses = ? WHERE rowid = ?", (row[1] + step, row[0]))
    else:
        database.execute("DELETE FROM word WHERE rowid = ?", (row[0],))
        database.execute("DELETE FROM word_text WHERE rowid = ?", (row[0],))
