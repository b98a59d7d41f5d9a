"""Handing in what a verification left with somebody who may not push: the proof, and the record of its model."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.attest.judge import About, judge
from datakeep.core.errors import InvalidFile, KeyFault
from datakeep.formats import proof as proofs
from datakeep.formats.model import ModelRecord
from datakeep.repository.keep import Change
from datakeep.workflows.model_record import difference, newest_of
from datakeep.workflows.proof import free_place

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from datakeep.attest.judge import Standing
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.identity import Identity
    from datakeep.repository.keep_tree import KeepTree
    from datakeep.workflows.keep import Keep

MAX_SIZE_BYTES = 4 << 20
_PROOF, _RECORD = ".dsse.json", ".model.yaml"


@dataclass(frozen=True, slots=True)
class HandedIn:
    """A proof that someone made without the right to push, now in the keep.

    Args:
        path: Where it is.
        by: Who made it.
        passed: What it says.
        model: The model whose record came with it, ``churn@v7``; None if none did.
        record_missing: The proof tells of a model, and its record was not handed in.
    """

    path: str
    by: str
    passed: bool
    model: str | None = None
    record_missing: bool = False


def record_beside(proof: Path) -> Path:
    """Where ``verify`` leaves the model record that belongs to a proof in a file."""
    return proof.with_name(proof.name.removesuffix(_PROOF) + _RECORD)


def hand_in(keep: Keep, file: Path, record_file: Path | None, *, who: Identity, now: datetime) -> HandedIn:
    """The proof in ``file`` is in the keep, if its signature is of a person of the keep and it fits the register.

    Args:
        keep: The keep.
        file: The proof.
        record_file: The record of the model that the run made; by default the one beside the proof, if any.
        who: Who hands it in.
        now: The time.

    Raises:
        InvalidFile: It is not a proof, or the record is not that of the model that it tells of.
        KeyFault: Its signature does not count here; says why.
        UnknownName: It is about a version that the register does not have.
    """
    keep.refresh()
    data = _read(file)
    name, version = _claims(data, file)
    entry = keep.entry(f"{name}@{version}")
    statement = _judged(keep, data, file, entry, now)
    record_file = record_file or (beside if (beside := record_beside(file)).exists() else None)
    record = _record(record_file, entry, statement) if record_file else None
    path = proofs.proof_path(statement)
    places, made = [path], [""]

    def change(tree: KeepTree) -> Change:
        places[:] = [free_place(tree, path, data)]
        files: dict[str, bytes | None] = {places[0]: data}
        if record is not None:
            kept, is_new = newest_of(tree, record.model_copy(update={"proof": places[0]}))
            made[:] = [f"{kept.model}@{kept.version}"]
            if is_new:
                files[f"models/{kept.model}/{kept.version}.yaml"] = kept.dump().encode("utf-8")
        return Change(files=files)

    passed = statement.predicate.result == "passed"
    message = f"{name}@{version}: verification {'passed' if passed else 'failed'}, handed in"
    keep.repository.transact(change, message, who, progress=keep.progress)
    keep.look_again()
    missing = passed and statement.predicate.model is not None and record is None
    return HandedIn(places[0], statement.predicate.person.handle, passed, made[0] or None, missing)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as source:
            return source.read(MAX_SIZE_BYTES + 1)
    except OSError as error:
        raise InvalidFile(f"{file} cannot be read: {error.strerror}", next_step="check the path") from error


def _claims(data: bytes, file: Path) -> tuple[str, str]:
    """Which version the proof claims to be about; nothing of it is believed yet."""
    try:
        statement = proofs.Statement.from_bytes(base64.b64decode(json.loads(data)["payload"]), what=str(file))
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidFile(
            f"{file} is no proof, or was changed after it was signed",
            next_step="hand in a file that `datakeep verify` wrote",
        ) from error
    return statement.dataset, statement.version


def _judged(keep: Keep, data: bytes, file: Path, entry: VersionEntry, now: datetime) -> proofs.Statement:
    """The statement, now that its signature is known to count."""
    about = About(entry.dataset, entry.version, entry.commit, entry.inventory.removeprefix("sha256:"))
    people = list(keep.people.items())
    standing: Standing = judge(
        data, people, unreadable=keep.roster.unreadable_texts, now=now, renew_every=None, about=about,
        committed_at=now,
    )  # fmt: skip
    if standing.statement is None or standing.status == "invalid":
        raise KeyFault(
            f"{file} does not count as a proof here: {standing.reason}",
            next_step="ask whoever made it to be added with their key: datakeep people add",
        )
    return standing.statement


def _record(file: Path, entry: VersionEntry, statement: proofs.Statement) -> ModelRecord:
    """The record in ``file``: nobody signed it, so all that the proof tells of that run must be the same in it."""
    record = ModelRecord.read(_read(file), what=str(file))
    record.check_strict(what=str(file))
    different = difference(record, entry, statement)
    if different:
        raise InvalidFile(
            f"{file} is not the model record of this proof: {different}",
            next_step="hand in the two files of one run, as `datakeep verify` wrote them",
        )
    return record
