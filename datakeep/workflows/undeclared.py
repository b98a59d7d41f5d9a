"""What models read without declaring it, recognised by its bytes: whose files those are, and what that answers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datakeep.lineage import same_bytes
from datakeep.workflows.file_verdicts import FileRead
from datakeep.workflows.index import NotSearched, ask, not_searched

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from datakeep.formats.model import ModelRecord
    from datakeep.lineage.index import Index
    from datakeep.lineage.same_bytes import SameBytes
    from datakeep.workflows.keep import Keep

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Recognised:
    """What was read, undeclared, with the bytes of a dataset's files.

    Attributes:
        found: Each of them.
        lacking: Whose lists of files are not here, so that nobody could look; None if undeclared files are in none.
        unlisted: Models that read more undeclared files than their records list.
    """

    found: tuple[SameBytes, ...] = ()
    lacking: NotSearched | None = None
    unlisted: tuple[str, ...] = ()

    @property
    def models(self) -> frozenset[str]:
        """``churn@v7``, each."""
        return frozenset(one.model for one in self.found)


def matters(index: Index) -> bool:
    """Whether any record tells of undeclared files by their bytes: elsewhere no question looks further."""
    return same_bytes.any_read(index.database)


def recognise(index: Index, dataset: str, number: int | None = None, path: str | None = None) -> Recognised:
    """What was read with the bytes of a dataset, a version of it, or one file."""
    if not matters(index):
        return Recognised(unlisted=tuple(same_bytes.unlisted(index.database)))
    same_bytes.refresh(index.database)
    return Recognised(
        tuple(same_bytes.of_dataset(index.database, dataset, number, path)),
        not_searched(index, "files", dataset, number),
        tuple(same_bytes.unlisted(index.database)),
    )


def of_model(
    keep: Keep, record: ModelRecord, *, fetch: bool = False
) -> tuple[dict[str, list[SameBytes]], tuple[str, ...]]:
    """By place, the registered files with the bytes of what the record lists as undeclared; and what is not known.

    Args:
        keep: The keep.
        record: Of the model.
        fetch: Get the file lists that are not here.
    """
    if not any(one.get("sha256") for one in record.undeclared):
        return {}, ()

    def question(index: Index) -> tuple[list[SameBytes], NotSearched | None]:
        same_bytes.refresh(index.database)
        path = f"models/{record.model}/{record.version}.yaml"
        return same_bytes.of_model(index.database, path), not_searched(index)

    every, lacking = ask(keep, question, fetch=fetch)
    found: dict[str, list[SameBytes]] = defaultdict(list)
    for one in every:
        found[one.at].append(one)
    return found, _gap(lacking)


def _gap(lacking: NotSearched | None) -> tuple[str, ...]:
    return (f"whose bytes undeclared files have: not searched: {lacking}",) if lacking else ()


def of_all(keep: Keep) -> tuple[list[SameBytes], list[str]]:
    """What all models read without declaring it and whose it is, and what was not looked at.

    Where nobody read anything so, no list of files is read.
    """
    if not ask(keep, matters, files=False):
        return [], []

    def question(index: Index) -> tuple[list[SameBytes], list[str]]:
        same_bytes.refresh(index.database)
        gaps = [*same_bytes.not_looked_at(index.database), *_gap(not_searched(index))]
        return same_bytes.of_all(index.database), gaps

    return ask(keep, question)


@dataclass(frozen=True, slots=True)
class Reader:
    """A model that read some bytes without declaring them, and the places where they lay."""

    model: str
    at: tuple[str, ...]
    is_sure: bool


def readers(keep: Keep, sha256: str) -> tuple[Reader, ...]:
    """The models whose records list a file with this digest as undeclared, by name."""
    return ask(keep, lambda index: readers_in(index, sha256), files=False)


def readers_in(index: Index, digits: str) -> tuple[Reader, ...]:
    """As :func:`readers`, of a digest or its beginning."""
    places: dict[str, dict[str, bool]] = defaultdict(dict)
    for model, at, is_sure in same_bytes.readers(index.database, digits):
        places[model][at] = is_sure
    return tuple(Reader(model, tuple(some), any(some.values())) for model, some in places.items())


def in_words(found: Iterable[SameBytes]) -> str:
    """``orders@v3:train/c.csv (in v1 and v2 too)``: whose bytes these are, some of them named."""
    versions: dict[tuple[str, str], list[int]] = defaultdict(list)
    for one in found:
        versions[one.dataset, one.path].append(one.number)
    said = []
    for (dataset, path), numbers in versions.items():
        newest, *older = sorted(set(numbers), reverse=True)
        too = f" (and in {_several(older)})" if older else ""
        said.append(f"{dataset}@v{newest}:{path}{too}")
    more = f", and {len(said) - _SHOWN:,} more" if len(said) > _SHOWN else ""
    return ", ".join(said[:_SHOWN]) + more


def places(found: Iterable[SameBytes]) -> str:
    """Where they were read: ``/tmp/a.csv, /tmp/b.csv``."""
    at = list(dict.fromkeys(one.at for one in found))
    return ", ".join(at[:_SHOWN]) + (f", and {len(at) - _SHOWN:,} more" if len(at) > _SHOWN else "")


def _several(numbers: Sequence[int]) -> str:
    shown = ", ".join(f"v{one}" for one in sorted(numbers)[:_SHOWN])
    return shown if len(numbers) <= _SHOWN else f"{len(numbers):,} older versions"


def with_what_was_read(models: Sequence[FileRead], found: Iterable[SameBytes]) -> tuple[FileRead, ...]:
    """The verdicts, where these very bytes were read without being declared: that is "read", wherever they lay.

    A model that names none of the versions gets a verdict of its own, about the newest of them.
    """
    by_model: dict[tuple[str, str], list[SameBytes]] = defaultdict(list)
    for one in found:
        by_model[one.model, one.dataset].append(one)
    told = list(models)
    for (model, dataset), some in by_model.items():
        named = {f"{dataset}@{one.version}" for one in some}
        verdict = _verdict(model, some)
        mine = [
            place for place, one in enumerate(told) if one.model == model and one.dataset_version in named
        ]
        for place in mine:
            if told[place].verdict != "read":
                told[place] = replace(verdict, dataset_version=told[place].dataset_version)
        if not mine and not any(one.model == model and one.verdict == "read" for one in told):
            told.append(verdict)
    return tuple(told)


def _verdict(model: str, some: Sequence[SameBytes]) -> FileRead:
    newest = max(some, key=lambda one: one.number)
    sure = [one for one in some if one.is_sure]
    why = f"read, without being declared: the same bytes as {in_words(some)}, at {places(sure or some)}"
    if not sure:
        why += ", which changed during the training or since"
    label = f"{newest.dataset}@{newest.version}"
    return FileRead(model, label, "read" if sure else "not known", why)
