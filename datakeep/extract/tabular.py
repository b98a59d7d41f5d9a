"""Which files are tables, and who reads them: the reader of a format is imported when a file needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datakeep.extract.interface import TabularReader

#: What is compressed keeps the extension of its contents: ``csv.gz``.
_COMPRESSIONS = frozenset({"gz", "bz2", "xz", "zst", "lz4"})
NO_EXTENSION = "no extension"
TABULAR = frozenset({"csv", "tsv", "parquet", "pq", "jsonl", "ndjson"})
#: Of those, the ones in which each row names its values, and may leave out some.
KEYED = frozenset({"jsonl", "ndjson"})


def extension(path: str) -> str:
    """The format that the name of a file claims: ``csv``, ``csv.gz``, or ``no extension``."""
    name = path.rpartition("/")[2].lstrip(".").lower()
    stem, _, last = name.rpartition(".")
    if not stem or not last:
        return NO_EXTENSION
    inner = stem.rpartition(".")
    return f"{inner[2]}.{last}" if last in _COMPRESSIONS and inner[0] and inner[2] else last


def reader_of(kind: str) -> TabularReader:
    """The reader of a format in :data:`TABULAR`."""
    if kind in ("csv", "tsv"):
        from datakeep.extract.csv_file import CsvReader

        return CsvReader(separator="\t" if kind == "tsv" else None)
    if kind in ("parquet", "pq"):
        from datakeep.extract.parquet_file import ParquetReader

        return ParquetReader()
    from datakeep.extract.jsonlines_file import JsonLinesReader

    return JsonLinesReader()
