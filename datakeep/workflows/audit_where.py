"""``audit --where``: which versions and files have rows with a key value, and which models used them (L22)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datakeep.core.conditions import parse_condition
from datakeep.core.counts import counted
from datakeep.core.errors import ImpossibleValue, UnknownName
from datakeep.core.names import nearest, version_number
from datakeep.lineage import records
from datakeep.workflows.file_verdicts import FileRead, undeclared_of, verdict_of, verdict_of_undeclared
from datakeep.workflows.index import ask
from datakeep.workflows.rows_where import search_rows
from datakeep.workflows.sizes_here import SizesHere
from datakeep.workflows.undeclared import matters, recognise, with_what_was_read
from datakeep.workflows.used_by import SomeFiles, broken_records, candidates, models_through

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.formats.model import ModelRecord
    from datakeep.lineage.backwards import Node, Reached, Way
    from datakeep.lineage.index import Index
    from datakeep.lineage.records import Broken
    from datakeep.lineage.same_bytes import SameBytes
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.rows_where import HavingVersion, Search


@dataclass(frozen=True, slots=True)
class RowsUsedBy:
    """The answer; the values that were asked for are not in it.

    Attributes:
        columns: Which the condition names.
        search: What has such rows, and what was not searched.
        models: What each model that used one of these versions read of the files with such rows.
        derived: Datasets that were derived from these versions; whether the rows are in them is not known.
        through: Models that these versions reached through others, likewise.
        open: Where a way ends at a record that is missing or broken.
        broken: Model records that cannot be read, and might have told more.
        asked: Dataset and version, all that were asked about.
        records: Of the models.
    """

    columns: tuple[str, ...]
    search: Search
    models: tuple[FileRead, ...] = ()
    derived: tuple[Way, ...] = ()
    through: tuple[Way, ...] = ()
    open: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()
    asked: tuple[tuple[str, str], ...] = ()
    records: tuple[ModelRecord, ...] = ()


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
    answer = RowsUsedBy(condition.columns, found, asked=asked)
    return _used_by(keep, answer) if found.having else replace(answer, broken=broken_records(keep))


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
    if not numbers.different or numbers.lacking < numbers.different or found.unsearched:
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
    if fit or others or not things:
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

    def question(index: Index) -> tuple[list[tuple[list[str], Reached]], list[SameBytes]]:
        same = [
            match
            for one in having
            for match in recognise(index, one.dataset, version_number(one.version)).found
            if any(file.path == match.path for file in one.files)
        ]
        return [candidates(index, one.dataset, version_number(one.version)) for one in having], same

    answers, same = ask(keep, question, files=ask(keep, matters, files=False))
    paths = {path for some, _ in answers for path in some}
    used = records.all_records(SomeFiles(keep.tree, paths))
    versions = {(one.dataset, one.version): one for one in having}
    sizes = SizesHere(keep)
    models = tuple(
        FileRead(
            record.label,
            f"{given.dataset}@{given.version}",
            *verdict_of(keep, record, given, [file.path for file in one.files], sizes),
        )
        for record in used.records
        for given in record.inputs
        if (one := versions.get((given.dataset, given.version)))
    )
    models += tuple(
        FileRead(
            record.label,
            f"{one.dataset}@{one.version}",
            *verdict_of_undeclared(
                record,
                one.dataset,
                one.version,
                [file.path for file in one.files],
                sizes,
                _places(same, record, one),
            ),
        )
        for record in used.records
        for one in having
        if one.version in undeclared_of(record, one.dataset)
        and not any((given.dataset, given.version) == (one.dataset, one.version) for given in record.inputs)
    )
    models = with_what_was_read(models, same)
    direct = {one.model for one in models}
    ways = _shortest([way for _, reached in answers for way in reached.ways], having)
    derived = tuple(way for way in ways if way.end.kind == "dataset")
    through = tuple(
        way
        for _, reached in answers
        for way in models_through(reached, used.records)
        if way in ways and str(way.end) not in direct
    )
    opened = tuple(dict.fromkeys(line for _, reached in answers for line in reached.open))
    return replace(
        answer,
        models=models,
        derived=derived,
        through=tuple(dict.fromkeys(through)),
        open=opened,
        broken=used.broken,
        records=tuple(record for record in used.records if record.label in direct),
    )


def _places(same: Sequence[SameBytes], record: ModelRecord, having: HavingVersion) -> set[str]:
    """Where the record says that the very bytes of these files were read."""
    wanted = (record.label, having.dataset, having.version)
    return {one.at for one in same if (one.model, one.dataset, one.version) == wanted}


def _shortest(ways: Sequence[Way], having: Sequence[HavingVersion]) -> list[Way]:
    """The shortest way to each end that is not one of the versions themselves."""
    starts = {(one.dataset, version_number(one.version)) for one in having}
    best: dict[Node, Way] = {}
    for way in sorted(ways, key=lambda way: len(way.nodes)):
        end = way.end
        if not (end.kind == "dataset" and (end.name, end.number) in starts):
            best.setdefault(end, way)
    return sorted(best.values(), key=lambda way: (way.end.kind, way.end.name, way.end.number))
