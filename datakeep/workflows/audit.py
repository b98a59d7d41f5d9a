"""``audit``: what a model was made of, found by its file or its name (L21); and which models saw a dataset.

Nothing is guessed: what the record does not know, what a manifest does not state, and what cannot be read
now are each said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.errors import UnknownName, UsageError
from datakeep.core.names import NAME, VERSION, nearest, some_versions
from datakeep.lineage import records
from datakeep.lineage.same_bytes import EMPTY
from datakeep.workflows import undeclared
from datakeep.workflows.made_of import Auditor
from datakeep.workflows.stems import same_file
from datakeep.workflows.used_by import (
    FileUsedBy,
    UsedBy,
    broken_records,
    digest_of,
    digests_like,
    file_of,
    file_used_by,
    find_by_digest,
    nearest_files,
    newest_of,
    used_by,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from datakeep.formats.model import ModelRecord
    from datakeep.lineage.records import Broken
    from datakeep.workflows.index import NotSearched
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.made_of import MadeOf
    from datakeep.workflows.undeclared import Reader

_SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{8,64})", re.IGNORECASE)
#: Older versions of a model that are looked at for one that was completed.
_MAX_LOOKED = 50


@dataclass(frozen=True, slots=True)
class Audit:
    """The answer about a model.

    Attributes:
        asked: What was asked about: a file or a name.
        sha256: The digest of the file, if it was one.
        made_of: The answer; None if no record tells.
        same_file: Other records of the same file, as ``MODEL@V``.
        broken: Records that may hold an answer, but cannot be read.
        guesses: Recorded files of the same name or size, where the file itself is not known; no more than guesses.
        differing: If the records of the same file name different data, what each of them names.
        files: What the file is in registered datasets, and which models read it; it may be a model's file as well.
        not_searched: Whose lists of files are not here, if the file was looked for in them.
        not_looked_at: Registered files of these bytes of whose models nobody asked, one line each.
        newer_unread: Newer versions of the model that was asked for, whose records cannot be read.
        undeclared: What models read these bytes without declaring them; they are no registered file.
        registered_first: Whether a dataset had the file before the first record of it; None where that is not known.
    """

    asked: str
    sha256: str | None
    made_of: MadeOf | None
    same_file: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()
    guesses: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    files: tuple[FileUsedBy, ...] = ()
    not_searched: NotSearched | None = None
    undeclared: tuple[Reader, ...] = ()
    registered_first: bool | None = None
    not_looked_at: tuple[str, ...] = ()
    newer_unread: tuple[str, ...] = ()


def audit(keep: Keep, subject: str, *, now: datetime, fetch: bool = False) -> Audit | UsedBy | FileUsedBy:
    """What ``subject`` was made of; for a dataset or a file of one, which models it went into.

    Args:
        keep: The keep.
        subject: A model's file, its sha256 or the first 8 digits of it and more, ``MODEL``, ``MODEL@V``, a name
            behind ``model:`` or ``dataset:``, or a file of a dataset: ``orders@v3:train/a.csv``, or
            ``orders:train/a.csv`` for all versions that have it.
        now: The time at which proofs are weighed.
        fetch: Get the file lists that are not here.

    Raises:
        UsageError: The name could mean several things.
        UnknownName: There is no such file, model or dataset.
        SourceUnreadable: The file cannot be read.
    """
    if not subject.strip():
        raise UsageError("nothing is named to audit", next_step="datakeep audit MODEL, DATASET or FILE")
    kind, _, name = subject.partition(":")
    if kind == "model" and name:
        return _by_name(keep, name, now, fetch=fetch)
    of_file = file_of(keep, name if kind == "dataset" else subject)
    if of_file and (kind == "dataset" or not Path(subject).is_file()):
        return file_used_by(keep, *of_file, fetch=fetch)
    if kind == "dataset" and name:
        return used_by(keep, name, fetch=fetch)
    return _whatever(keep, subject, now, fetch=fetch)


def _whatever(keep: Keep, subject: str, now: datetime, *, fetch: bool) -> Audit | UsedBy:
    """Without a prefix the one thing that ``subject`` can mean."""
    name, _, version = subject.partition("@")
    models = records.versions_of(keep.tree, name)
    versions = keep.versions(name) if NAME.fullmatch(name) else []
    is_model, is_dataset = bool(models), bool(versions)
    if is_model and is_dataset and version and version not in (*models, *versions):
        raise UnknownName(
            f"neither the model {name} nor the dataset {name} has a version {version}: the model has "
            f"{some_versions(models)}; the dataset has {some_versions(versions)}",
            next_step=f"datakeep audit model:{name}@{models[-1]}, or datakeep audit dataset:{name}@{versions[-1]}",
        )
    if is_model and is_dataset and (version in models) != (version in versions):
        is_model, is_dataset = version in models, version in versions
        other = f"the {'dataset' if is_model else 'model'} {name} has no version {version}"
        keep.progress.note(f"{subject} is the {'model' if is_model else 'dataset'}: {other}")
    is_file = Path(subject).is_file()
    meanings = [
        *([f"model:{subject}"] if is_model else []),
        *([f"dataset:{subject}"] if is_dataset else []),
        *([f"./{subject}"] if is_file and (is_model or is_dataset) else []),
    ]
    if len(meanings) > 1:
        raise UsageError(
            f"{subject!r} can mean {' or '.join(meanings)}",
            next_step=f"say which: datakeep audit {meanings[0]}, or datakeep audit {meanings[1]}",
        )
    if is_model:
        return _by_name(keep, subject, now, fetch=fetch)
    if is_dataset:
        return used_by(keep, subject, fetch=fetch)
    if is_file:
        return _by_file(keep, Path(subject), now, fetch=fetch)
    if Path(subject).is_dir():
        return _by_folder(keep, subject, now, fetch=fetch)
    if digits := _digits(subject):
        return _by_digits(keep, subject, digits, now, fetch=fetch)
    raise _unknown(keep, subject)


def _digits(subject: str) -> str | None:
    """The sha256 that ``subject`` is, or begins; None if it is something else."""
    found = _SHA256.fullmatch(subject)
    return found[1].lower() if found else None


def _by_digits(keep: Keep, subject: str, digits: str, now: datetime, *, fetch: bool) -> Audit:
    """As for the file itself, which need not be here."""
    known = digests_like(keep, digits)
    if len(known) > 1:
        raise UsageError(
            f"{subject} is the beginning of several that are known: {', '.join(known[:5])}",
            next_step=f"name one whole: datakeep audit {known[0]}",
        )
    return _by_sha256(keep, subject, known[0] if known else digits, now, fetch=fetch)


def _by_folder(keep: Keep, subject: str, now: datetime, *, fetch: bool) -> Audit:
    from datakeep.workflows.folder_of_model import (  # late: few name one
        deleted_model_of_folder,
        files_of_folder,
    )

    found = files_of_folder(keep, Path(subject))
    step = f"name the file in it: datakeep audit {Path(subject) / 'FILE'}"
    if found.label:
        keep.progress.note(f"{subject} holds files of {found.label}, by their bytes: {found}")
        return _by_name(keep, found.label, now, fetch=fetch)
    if deleted := deleted_model_of_folder(keep, found):
        return _by_file(keep, deleted, now, fetch=fetch)  # whose record is missed is told with the answer
    if found.of:
        raise UsageError(
            f"{subject} is a folder, and whose model it holds is not known: {found}", next_step=step
        )
    raise UsageError(f"{subject} is a folder; a model is known by its file", next_step=step)


def _unknown(keep: Keep, subject: str) -> UnknownName | UsageError:
    if Path(subject).exists():
        return UsageError(
            f"{subject} is a pipe or a device, and no file with bytes of its own",
            next_step="write what comes from it into a file, and name that",
        )
    known = [*records.names(keep.tree), *keep.datasets]
    near = nearest(subject.partition("@")[0], known)
    hint = f"; did you mean {near!r}?" if near else ""
    said, pull = keep.elsewhere()
    return UnknownName(
        f"there is no file {subject!r} here, and the keep {keep.name} has no model or dataset of this name "
        f"({said}){hint}",
        next_step=pull
        or (f"datakeep audit {near}" if near else "name the model's file: datakeep audit PATH"),
    )


def _by_file(keep: Keep, path: Path, now: datetime, *, fetch: bool) -> Audit:
    sha256 = digest_of(path)
    asked = f"{path} (a link to {path.resolve()})" if path.is_symlink() else str(path)
    return _by_sha256(keep, asked, sha256, now, fetch=fetch, path=path)


def _by_sha256(
    keep: Keep, asked: str, sha256: str, now: datetime, *, fetch: bool, path: Path | None = None
) -> Audit:
    from datakeep.workflows.registered_file import (  # late: most audits name no file
        registered_file,
        registered_first,
    )

    found = find_by_digest(keep, sha256)
    readers = () if sha256 == EMPTY else undeclared.readers(keep, sha256)
    registered = registered_file(keep, sha256, fetch=fetch)
    files, lacking, cut = registered.files, registered.not_searched, registered.not_looked_at
    if not found.records:
        guesses = () if files or readers or path is None else nearest_files(keep, path.resolve())
        broken = broken_records(keep)
        return Audit(
            asked, sha256, None, (), broken, guesses,
            files=files, not_searched=lacking, undeclared=readers, not_looked_at=cut,
        )  # fmt: skip
    newest = newest_of(found)
    rest = [one for one in found.records if one is not newest]
    others = tuple(one.label + (" (failed)" if one.status == "failed" else "") for one in rest)
    made_of = Auditor(keep, now, fetch=fetch).made_of(newest)
    return Audit(
        asked,
        sha256,
        made_of,
        others,
        found.broken,
        differing=_differing([newest, *rest]),
        files=files,
        not_searched=lacking,
        undeclared=readers,
        registered_first=registered_first(keep, sha256, [newest, *rest]) if files else None,
        not_looked_at=cut,
    )


def _differing(found: Sequence[ModelRecord]) -> tuple[str, ...]:
    """What each record names as its data, where that is not the same: other contents, not other versions of them."""
    named, contents = {}, set()
    for record in found:
        data = sorted({f"{one.dataset}@{one.version}" for one in record.inputs}) + sorted(record.base_models)
        besides = max(record.undeclared_count or 0, len(record.undeclared))
        data += [counted(besides, "undeclared file")] if besides else []
        failed = " (failed)" if record.status == "failed" else ""
        named[record.label + failed] = ", ".join(data) or "no data"
        contents.add((*sorted({one.content for one in record.inputs}), *sorted(record.base_models), besides))
    return tuple(f"{one}: {data}" for one, data in named.items()) if len(contents) > 1 else ()


def _by_name(keep: Keep, subject: str, now: datetime, *, fetch: bool) -> Audit:
    name, at, version = subject.partition("@")
    versions = records.versions_of(keep.tree, name)
    if not versions:
        near = nearest(name, records.names(keep.tree))
        hint = f"; did you mean {near!r}?" if near else ""
        said, pull = keep.elsewhere()
        known = f"datakeep audit model:{near}" if near else "name the model's file: datakeep audit PATH"
        raise UnknownName(
            f"this keep has no model {name!r} ({said}){hint}",
            next_step=pull or known,
        )
    if at and not VERSION.fullmatch(version):
        raise UsageError(
            f"{version!r} is not a version; versions are v1, v2, …",
            next_step=f"datakeep audit model:{name}@{versions[-1]}",
        )
    if at and version not in versions:
        raise UnknownName(
            f"the model {name} has no version {version}; it has {some_versions(versions)}",
            next_step=f"datakeep audit model:{name}@{versions[-1]}",
        )
    found, newer = _newest_read(keep, name, [version] if version else versions)
    if not found.records:
        return Audit(subject, None, None, broken=found.broken)
    record = found.records[0]
    if record.status == "failed" and not version:
        _tell_the_completed(keep, record, versions)
    return Audit(
        subject,
        None,
        Auditor(keep, now, fetch=fetch).made_of(record),
        same_file(keep, record),
        broken=found.broken,
        newer_unread=newer,
    )


def _tell_the_completed(keep: Keep, failed: ModelRecord, versions: Sequence[str]) -> None:
    """Who asks for the newest of a model, and gets a training that failed, mostly means the one before."""
    older = versions[: versions.index(failed.version)] if failed.version in versions else ()
    for version in reversed(older[-_MAX_LOOKED:]):
        for record in records.find_by_model(keep.tree, failed.model, version).records:
            if record.status != "failed":
                step = f"datakeep audit model:{record.label}"
                keep.progress.note(
                    f"{failed.label} failed; the newest that was completed is {record.label}: {step}"
                )
                return


def _newest_read(keep: Keep, name: str, versions: Sequence[str]) -> tuple[records.Found, tuple[str, ...]]:
    """The newest record of these that can be read, with all that is broken; and which newer versions cannot be."""
    broken: list[Broken] = []
    for place, version in enumerate(reversed(versions)):
        found = records.find_by_model(keep.tree, name, version)
        broken += found.broken
        if found.records:
            return records.Found(found.records, tuple(broken)), tuple(versions[len(versions) - place :])
    return records.Found((), tuple(broken)), ()
