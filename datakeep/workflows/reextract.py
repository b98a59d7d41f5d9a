"""``reextract``: the recorded query, run again, beside what it gave: does the source still say the same?"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import UnknownName, UsageError
from datakeep.repository.scratch import scratch
from datakeep.workflows import facts
from datakeep.workflows.checkout import checkout
from datakeep.workflows.extraction import extracted
from datakeep.workflows.source_moved import explanations, moved, other_user, underivable
from datakeep.workflows.wanted_query import Wanted, next_query

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from datakeep.extract.comparison import Comparison
    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.keep import Keep


@dataclass(frozen=True, slots=True)
class Reextracted:
    """What running a version's query again gave.

    Attributes:
        entry: The version.
        comparison: How the rows of now differ from the version's.
        database: Where the query was run, without a password.
        moved: What else is different: the definition of a view, the columns that are read, a type; in words.
        at: When.
        remark: What is different and alone changes nothing, such as the server's version; None if nothing.
        run_by: The user as whom the version's query ran, where another one may see other rows of the same tables.
    """

    entry: VersionEntry
    comparison: Comparison
    database: str
    moved: tuple[str, ...]
    at: datetime
    remark: str | None = None
    run_by: str | None = None

    @property
    def same(self) -> bool:
        """Whether rows and source are what they were."""
        return self.comparison.same and not self.moved


def reextract(
    keep: Keep,
    reference: str,
    *,
    against: str | None = None,
    parameters: Sequence[str] = (),
    timeout_s: int | None = None,
) -> Reextracted:
    """Run the query of a version again, into a temporary place, and compare its rows with the version's.

    Args:
        keep: The keep; nothing in it is changed.
        reference: ``NAME`` or ``NAME@V``.
        against: Another database than the recorded one; its URL may hold a password.
        parameters: ``name=value`` in the place of recorded ones.
        timeout_s: How long the query may take.

    Raises:
        UnknownName: There is no such dataset or version.
        UsageError: The version records no query, or its data are no tables.
        DamagedBytes, StoreUnreachable: The version's own bytes cannot be had.
        QueryFault, DatabaseUnreachable, AccessDenied, DriverMissing: Of the query and the database.
    """
    from datakeep.extract.compare import compare

    entry = keep.readable_entry(reference)
    repository = keep.dataset_repository(entry.dataset)
    if entry.commit not in repository.tags().values():
        repository.fetch()
    wanted = Wanted(parameters=parameters, timeout_s=timeout_s, allow_empty=True)
    query = next_query(wanted, entry, repository, against=against)
    with (
        _later_as_text(keep, entry),
        extracted(query, entry.dataset, keep.progress, by="") as now,
        scratch() as folder,
    ):
        place = folder / "version"
        checkout(keep, f"{entry.dataset}@{entry.version}", place)
        keys = [column["name"] for column in entry.manifest.get("columns") or [] if column.get("key")]
        old = _tables(place / "data", entry)
        new = [(file.name, file) for file in sorted(now.folder.iterdir())]
        personal = facts.get(entry.manifest, "privacy.personal") != "no"
        try:
            found = compare(old, new, keys=keys, personal=personal, progress=keep.progress, scratch=folder)
        except UnknownName:  # a key that neither side has any more names nothing
            found = compare(old, new, personal=personal, progress=keep.progress, scratch=folder)
        found = found.without_passwords(query.passwords)
        before, after = facts.get(entry.manifest, "source.extraction"), now.source["extraction"]
        return Reextracted(
            entry, found, str(now.source["database"]), tuple(moved(before, after)), datetime.now(UTC),
            *_remark(entry.manifest["source"], now.source, same=found.same),
        )  # fmt: skip


@contextmanager
def _later_as_text(keep: Keep, entry: VersionEntry) -> Iterator[None]:
    """A value that a column of this version cannot hold asks for no new version where the newest has it as text."""
    from datakeep.extract.sql.faults import NotExact

    try:
        yield
    except NotExact as fault:
        newest = keep.readable_entry(entry.dataset)
        texts = facts.get(newest.manifest, "source.extraction.as_text") or ()
        if not fault.as_text or not set(fault.as_text) <= {*texts} or newest.version == entry.version:
            raise
        name = f"{newest.dataset}@{newest.version}"
        what = "the columns" if fault.as_text[1:] else "the column"
        raise type(fault)(
            f"{fault.what}; so the rows are not those of {entry.version} any more",
            next_step=f"compare with {name}, which keeps {what} as text: datakeep reextract {name}",
        ) from fault


def _remark(before: dict[str, Any], after: dict[str, Any], *, same: bool) -> tuple[str | None, str | None]:
    """What may explain what differs, and who has to run the query where only that user sees the same rows."""
    found = [*explanations(before.get("extraction"), after["extraction"])]
    found += [] if same else underivable(before.get("extraction"))
    users = other_user(before, after)
    if users:
        tables, was, is_now = users
        found.insert(
            0,
            f"{tables}: row-level security shows each user other rows; the query ran as {was}, and now as {is_now}",
        )
    return "; ".join(found) or None, users[1] if users else None


def _tables(data: Path, entry: VersionEntry) -> list[tuple[str, Path]]:
    from datakeep.extract.tabular import TABULAR, extension

    found = [
        (f"data/{path.relative_to(data).as_posix()}", path)
        for path in sorted(data.rglob("*"))
        if path.is_file() and extension(path.name) in TABULAR
    ]
    if not found:
        raise UsageError(
            f"{entry.dataset}@{entry.version} holds no table that rows could be compared with",
            next_step=f"datakeep show {entry.dataset}@{entry.version}",
        )
    return found
