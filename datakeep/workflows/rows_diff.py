"""Which rows differ between two versions: by their key, or as wholes; and why they cannot be compared."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from datakeep.core import sizes
from datakeep.core.errors import UnknownName, UsageError
from datakeep.workflows import facts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from datakeep.extract.comparison import Comparison
    from datakeep.formats.inventory import FileEntry, Inventory
    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.bytes_here import BytesHere
    from datakeep.workflows.keep import Keep

#: More bytes of tables on one side are not compared row by row.
MAX_BYTES = 8 << 30
NO_TABLE_CHANGED = "no table changed"


def rows_between(
    keep: Keep,
    here: BytesHere,
    folder: Path,
    old: tuple[VersionEntry, Inventory],
    new: tuple[VersionEntry, Inventory],
    *,
    personal: bool = True,
    limit_bytes: int = MAX_BYTES,
) -> tuple[Comparison | None, str]:
    """How the rows of tables differ that are not the same in both; or why they are not compared.

    Args:
        keep: The keep.
        here: Where the bytes are.
        folder: A temporary one.
        old: A version, and what files it has.
        new: Likewise.
        personal: The data is, or may be, personal: no value of it is given as an example.
        limit_bytes: More bytes of tables on one side are not compared.

    Raises:
        DatakeepError: A table cannot be read.
    """
    from datakeep.extract.compare import compare

    before, after = _other_tables(old[1], new[1])
    if not (before and after):
        return None, NO_TABLE_CHANGED
    size_bytes = max(sum(file.size_bytes for file in some) for some in (before, after))
    if size_bytes > limit_bytes:
        return None, f"the tables that changed have {sizes.size(size_bytes)}"
    sides = []
    for side, entry, files in (("old", old[0], before), ("new", new[0], after)):
        paths, why = _held(here, folder / side, entry, files)
        if why:
            return None, why
        sides.append(paths)
    columns = new[0].manifest.get("columns") or []
    keys = [column["name"] for column in columns if isinstance(column, dict) and column.get("key")]
    told = partial(compare, *sides, personal=personal, progress=keep.progress, scratch=folder)
    try:
        found = told(keys=keys)
    except UnknownName:  # neither side has the key any more
        found = told()
    return found.without_passwords(_passwords(old[0], new[0])), ""


def _passwords(*entries: VersionEntry) -> set[str]:
    """Those of the databases from which versions came, as far as this process knows them."""
    from datakeep.extract.sql.address import address_of
    from datakeep.extract.sql.passwords import passwords_of

    found: set[str] = set()
    for url in {facts.get(entry.manifest, "source.database") for entry in entries}:
        with suppress(UsageError):  # a person may have stated what is no URL
            found.update(passwords_of(address_of(str(url or ""))))
    return found


def _held(
    here: BytesHere, place: Path, entry: VersionEntry, files: Sequence[FileEntry]
) -> tuple[list[tuple[str, Path]], str]:
    """Each of ``files`` where it can be read, every byte of it the registered one; or why one cannot."""
    held = []
    for number, (file, copies) in enumerate(here.each(entry, files, in_parts=[False] * len(files))):
        path, why = here.whole(file, copies, place.with_name(f"{place.name}-{number}"))
        if path is None:
            return [], f"data/{file.path} of {entry.dataset}@{entry.version}: {why}"
        held.append((f"data/{file.path}", path))
    return held, ""


def _other_tables(old: Inventory, new: Inventory) -> tuple[list[FileEntry], list[FileEntry]]:
    """The tables of each side that the other lacks; with one that both have, where a side would have none."""
    from datakeep.extract.tabular import TABULAR, extension

    before, after = ([file for file in side.files if extension(file.path) in TABULAR] for side in (old, new))
    removed, common = _beyond(before, after)
    added, _ = _beyond(after, before)
    if bool(removed) != bool(added) and common:
        base = min(common, key=lambda file: file.size_bytes)
        twin = next(file for file in after if file.sha256 == base.sha256)
        return [*removed, base], [*added, twin]
    return removed, added


def _beyond(
    files: Sequence[FileEntry], others: Sequence[FileEntry]
) -> tuple[list[FileEntry], list[FileEntry]]:
    """Those of ``files`` whose bytes ``others`` do not have as often, and the rest."""
    left = Counter(file.sha256 for file in others)
    beyond: list[FileEntry] = []
    common: list[FileEntry] = []
    for file in files:
        (common if left[file.sha256] > 0 else beyond).append(file)
        left[file.sha256] -= 1
    return beyond, common


def rows_in_words(found: Comparison) -> str:
    """What a comparison found, in one line."""
    if found.by == "key":
        how, changed = f" by {', '.join(found.keys)}", f", {found.changed:,} changed"
    else:
        how, changed = f", as wholes ({found.why_by_row or 'no key is stated'})", ""
    said = f"rows{how}: {found.added:,} added, {found.removed:,} removed{changed}"
    columns = [
        f"{len(some):,} {word}"
        for some, word in (
            (found.columns_added, "added"),
            (found.columns_removed, "removed"),
            (found.types_changed, "of another type"),
        )
        if some
    ]
    return said + (f"; columns: {', '.join(columns)}" if columns else "")


def rows_data(found: Comparison) -> dict[str, Any]:
    """As plain JSON types, without the numbers of all rows: only tables that differ were compared."""
    return {
        "by": found.by,
        "keys": list(found.keys),
        "added": found.added,
        "removed": found.removed,
        "changed": found.changed,
        "columns_added": [name for name, _ in found.columns_added],
        "columns_removed": [name for name, _ in found.columns_removed],
        "types_changed": [name for name, _, _ in found.types_changed],
    }
