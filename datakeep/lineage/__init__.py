"""What models were made of: reading and searching the model records of a keep (L21, L22).

``records`` finds them by the digest of a model's file, or by the model's name; where the files come from is the
caller's affair: a small protocol stands for the keep. ``steps`` and ``backwards`` go from data to models.
"""

from __future__ import annotations

from datakeep.lineage.records import (
    Broken,
    Found,
    Reader,
    all_records,
    find_by_digest,
    find_by_model,
    names,
    record_path,
)

__all__ = [
    "Broken",
    "Found",
    "Reader",
    "all_records",
    "find_by_digest",
    "find_by_model",
    "names",
    "record_path",
]
