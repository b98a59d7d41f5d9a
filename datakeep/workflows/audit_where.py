"""``audit --where``: which versions and files have rows with a key value, and which models used them (L22)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from datakeep.core.conditions import parse_condition
from datakeep.core.counts import counted
from datakeep.core.errors import ImpossibleValue, UnknownName
from datakeep.core.names import nearest, version_number
from datakeep.lineage import same_bytes
from datakeep.lineage.steps import Node
from datakeep.workflows.every_way import EveryWay, alike, gather, tell
from datakeep.workflows.file_verdicts import Wanted
from datakeep.workflows.index import ask
from datakeep.workflows.rows_where import search_rows
from datakeep.workflows.sizes_here import SizesHere
from datakeep.workflows.undeclared import matters
from datakeep.workflows.used_by import broken_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.lineage.backwards import Way
    from datakeep.lineage.index import Index
    from datakeep.workflows.every_way import Gathered
    from datakeep.workflows.file_verdicts import FileRead
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.rows_where import HavingVersion, Search


@dataclass(frozen=True, slots=True)
class RowsUsedBy:
    """The answer; the values that were asked for are not in it.

    Attributes:
        columns: Which the condition names.
        search: What has such rows, and what was not searched.
        ways: What each model read of the files with such rows, and through which others they reached models.
        asked: Dataset and version, all that were asked about.
        is_part: Whether those are not all datasets of the keep, which may have the same files too.
    """

    columns: tuple[str, ...]
    search: Search
    ways: EveryWay = field(default_factory=EveryWay)
    asked: tuple[tuple[str, str], ...] = ()
    is_part: bool = False

    @property
    def models(self) -> tuple[FileRead, ...]:
        """What each model read of the files with such rows."""
        return self.ways.models

    @property
    def derived(self) -> tuple[Way, ...]:
        """Datasets that were derived from these versions; whether the rows are in them is not known."""
        return self.ways.derived

    @property
    def through(self) -> tuple[Way, ...]:
        """Models that these versions reached through others."""
        return (*self.ways.carried, *self.ways.through)


def audit_where(
    keep: Keep, text: str, subjects: Sequence[str] = (), *, fetch: bool = False, rehash: bool = False
) -> RowsUsedBy:
    """Which versions have rows that satisfy a condition, and which models went through them.

    Args:
        keep: The keep.
        text: ``customer_id = 4711``.
        subjects: ``orders`` or ``orders@v3``, each; all datasets by default.
        fetch: Get what is not on this machine.
        rehash: Hash every Parquet file before it is believed.

    Raises:
        UsageError: It is no condition.
        ImpossibleValue: All that was asked about is here, and none of it could be searched for such a value.
        UnknownName: There is no such dataset or version; or all that was asked about was searched, and no table of
            it has such a column.
    """
    condition = parse_condition(text)
    keep.warn_if_behind()
    versions = _versions(keep, subjects)
    found = search_rows(keep, condition, versions, fetch=fetch, rehash=rehash)
    _require_column(condition.columns, found)
    _require_possible(found)
    asked = tuple((name, version) for name, some in versions.items() for version in some)
    answer = RowsUsedBy(condition.columns, found, asked=asked, is_part=bool(subjects))
    nothing = EveryWay(broken=broken_records(keep))
    return _used_by(keep, answer) if found.having else replace(answer, ways=nothing)


def _versions(keep: Keep, subjects: Sequence[str]) -> dict[str, list[str]]:
    """What is to be searched, by dataset."""
    if not subjects:
        return {name: keep.versions(name) for name in keep.datasets}
    wanted: dict[str, list[str]] = {}
    for subject in subjects:
        found = keep.resolve(subject)
        some = [str(found.version)] if "@" in subject else keep.versions(found.name)
        wanted[found.name] = sorted({*wanted.get(found.name, ()), *some}, key=version_number)
    return wanted


def _require_column(columns: Sequence[str], found: Search) -> None:
    numbers = found.numbers
    if not found.is_complete or numbers.lacking < numbers.different:
        return
    absent = [name for name in columns if name not in found.columns]
    if not absent:
        return
    near = _near(absent[0], found.columns)
    raise UnknownName(
        f"no table has a column {absent[0]!r}: {counted(numbers.different, 'different file')} of "
        f"{counted(numbers.versions, 'version')} searched" + (f"; did you mean {near!r}?" if near else ""),
        next_step=f"name one of: {', '.join(found.columns[:10])}",
    )


def _require_possible(found: Search) -> None:
    """Where no file with such a column could be searched, and only because of the value, it was mistyped."""
    numbers = found.numbers
    fit = numbers.different - numbers.lacking - numbers.impossible
    others = [one for one in found.unsearched if not one.otherwise]
    things = [
        *(f"{one.version}: {one.column} is {one.type}: {one.why}" for one in found.impossible),
        *(f"{one.version}: {one.why}" for one in found.unsearched if one.otherwise),
    ]
    if fit or others or found.other_tables or not things:
        return
    raise ImpossibleValue(
        f"no row was looked for, since no row can have the value as it was typed: {things[0]}",
        next_step="type it as the column's type has it (datakeep show NAME@V lists the columns), and ask again",
        things=things if len(things) > 1 else (),
    )


def _near(name: str, columns: Sequence[str]) -> str | None:
    folded = {column.casefold(): column for column in columns}
    return folded.get(name.casefold()) or nearest(name, columns)


def _used_by(keep: Keep, answer: RowsUsedBy) -> RowsUsedBy:
    having = answer.search.having

    def question(index: Index) -> Gathered:
        same_bytes.refresh(index.database)
        same = []
        for one in having:
            paths = {file.path for file in one.files}
            read = same_bytes.of_dataset(index.database, one.dataset, version_number(one.version))
            same += [match for match in read if match.path in paths]
        not_looked_at: dict[str, None] = {}
        wanted = _wanted(index, having, not_looked_at, is_part=answer.is_part)
        return gather(index, wanted, same, not_looked_at)

    gathered = ask(keep, question, files=answer.is_part or ask(keep, matters, files=False))
    return replace(answer, ways=tell(keep, gathered, SizesHere(keep)))


def _wanted(
    index: Index, having: Sequence[HavingVersion], not_looked_at: dict[str, None], *, is_part: bool
) -> list[Wanted]:
    """The files with such rows, and wherever else their bytes are registered."""
    wanted = []
    for one in having:
        node = Node("dataset", one.dataset, version_number(one.version))
        wanted.append(Wanted(one.dataset, one.version, tuple(file.path for file in one.files), node))
    if not is_part:
        return wanted
    known = {one.label for one in wanted}
    others: dict[tuple[str, str], tuple[Wanted, dict[str, None]]] = {}
    for first, one in zip(wanted, having, strict=True):
        digests = {file.sha256 for file in one.files}
        for key, paths in sorted(alike(index, digests, not_looked_at).items()):
            if "@".join(key) not in known:
                others.setdefault(key, (first, {}))[1].update(dict.fromkeys(paths))
    return wanted + [
        Wanted(name, version, tuple(paths), first.asked, first.label)
        for (name, version), (first, paths) in others.items()
    ]
