"""The index of a keep, opened for a question.

The register alone makes most of it; :mod:`datakeep.workflows.collecting` adds the lists of files and SQL that this
machine has. What is not here is counted, so that an answer can say what was not searched.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from datakeep.core.counts import counted
from datakeep.core.errors import DatakeepError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from datakeep.lineage.index import Index
    from datakeep.workflows.keep import Keep

#: Reading so many files takes long enough to say so.
_WORTH_SAYING = 200
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class NotSearched:
    """Versions whose file lists, or SQL, are not on this machine: an answer without them is no "no".

    Attributes:
        what: Of what: ``files`` or ``SQL``.
        count: How many versions.
        such_as: A few of them, as ``orders@v3``.
    """

    what: str
    count: int
    such_as: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.such_as) + (", …" if self.count > len(self.such_as) else "")
        lists = "file lists" if self.what == "files" else self.what
        return f"the {lists} of {counted(self.count, 'version')}, not on this machine: {shown}"


def ask(
    keep: Keep, question: Callable[[Index], _Answer], *, fetch: bool = False, files: bool = True
) -> _Answer:
    """The answer of the index to ``question``; one that turns out to be damaged is made anew first.

    Args:
        keep: The keep.
        question: Reads the index, and returns all that it wants of it.
        fetch: Get the inventories and SQL that are not here.
        files: Whether inventories and SQL matter; without, only the register is looked at.
    """
    from datakeep.lineage import (
        schema,
    )  # late, as all of the index: registering loads this module, and may ask nothing

    try:
        return _asked(keep, question, fetch=fetch, files=files)
    except sqlite3.DatabaseError as error:
        if schema.is_busy(error):
            raise
        schema.remove(_path(keep))
        return _asked(keep, question, fetch=fetch, files=files)


def _asked(keep: Keep, question: Callable[[Index], _Answer], *, fetch: bool, files: bool) -> _Answer:
    index = _open(keep)
    try:
        if files:
            from datakeep.workflows.collecting import Collector  # late: most audits need no lists

            Collector(keep, index, fetch=fetch).collect()
        return question(index)
    finally:
        index.close()


def _path(keep: Keep) -> Path:
    from datakeep.lineage import schema

    return keep.cache(f"index-{schema.FORMAT}.sqlite")


def _open(keep: Keep) -> Index:
    from datakeep.lineage.index import Index

    def starting(count: int) -> None:
        if count >= _WORTH_SAYING:
            keep.progress.stage(f"indexing {counted(count, 'file')} of the keep")

    try:
        place = keep.repository.private_folder() and _path(keep)
    except DatakeepError:
        place = None
    index = Index.open(place, keep.tree, starting=starting)
    if index.temporary:
        keep.progress.warn(f"the index is made for this question only and not kept: {index.temporary}")
    return index


def not_searched(
    index: Index, what: str = "files", dataset: str | None = None, number: int | None = None
) -> NotSearched | None:
    """The versions whose files, or SQL, the index does not know; None if it knows all.

    Args:
        index: The index.
        what: ``files`` or ``SQL``.
        dataset: Only those of one dataset.
        number: Only this version of it.
    """
    from datakeep.lineage import wanting

    count = wanting.count(index.database, what.lower(), dataset, number)
    if not count:
        return None
    names = wanting.some(index.database, what.lower(), dataset, number)
    return NotSearched(what, count, tuple(names))
