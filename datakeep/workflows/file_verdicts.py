"""Whether a model read a file, as far as its record tells (L21, L22): read, not read, or not known."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from datakeep.core.counts import counted
from datakeep.core.digests import paths_listed
from datakeep.core.errors import DatakeepError
from datakeep.core.names import version_number
from datakeep.core.patterns import splitter
from datakeep.formats.model_words import missed
from datakeep.formats.yaml import showable_path
from datakeep.lineage.steps import Node

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from datakeep.formats.model import FilesRead, ModelInput, ModelRecord
    from datakeep.lineage.same_bytes import SameBytes
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.sizes_here import SizesHere

#: Of a changed copy it is not known how much of the file it still had; ``through others`` is of one whose own run did
#: not read it, but that was made of something which did, or may have.
Verdict = Literal["read", "changed copy", "not known", "through others", "not read"]
#: What matters most, first.
RANK: dict[Verdict, int] = {one: place for place, one in enumerate(get_args(Verdict))}


@dataclass(frozen=True, slots=True)
class FileRead:
    """Whether a model read the file, as far as its record tells, and why that is so."""

    model: str
    dataset_version: str
    verdict: Verdict
    why: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Files of one version that are asked about.

    Attributes:
        dataset: Its name.
        version: ``v3``.
        paths: Below ``data/``.
        asked: The version that was asked about, which may be another one with files of the same bytes.
        like: That version and file in words, where it is another one.
        is_sure: Whether the version is known to have the files.
    """

    dataset: str
    version: str
    paths: tuple[str, ...]
    asked: Node
    like: str | None = None
    is_sure: bool = True

    @property
    def label(self) -> str:
        """``orders@v3``."""
        return f"{self.dataset}@{self.version}"

    @property
    def node(self) -> Node:
        """The version, as ways name it."""
        return Node("dataset", self.dataset, version_number(self.version))


def undeclared_of(record: ModelRecord, dataset: str) -> dict[str, list[str]]:
    """By version of the dataset, the files that were read of its checkouts without being declared: whole paths."""
    found: dict[str, list[str]] = {}
    for one in record.undeclared:
        name, _, version = str(one.get("of") or "").partition("@")
        if name == dataset and version:
            found.setdefault(version, []).append(str(one.get("path")))
    return found


def readers(
    keep: Keep, record: ModelRecord, wanted: Wanted, *, sizes: SizesHere, same: Collection[SameBytes] = ()
) -> Iterator[FileRead]:
    """What a model read of the files, in the version that they are wanted of.

    ``same`` is all that is known to have been read with the bytes of the files.
    """
    like = f"; the same bytes as {wanted.like}" if wanted.like else ""
    given = [one for one in record.inputs if (one.dataset, one.version) == (wanted.dataset, wanted.version)]
    for one in given:
        verdict, why = _of_given(keep, record, one, wanted, sizes)
        yield FileRead(record.label, wanted.label, verdict, f"{why} ({one.how}){like}")
    if not given and wanted.version in undeclared_of(record, wanted.dataset):
        places = {
            one.at
            for one in same
            if (one.model, one.dataset, one.version) == (record.label, wanted.dataset, wanted.version)
        }
        as_registered = places if wanted.is_sure else None
        told = verdict_of_undeclared(
            record, wanted.dataset, wanted.version, wanted.paths, sizes, as_registered
        )
        yield FileRead(record.label, wanted.label, told[0], f"{told[1]}{like}")


def verdict_of_undeclared(
    record: ModelRecord,
    dataset: str,
    version: str,
    paths: Sequence[str],
    sizes: SizesHere,
    as_registered: Collection[str] | None = None,
) -> tuple[Verdict, str]:
    """As :func:`verdict_of`, of what was read of a checkout without being declared.

    ``as_registered`` are the places at which the registered bytes were read; None if nobody could compare them.
    """
    ends = tuple(f"/data/{showable_path(path)}" for path in paths)
    read = [
        one
        for one in record.undeclared
        if one.get("of") == f"{dataset}@{version}" and str(one.get("path")).endswith(ends)
    ]
    whole = [one for one in read if not _differs(one, as_registered)]
    if any("changed" not in one and "gone" not in one for one in whole):
        return "read", "read without being declared, from a checkout"
    if any("changed" in one for one in read):
        return "not known", "read from a checkout, where it changed during the training or since"
    if any("gone" in one for one in read):
        return "not known", "read from a checkout, and removed or renamed before the training ended"
    if read:
        return "changed copy", "a changed copy was read without being declared, in a checkout"
    why = "other files of a checkout were read without being declared"
    return _absent(record, why, sizes, f"{dataset}@{version}", paths)


def _differs(entry: dict[str, Any], as_registered: Collection[str] | None) -> bool:
    if "differs" in entry:
        return True
    can_tell = as_registered is not None and entry.get("sha256") and entry.get("size_bytes") != 0
    return bool(can_tell and str(entry.get("path")) not in (as_registered or ()))


def verdict_of(
    keep: Keep, record: ModelRecord, given: ModelInput, paths: Sequence[str], sizes: SizesHere
) -> tuple[Verdict, str]:
    """What the record tells of one file; of several, whether any of them was read."""
    read, label = given.files_read, f"{given.dataset}@{given.version}"
    one = len(paths) == 1
    was = "was" if read and read.count == 1 else "were"
    if read is None:
        return "not known", "the record does not say which files were read"
    if read.count == 0:
        return _absent(record, "no file of this version was read", sizes, label, paths)
    if (listed := listed_files(keep, record, read)) is not None:
        found = listed.intersection(paths)
        it = (
            ("it is" if found else "it is not")
            if one
            else f"{len(found):,} of them {'is' if len(found) == 1 else 'are'}"
        )
        why = f"{it} in the record's list of the files that were read"
        return ("read", why) if found else _absent(record, why, sizes, label, paths)
    try:
        entry = keep.entry(label, asking=False)
        splits = entry.manifest_model().splits
    except DatakeepError as error:
        return "not known", f"{counted(read.count, 'file')} of it {was} read; {error.what}"
    if read.count == entry.files:
        whole = f"all {entry.files:,} files of this version were" if entry.files != 1 else "its 1 file was"
        return "read", f"{whole} read"
    if read.count + len(paths) > entry.files:
        return (
            "read",
            f"{read.count:,} of {counted(entry.files, 'file')} {was} read, more than there are without them",
        )
    split_of = splitter(splits.patterns) if splits else None
    found_splits = {split_of(f"data/{path}") if split_of else None for path in paths}
    if read.splits and None not in found_splits and not found_splits & set(read.splits):
        names = ", ".join(sorted(map(str, found_splits)))
        why = f"no file of {'its' if one else 'their'} split {names} was read"
        return _absent(record, why, sizes, label, paths)
    return (
        "not known",
        f"{read.count:,} of {counted(entry.files, 'file')} {was} read; which, the keep does not tell",
    )


def _absent(
    record: ModelRecord, why: str, sizes: SizesHere, label: str, paths: Sequence[str]
) -> tuple[Verdict, str]:
    """What it means that a file is not among those that were read: no more than the one who watched could see.

    An undeclared file whose digest is not known, such as one that may hold a secret, can be the file only if it has
    its size.
    """
    if record.misses_reads:
        return "not known", f"{why}, {missed(record)}"
    if (record.undeclared_count or 0) > len(record.undeclared):
        return "not known", f"{why}; not all that was read without being declared is listed"
    hidden = [
        one for one in record.undeclared if any(key in one for key in ("withheld", "unreadable", "gone"))
    ]
    if not hidden:
        return "not read", why
    is_sized = all(isinstance(one.get("size_bytes"), int) and "changed" not in one for one in hidden)
    wanted = sizes.of(label, paths) if is_sized else None
    if wanted is None:
        return (
            "not known",
            f"{why}; the digest of what was read without being declared is not always known",
        )
    alike = [one for one in hidden if one["size_bytes"] in wanted]
    of = "its digest is not known" if len(alike or hidden) == 1 else "their digests are not known"
    said = f"{why}; {_places(alike or hidden)} was read too, {of}, and "
    if alike:
        return "not known", f"{said}the size is the same"
    return "not read", f"{said}the size is another"


def _places(entries: Sequence[dict[str, Any]]) -> str:
    more = f" and {counted(len(entries) - 1, 'more file')}" if len(entries) > 1 else ""
    return f"{entries[0].get('path')}{more}"


def listed_files(keep: Keep, record: ModelRecord, read: FilesRead) -> set[str] | None:
    """The list of the files that were read, if it lies beside the record: any file there with its digest."""
    if read.list is None:
        return None
    folder = f"models/{record.model}/"
    paths = [path for path in keep.tree.list(folder) if not path.endswith(".yaml")]
    for data in keep.tree.read_many(paths).values():
        if f"sha256:{hashlib.sha256(data).hexdigest()}" == read.list:
            return set(paths_listed(data))
    return None


def _of_given(
    keep: Keep, record: ModelRecord, given: ModelInput, wanted: Wanted, sizes: SizesHere
) -> tuple[Verdict, str]:
    read = given.files_read
    is_told = bool(read and (not read.count or listed_files(keep, record, read) is not None))
    if not wanted.is_sure and not is_told:
        return "not known", "whether this version has the file, and so whether it was read, is not known here"
    return verdict_of(keep, record, given, wanted.paths, sizes)
