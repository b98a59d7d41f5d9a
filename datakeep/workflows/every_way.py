"""Which models some files of a dataset went into, by every way: read as declared, read as a copy, and through others.

The answers about one file and about rows are both made here. "Not read" is said of a model only where every way is
excluded: where its own run did not read the files, but something that it was made of did or may have, it says so.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.names import version_number
from datakeep.lineage import hashes, records, same_bytes
from datakeep.lineage.backwards import Way, further, open_ends
from datakeep.lineage.steps import Node, onward
from datakeep.workflows.file_verdicts import RANK, readers
from datakeep.workflows.index import ask
from datakeep.workflows.some_files import SomeFiles
from datakeep.workflows.undeclared import matters, with_what_was_read

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from datakeep.formats.model import ModelRecord
    from datakeep.lineage.index import Index
    from datakeep.lineage.records import Broken
    from datakeep.lineage.same_bytes import SameBytes
    from datakeep.workflows.file_verdicts import FileRead, Wanted
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.sizes_here import SizesHere

#: Files of the same bytes that are looked at, for each digest.
_MAX_ROWS = 2000


@dataclass(frozen=True, slots=True)
class EveryWay:
    """The answer.

    Attributes:
        models: What each model read of the files in each version that it used; those that read them first.
        carried: To models that were made of a model which read the files.
        through: To models that the versions reached through others, where it is not known whether the files did.
        derived: To datasets that were derived from the versions, likewise.
        open: Where a way ends at a record that is missing or broken, one line each.
        broken: Records that cannot be read, and might have told more.
        records: Of ``models``.
        not_looked_at: What nobody looked at, and might have told more, one line each.
    """

    models: tuple[FileRead, ...] = ()
    carried: tuple[Way, ...] = ()
    through: tuple[Way, ...] = ()
    derived: tuple[Way, ...] = ()
    open: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()
    records: tuple[ModelRecord, ...] = ()
    not_looked_at: tuple[str, ...] = ()


@dataclass(slots=True)
class Gathered:
    """What the index knows of wanted files.

    Attributes:
        wanted: The files.
        same: What was read undeclared with the bytes of those that were asked about.
        elsewhere: The same of other files with these bytes.
        paths: Records that can be an answer.
        first: The first steps from each version.
        not_looked_at: As :attr:`EveryWay.not_looked_at`.
    """

    wanted: tuple[Wanted, ...] = ()
    same: tuple[SameBytes, ...] = ()
    elsewhere: list[SameBytes] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    first: dict[tuple[str, str], list[Way]] = field(default_factory=dict)
    not_looked_at: tuple[str, ...] = ()


def alike(
    index: Index, digests: Collection[str], not_looked_at: dict[str, None]
) -> dict[tuple[str, str], list[str]]:
    """The versions that have files of these digests, and the paths there; an empty file is like no other.

    Where these are more than anybody looks at in one question, ``not_looked_at`` is told so.
    """
    database = index.database
    wanted = {one for one in digests if not same_bytes.EMPTY.startswith(one)}
    places = [place for _, place in hashes.find_many(database, "sha256", wanted)]
    most = _MAX_ROWS * len(wanted)
    if len(places) > most:
        not_looked_at[f"{counted(len(places) - most, 'more registered file')} of the same bytes"] = None
    paths = hashes.paths_of(database, places[:most])
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    versions: dict[int, list[tuple[str, int]]] = {}
    for place, path in paths.items():
        if place[0] not in versions:
            versions[place[0]] = hashes.versions_of(database, place[0])
        for dataset, number in versions[place[0]]:
            found[dataset, f"v{number}"].append(path)
    return found


def gather(
    index: Index, wanted: Sequence[Wanted], same: Sequence[SameBytes], not_looked_at: Iterable[str] = ()
) -> Gathered:
    """Which records may tell of ``wanted``, and the first steps from its versions."""
    database = index.database
    gaps = dict.fromkeys((*not_looked_at, *same_bytes.not_looked_at(database)))
    found = Gathered(tuple(wanted), tuple(same), not_looked_at=tuple(gaps))
    found.paths.update(path for path, _ in index.broken("model"))
    found.paths.update(records.record_path(*one.model.split("@")) for one in same)
    query = (
        "SELECT DISTINCT path FROM leads WHERE how IN ('input', 'given', 'undeclared') AND name = ? "
        "AND number IN (?, 0)"
    )
    for one in wanted:
        node = one.node
        if one.like:
            copied = same_bytes.of_dataset(database, node.name, node.number)
            paths = set(one.paths)
            found.elsewhere += [match for match in copied if match.path in paths]
        found.paths.update(row[0] for row in database.execute(query, (node.name, node.number)))
        start = Way((one.asked,)) if one.asked == node else Way((one.asked,)).then(node, "same")
        steps = [start.then(*step) for step in onward(database, node) if step[1] in ("read", "derived")]
        found.first[one.dataset, one.version] = steps
    return found


def tell(keep: Keep, gathered: Gathered, sizes: SizesHere) -> EveryWay:
    """What is known of every model that the wanted files may have gone into."""
    used = records.all_records(SomeFiles(keep.tree, gathered.paths))
    rows = [
        row
        for record in used.records
        for one in gathered.wanted
        for row in readers(keep, record, one, sizes=sizes, same=(*gathered.same, *gathered.elsewhere))
    ]
    rows = list(with_what_was_read(rows, gathered.same))
    begun = _begun(gathered, rows)
    begun_models = {way.end for ways, _ in begun.values() for way in ways}

    def question(index: Index) -> tuple[dict[Node, Way], dict[Node, Way], tuple[str, ...]]:
        same_bytes.refresh(index.database)
        sure: dict[Node, Way] = {}
        perhaps: dict[Node, Way] = {}
        for dataset, (read, others) in begun.items():
            done = {Node("model", *_parts(row.model)) for row in rows if _has_read(row, dataset, gathered)}
            carried = further(index.database, read)
            # Of a dataset with files that one of them left, others may have been read.
            _shorter(sure, {end: way for end, way in carried.items() if "holds" not in way.hows}, done)
            _shorter(perhaps, further(index.database, [*read, *others]), done)
            _shorter(perhaps, {way.end: way for way in others}, done | _nodes(rows))
        known = {*sure, *perhaps, *begun_models, *_nodes(rows)}
        return sure, perhaps, tuple(open_ends(index.database, known))

    sure, perhaps, opened = ask(keep, question, files=ask(keep, matters, files=False))
    starts = {one.node for one in gathered.wanted}
    perhaps = {node: way for node, way in perhaps.items() if node not in sure and node not in starts}
    models = _judged(rows, {**perhaps, **sure})
    labels = {one.model for one in models}
    return EveryWay(
        models,
        tuple(sure[node] for node in sorted(sure) if node.kind == "model"),
        tuple(perhaps[node] for node in sorted(perhaps) if node.kind == "model"),
        tuple(way for node, way in sorted({**perhaps, **sure}.items()) if node.kind == "dataset"),
        opened,
        used.broken,
        tuple(record for record in used.records if record.label in labels),
        gathered.not_looked_at,
    )


def _shorter(known: dict[Node, Way], found: Mapping[Node, Way], done: Collection[Node]) -> None:
    for node, way in found.items():
        if node not in done and (node not in known or _cost(way) < _cost(known[node])):
            known[node] = way


def _cost(way: Way) -> tuple[bool, int]:
    return way.is_doubtful, len(way.nodes)


def _nodes(rows: Iterable[FileRead]) -> set[Node]:
    return {Node("model", *_parts(row.model)) for row in rows}


def _parts(label: str) -> tuple[str, int]:
    name, _, version = label.partition("@")
    return name, version_number(version)


def _has_read(row: FileRead, dataset: str, gathered: Gathered) -> bool:
    """Whether the model read the files of the dataset itself: how else they reached it adds nothing then."""
    asked = {f"{one.dataset}@{one.version}" for one in gathered.wanted if one.asked.name == dataset}
    return row.verdict == "read" and row.dataset_version in asked


def _begun(gathered: Gathered, rows: Sequence[FileRead]) -> dict[str, tuple[list[Way], list[Way]]]:
    """By dataset that was asked about: the ways to models that read the files, and all others that may lead on."""
    found: dict[str, tuple[list[Way], list[Way]]] = {}
    told = _best(rows)
    for one in gathered.wanted:
        read, others = found.setdefault(one.asked.name, ([], []))
        label = f"{one.dataset}@{one.version}"
        start = Way((one.asked,)) if one.asked == one.node else Way((one.asked,)).then(one.node, "same")
        for (model, used), row in told.items():
            if used == label and row.verdict != "not read":
                way = start.then(Node("model", *_parts(model)), "read")
                (read if row.verdict == "read" else others).append(way)
        for way in gathered.first[one.dataset, one.version]:
            if way.end.kind == "dataset" or (str(way.end), label) not in told:
                others.append(way)
    return found


def _judged(rows: Sequence[FileRead], ways: Mapping[Node, Way]) -> tuple[FileRead, ...]:
    """The rows in order, best known first; "not read" only where nothing else is to be said of the model."""
    best = list(_best(rows).values())
    known = {row.model for row in best if row.verdict != "not read"}
    kept = [row for row in best if row.verdict != "not read" or row.model not in known]
    told = [_through_others(row, ways.get(Node("model", *_parts(row.model)))) for row in kept]
    return tuple(sorted(told, key=lambda row: (RANK[row.verdict], *_parts(row.model))))


def _best(rows: Iterable[FileRead]) -> dict[tuple[str, str], FileRead]:
    """Of each model and version the row that says most: a file may be there several times, under several paths."""
    best: dict[tuple[str, str], FileRead] = {}
    for row in rows:
        known = best.setdefault((row.model, row.dataset_version), row)
        if RANK[row.verdict] < RANK[known.verdict]:
            best[row.model, row.dataset_version] = row
    return best


def _through_others(row: FileRead, way: Way | None) -> FileRead:
    if row.verdict != "not read" or way is None:
        return row
    made = (
        f"it read a file that {way.nodes[-2]} left"
        if way.hows[-1] == "left"
        else f"it was made of {way.nodes[-2]}"
    )
    return replace(row, verdict="through others", why=f"{row.why}, but {made}")
