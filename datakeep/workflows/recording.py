"""Putting a model record into the keep, with the files that belong to it; or into a file, to be handed in.

A record is one commit, which is pushed before the clone shows it: whatever is killed, none is half there.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.digests import path_list_id, paths_listed, sha256_id
from datakeep.core.errors import AccessDenied, DatakeepError, InvalidFile, NoSpace
from datakeep.core.names import NAME, VERSION, next_version
from datakeep.formats.model import ModelRecord
from datakeep.formats.yaml import showable
from datakeep.repository.faults import os_fault
from datakeep.repository.keep import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from datakeep.repository.identity import Identity
    from datakeep.repository.keep_tree import KeepTree
    from datakeep.workflows.keep import Keep

UNCOMMITTED = "uncommitted.diff"
#: The list whose digest is the record's ``environment.packages``.
PACKAGES = "packages.txt"
_RECORD = "record.yaml"
_SUFFIX = ".model.zip"
_MAX_BYTES = 256 << 20
_BESIDE = re.compile(
    rf"read/{NAME.pattern}@{VERSION.pattern}\.txt|{re.escape(UNCOMMITTED)}|{re.escape(PACKAGES)}"
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where a record is.

    Attributes:
        record: With its version, if it is in the keep.
        file: The file that is to be handed in; None if it is in the keep.
        not_pushed: Why it is not; empty if it is.
        is_new: False if the keep had it already.
    """

    record: ModelRecord
    file: Path | None = None
    not_pushed: str = ""
    is_new: bool = True

    @property
    def label(self) -> str:
        """``churn@v7``, or the model alone where the version is not settled yet."""
        return self.record.model if self.file else self.record.label


def publish(
    keep: Keep,
    record: ModelRecord,
    beside: Mapping[str, bytes],
    who: Identity,
    *,
    known_as: Callable[[KeepTree, ModelRecord], ModelRecord | None] = lambda _tree, _record: None,
) -> Recorded:
    """The record is the next version of its model, committed and pushed.

    Args:
        keep: The keep.
        record: Its version is settled now.
        beside: Files that belong to it, by path relative to its folder (``models/churn/v7/``).
        who: Who commits.
        known_as: Finds a record of the keep that says the same; it is left as it is, and nothing is added.

    Raises:
        DatakeepError: It could not be; then nothing is in the keep, here or there.
    """
    return _publish(keep, readable(record), beside, who, known_as)


def _publish(
    keep: Keep,
    record: ModelRecord,
    beside: Mapping[str, bytes],
    who: Identity,
    known_as: Callable[[KeepTree, ModelRecord], ModelRecord | None],
) -> Recorded:
    made, known = [record], [False]

    def change(tree: KeepTree) -> Change:
        there = known_as(tree, record)
        known[:] = [there is not None]
        if there is not None:
            made[:] = [there]
            return Change()
        prefix = f"models/{record.model}/"
        taken = {
            path.removeprefix(prefix).removesuffix(".yaml").partition("/")[0] for path in tree.list(prefix)
        }
        version = next_version(name for name in taken if VERSION.fullmatch(name))
        made[:] = [record.model_copy(update={"version": version})]
        files: dict[str, bytes | None] = {f"{prefix}{version}.yaml": made[0].dump().encode("utf-8")}
        return Change(files=files | {f"{prefix}{version}/{name}": data for name, data in beside.items()})

    said = "" if record.status != "failed" else ", failed"
    keep.repository.transact(change, f"{record.model}: {record.origin}{said}", who, progress=keep.progress)
    keep.look_again()
    return Recorded(made[0], is_new=not known[0])


def readable(record: ModelRecord) -> ModelRecord:
    """The record as it can be read again: what it has of control characters is escaped.

    Raises:
        InvalidFile: It could not be read again all the same, by a fault of datakeep's.
    """
    plain = {"format": record.format_line(), **record.model_dump(by_alias=True, exclude_unset=True)}
    try:
        told = ModelRecord.of_plain(showable(plain), what=_RECORD)
        ModelRecord.read(told.dump(), what=_RECORD)
    except InvalidFile as error:
        raise InvalidFile(
            f"a fault in datakeep: the record of {record.model} could not be read again ({error.what}); "
            "nothing was recorded",
            next_step="report it, with the line above; the training's files are where it left them",
        ) from error
    return told


def publish_or_keep(
    keep: Keep,
    record: ModelRecord,
    beside: Mapping[str, bytes],
    who: Identity,
    *,
    trained: bool = True,
    known_as: Callable[[KeepTree, ModelRecord], ModelRecord | None] = lambda _tree, _record: None,
) -> Recorded:
    """As :func:`publish`; where that fails, the record is in a file of the current folder: no work is lost.

    Args:
        keep: The keep.
        record: As for :func:`publish`.
        beside: As for :func:`publish`.
        who: Who commits.
        trained: Whether a training of this moment is what is recorded, and not what somebody declares.
        known_as: As for :func:`publish`.

    Raises:
        NoSpace, AccessDenied: The file cannot be written either.
        InvalidFile: As :func:`readable`.
    """
    record = readable(record)
    try:
        return _publish(keep, record, beside, who, known_as)
    except DatakeepError as error:
        when = re.sub(r"[^0-9TZ]", "", (record.recorded_at or "").replace("+00:00", "Z"))
        file = Path(f"{record.model}-{when}{_SUFFIX}")
        _write(file, packed(record, beside), error, trained=trained)
        return Recorded(record, file, error.what)


def _write(file: Path, data: bytes, why: DatakeepError, *, trained: bool) -> None:
    partial = file.with_name(f".{file.name}.part")
    try:
        try:
            partial.write_bytes(data)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        fault = os_fault(error, f"the record cannot be written to {file} either", file)
        kind = type(fault) if isinstance(fault, NoSpace | AccessDenied) else AccessDenied
        raise kind(
            f"{'the training ended, but its' if trained else 'the'} record could not be put into the keep "
            f"({why.what}), and "
            f"{fault.what}; nothing was recorded",
            next_step="free space, or run it again in a folder that you can write to",
        ) from error


def is_packages(data: bytes, record: ModelRecord) -> bool:
    """Whether a list of packages is the one that the record has the digest of."""
    return sha256_id(data) == record.environment.packages


def packed(record: ModelRecord, beside: Mapping[str, bytes]) -> bytes:
    """A record and its files as one file."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {_RECORD: record.dump().encode("utf-8"), **beside}.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return sink.getvalue()


def hand_in(keep: Keep, file: Path, who: Identity) -> Recorded:
    """What :func:`publish_or_keep` left in a file is in the keep; nothing is written if it was there already.

    Raises:
        InvalidFile: It is no such file, or its parts contradict each other.
        UnknownName: It names a dataset version that the register does not have, or has with other contents.
    """
    keep.require_not_departed(who, datetime.now(UTC))
    record, beside = _unpacked(file)
    for given in record.inputs:
        entry = keep.entry(f"{given.dataset}@{given.version}")
        if (entry.commit, entry.content) != (given.commit, given.content):
            raise InvalidFile(
                f"{file}: the register has other contents as {given.dataset}@{given.version}",
                next_step="hand it in to the keep that the run was made in",
            )
    if who.email != record.recorded_by:
        record = record.model_copy(update={"handed_in_by": who.email})
    keep.refresh()
    known = _same(keep.tree, readable(record))
    return Recorded(known, is_new=False) if known else publish(keep, record, beside, who, known_as=_same)


def _same(tree: KeepTree, record: ModelRecord) -> ModelRecord | None:
    """The record of the keep that says the very same, whatever its version and whoever handed it in."""
    paths = [path for path in tree.list(f"models/{record.model}/") if path.endswith(".yaml")]
    for path, data in tree.read_many(paths).items():
        version = path.rpartition("/")[2].removesuffix(".yaml")
        if VERSION.fullmatch(version):
            other = record.model_copy(update={"version": version})
            if _without_bearer(other.dump().encode("utf-8")) == _without_bearer(data):
                return ModelRecord.read(data, what=path)
    return None


def _without_bearer(text: bytes) -> bytes:
    return re.sub(rb"^handed_in_by: .*\n", b"", text, flags=re.MULTILINE)


def _unpacked(file: Path) -> tuple[ModelRecord, dict[str, bytes]]:
    again = f"hand in a file that `datakeep run` wrote, NAME{_SUFFIX}"
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(part.file_size for part in archive.infolist()) > _MAX_BYTES:
                raise InvalidFile(f"{file} is larger than any record", next_step=again)
            parts = {part.filename: archive.read(part) for part in archive.infolist()}
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise InvalidFile(f"{file} cannot be read: {error}", next_step=again) from error
    record = ModelRecord.read(parts.pop(_RECORD, b""), what=str(file))
    record.check_strict(what=str(file))
    wanted = {
        given.files_read.kept: given.files_read.list
        for given in record.inputs
        if given.files_read and given.files_read.kept
    }
    found = {
        name: path_list_id(paths_listed(data))
        for name, data in parts.items()
        if name not in (UNCOMMITTED, PACKAGES)
    }
    if PACKAGES in parts and not is_packages(parts[PACKAGES], record):
        raise InvalidFile(f"{file}: the packages in it are not those of its record", next_step=again)
    if wanted != found or not all(map(_BESIDE.fullmatch, parts)) or record.code.diff not in (None, *parts):
        raise InvalidFile(f"{file}: the lists in it are not those of its record", next_step=again)
    return record, parts
