"""The tables of the index, and opening a database that has them.

A database of another format, damaged or half made is no fault of its user: it is made anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Another number is another format: such a database is made anew.
FORMAT = "7"
_BUSY_S = 5.0
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE entry (path TEXT PRIMARY KEY, object TEXT, kind TEXT, name TEXT, number INTEGER,
                    fault TEXT, data TEXT);
CREATE INDEX entry_name ON entry (kind, name, number);
CREATE INDEX entry_object ON entry (object);
CREATE INDEX entry_fault ON entry (kind) WHERE fault IS NOT NULL;
CREATE TABLE version (path TEXT PRIMARY KEY, dataset TEXT, number INTEGER, commit_id TEXT, content TEXT,
                      inventory TEXT, files INTEGER, stores TEXT, backend TEXT, unfit TEXT,
                      registered_s REAL) WITHOUT ROWID;
CREATE INDEX version_commit ON version (commit_id);
CREATE INDEX version_content ON version (content);
CREATE INDEX version_inventory ON version (inventory);
CREATE INDEX version_dataset ON version (dataset, number);
CREATE TABLE artifact (path TEXT, sha256 TEXT, file TEXT, size_bytes INTEGER, means INTEGER, recorded_s REAL);
CREATE INDEX artifact_sha256 ON artifact (sha256);
CREATE INDEX artifact_path ON artifact (path);
CREATE INDEX artifact_file ON artifact (file);
CREATE TABLE undeclared (path TEXT, sha256 TEXT, at TEXT, changed INTEGER);
CREATE INDEX undeclared_sha256 ON undeclared (sha256);
CREATE INDEX undeclared_path ON undeclared (path);
CREATE TABLE same (sha256 TEXT, inventory INTEGER, file TEXT);
CREATE INDEX same_sha256 ON same (sha256);
CREATE TABLE searched (sha256 TEXT PRIMARY KEY, unseen INTEGER) WITHOUT ROWID;
CREATE INDEX same_inventory ON same (inventory);
CREATE TABLE leads (path TEXT, how TEXT, name TEXT, number INTEGER);
CREATE INDEX leads_from ON leads (how, name, number);
CREATE INDEX leads_path ON leads (path);
CREATE TABLE query (path TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID;
CREATE TABLE object (name TEXT, path TEXT, what TEXT);
CREATE INDEX object_name ON object (name);
CREATE INDEX object_path ON object (path);
CREATE TABLE lost (path TEXT, how TEXT, name TEXT, number INTEGER);
CREATE INDEX lost_name ON lost (how, name);
CREATE INDEX lost_path ON lost (path);
CREATE TABLE wanting (path TEXT PRIMARY KEY, dataset TEXT, number INTEGER, files INTEGER, sql INTEGER,
                      fresh INTEGER) WITHOUT ROWID;
CREATE INDEX wanting_files ON wanting (dataset, number) WHERE files;
CREATE INDEX wanting_sql ON wanting (dataset, number) WHERE sql;
CREATE INDEX wanting_fresh ON wanting (dataset, number) WHERE fresh;
CREATE INDEX wanting_dataset ON wanting (dataset, number);
CREATE TABLE wanted (files INTEGER, sql INTEGER);
INSERT INTO wanted VALUES (0, 0);
CREATE TRIGGER wanting_more AFTER INSERT ON wanting BEGIN
  UPDATE wanted SET files = files + new.files, sql = sql + new.sql; END;
CREATE TRIGGER wanting_less AFTER DELETE ON wanting BEGIN
  UPDATE wanted SET files = files - old.files, sql = sql - old.sql; END;
CREATE TRIGGER wanting_other AFTER UPDATE OF files, sql ON wanting BEGIN
  UPDATE wanted SET files = files + new.files - old.files, sql = sql + new.sql - old.sql; END;
CREATE TABLE doc (id INTEGER PRIMARY KEY, kind TEXT, name TEXT, field TEXT, number INTEGER, text TEXT,
                  folded TEXT);
CREATE INDEX doc_name ON doc (kind, name, field);
CREATE INDEX doc_alias ON doc (text) WHERE field = 'alias';
CREATE INDEX doc_end ON doc (substr(folded, -2));
CREATE VIRTUAL TABLE doc_text USING fts5 (folded, tokenize = 'trigram');
CREATE TABLE shape (id INTEGER PRIMARY KEY, name TEXT, folded TEXT);
CREATE INDEX shape_name ON shape (name);
CREATE INDEX shape_any ON shape (name) WHERE folded = '';
CREATE VIRTUAL TABLE shape_text USING fts5 (folded, tokenize = 'trigram');
CREATE TABLE word (word TEXT PRIMARY KEY, uses INTEGER);
CREATE VIRTUAL TABLE word_text USING fts5 (word, tokenize = 'trigram');
CREATE TABLE inventory (number INTEGER PRIMARY KEY, digest TEXT UNIQUE, files INTEGER, paths INTEGER,
                        patterns BLOB);
CREATE TABLE chunk (inventory INTEGER, first INTEGER, paths BLOB, PRIMARY KEY (inventory, first));
CREATE TABLE head (inventory INTEGER, first INTEGER, heads BLOB, PRIMARY KEY (inventory, first)) WITHOUT ROWID;
CREATE TABLE segment (id INTEGER PRIMARY KEY, files INTEGER);
CREATE TABLE block (id INTEGER PRIMARY KEY, kind TEXT, segment INTEGER, first BLOB, last BLOB, data BLOB);
CREATE INDEX block_last ON block (kind, segment, last, first);
"""


def create(path: Path | None) -> sqlite3.Connection:
    """An empty index in a new file at ``path``; without one in a place that is gone when it is closed."""
    database = _connect(str(path) if path else "")
    if path:
        database.execute("PRAGMA journal_mode = WAL")
    with transaction(database):
        for statement in _TABLES.split(";\n"):
            if statement.strip():
                database.execute(statement)
        set_meta(database, "format", FORMAT)
    return database


def connect(path: Path) -> sqlite3.Connection | None:
    """The index in the file ``path``; None if there is none of this format.

    Raises:
        sqlite3.Error: It is damaged, or cannot be used now.
    """
    if not path.is_file():
        return None
    database = _connect(str(path))
    try:
        found = meta(database, "format")
    except sqlite3.OperationalError as error:
        database.close()
        if is_busy(error):
            raise
        return None  # half made: it has no such table
    except sqlite3.Error:
        database.close()
        raise
    if found == FORMAT:
        return database
    database.close()
    return None


def _connect(name: str) -> sqlite3.Connection:
    database = sqlite3.connect(name, timeout=_BUSY_S, isolation_level=None)
    database.execute("PRAGMA synchronous = NORMAL")  # it can be made again
    database.execute("PRAGMA temp_store = FILE")
    return database


def remove(path: Path) -> None:
    """The files of the index at ``path`` are gone."""
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        name.unlink(missing_ok=True)


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All that is written in the ``with`` block is written, or nothing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def meta(database: sqlite3.Connection, key: str) -> str | None:
    """A fact of the index about itself; None if it is not stated."""
    found = database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return str(found[0]) if found else None


def set_meta(database: sqlite3.Connection, key: str, value: str) -> None:
    """State a fact of the index about itself."""
    database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process is at work, or the place cannot be written: nothing that making it anew mends."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(
        ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR",
         "SQLITE_PERM")
    )  # fmt: skip
