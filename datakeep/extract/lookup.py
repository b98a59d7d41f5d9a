"""How many rows of a table satisfy a condition: no more is read than that needs, and nothing unread is "none".

Parquet by :mod:`datakeep.extract.lookup_parquet`; CSV, TSV and JSON-lines, compressed ones too, by
:mod:`datakeep.extract.lookup_text`, to their end.
"""

from __future__ import annotations

import shutil
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from datakeep.core.errors import SourceMalformed
from datakeep.extract.tabular import extension
from datakeep.extract.typed import CannotTell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import IO

    from datakeep.core.conditions import Condition

#: Compressed texts, by what their name ends in, as Arrow calls the compression.
_COMPRESSED = {"gz": "gzip", "bz2": "bz2", "zst": "zstd", "lz4": "lz4", "xz": "xz"}
_TEXTS = frozenset({"csv", "tsv", "jsonl", "ndjson", "json"})
#: Tables that nobody here looks into; and how a file of any table may be packed besides.
_OTHER_TABLES = frozenset({
    "xlsx", "xlsm", "xlsb", "xls", "ods", "feather", "arrow", "ipc", "orc", "avro", "db", "sqlite", "sqlite3",
    "duckdb", "sav", "dta", "sas7bdat", "dbf", "mdb", "accdb",
})  # fmt: skip
_PACKED = frozenset({"zip", "7z", "rar", "gzip", "br", "sz", "snappy"})
#: What a compressed file may become, for each of its bytes; more is no table but an attack on the disk.
_MAX_RATIO = 2000
_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RowGroups:
    """What became of the row groups of a Parquet file."""

    count: int = 0
    by_statistics: int = 0
    by_bloom: int = 0

    @property
    def read(self) -> int:
        """Those whose columns were read."""
        return self.count - self.by_statistics - self.by_bloom

    def __add__(self, other: RowGroups) -> RowGroups:
        return RowGroups(
            self.count + other.count,
            self.by_statistics + other.by_statistics,
            self.by_bloom + other.by_bloom,
        )


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found in one file.

    Attributes:
        rows: How many satisfy the condition.
        lacking: The columns of the condition that the file does not have; then no row can satisfy it.
        columns: The file's own columns, where it lacks one.
        remarks: How the values were taken, where that is not plain.
        groups: Of Parquet.
        impossible: Why no value of a column can be the one that is asked for: the column, its type, the reason.
    """

    rows: int
    lacking: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    groups: RowGroups = RowGroups()
    impossible: tuple[str, str, str] | None = None


Way = Literal["parts", "whole"]


def way_of(path: str) -> Way | None:
    """How a file is looked through: in ``parts`` or ``whole``; None of one that is no table that can be."""
    kind, _, compression = extension(path).partition(".")
    if kind in ("parquet", "pq"):
        return None if compression else "parts"
    return "whole" if kind in _TEXTS and (not compression or compression in _COMPRESSED) else None


def is_other_table(path: str) -> bool:
    """Whether a file that is not looked through is a table all the same, by its name: ``x.xlsx``, ``x.csv.zip``."""
    kind, _, compression = extension(path).partition(".")
    if kind in _PACKED:
        kind, compression = extension(path[: -len(kind) - 1]).partition(".")[0], kind
    return kind in _OTHER_TABLES or bool(compression and kind in (*_TEXTS, "parquet", "pq"))


def look_in_parts(shown: str, file: IO[bytes], condition: Condition) -> Looked:
    """What a Parquet file has, of which only footer, Bloom filters and possible row groups are read.

    Args:
        shown: Its name in messages.
        file: Can be read from anywhere.
        condition: What rows must be.

    Raises:
        SourceMalformed: It is not whole Parquet.
        CannotTell: A column cannot be searched for such a value.
    """
    from datakeep.extract.lookup_parquet import look

    return _as_meant(lambda asked: look(shown, file, asked), condition)


def look_through(shown: str, file: Path, condition: Condition, scratch: Path) -> Looked:
    """What a text file has, which is read to its end.

    Args:
        shown: Its name in messages and its format.
        file: Where it is.
        condition: What rows must be.
        scratch: A folder for what is compressed.

    Raises:
        SourceMalformed: It is not what its name says.
        CannotTell: A column cannot be searched for such a value.
    """
    from datakeep.extract import lookup_text

    def look(place: Path) -> Looked:
        return _as_meant(lambda asked: lookup_text.look(shown, place, kind, asked), condition)

    kind, _, compression = extension(shown).partition(".")
    if not compression:
        return look(file)
    unpacked = scratch / f"unpacked.{kind}"
    try:
        _unpack(shown, file, unpacked, _COMPRESSED[compression])
        return look(unpacked)
    finally:
        unpacked.unlink(missing_ok=True)


def _as_meant(look: Callable[[Condition], Looked], condition: Condition) -> Looked:
    """What ``look`` finds; a column that the file writes with other capitals, or spaces around it, is meant too."""
    found = look(condition)
    called: dict[str, str] = {}
    for name in found.lacking:
        like = [one for one in found.columns if _plain(one) == _plain(name)]
        if len(like) > 1:
            raise CannotTell(f"by {name}, more than one of its columns can be meant: {', '.join(like)}")
        called |= dict.fromkeys([name], *like) if like else {}
    if not called or len(called) < len(found.lacking):
        return found
    tests = tuple(replace(test, column=called.get(test.column, test.column)) for test in condition.tests)
    remarks = [f"the column {other!r} was taken for {name}" for name, other in called.items()]
    again = look(replace(condition, tests=tests))
    return replace(again, remarks=(*remarks, *again.remarks))


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip()).casefold()


def _unpack(shown: str, file: Path, target: Path, compression: str) -> None:
    import pyarrow as pa

    most = min(file.stat().st_size * _MAX_RATIO, shutil.disk_usage(target.parent).free // 2)
    size_bytes = 0
    try:
        with (
            file.open("rb") as raw,
            _unpacking(raw, compression) as source,
            target.open("wb") as sink,
        ):
            while chunk := source.read(_COPY_BYTES):
                size_bytes += len(chunk)
                if size_bytes > most:
                    raise SourceMalformed(
                        f"{shown} unpacks to more than {most:,} bytes",
                        next_step="make room for temporary files (TMPDIR), or look at it by hand",
                    )
                sink.write(chunk)
    except (pa.ArrowException, EOFError, OSError, *_faults(compression)) as error:
        cause = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise SourceMalformed(
            f"{shown} cannot be unpacked: {cause}", next_step="look at it by hand"
        ) from error


def _faults(compression: str) -> tuple[type[Exception], ...]:
    """What reading xz raises beside what all raise."""
    if compression != "xz":
        return ()
    import lzma

    return (lzma.LZMAError,)


def _unpacking(raw: IO[bytes], compression: str) -> Any:
    """The unpacked bytes; xz, which Arrow does not know, by Python."""
    if compression == "xz":
        import lzma

        return lzma.open(raw)
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(raw, "r"), compression)
