"""``verify``: prove, in a clean room, that someone else can carry a dataset on; and sign what was seen."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.attest.envelope import sign
from datakeep.core.errors import AccessDenied, AlreadyExists, DatakeepError, IncompleteManifest, KeyFault
from datakeep.core.verdict import Layer, Result, Stage, Verdict
from datakeep.formats.proof import proof_path, seconds
from datakeep.repository.faults import NeverPushed
from datakeep.repository.keep import Change
from datakeep.repository.vault import require_base
from datakeep.rerun.artifacts import hand_over
from datakeep.workflows.blame import LayerFailed, edited, own_step
from datakeep.workflows.clean_room import CleanRoom
from datakeep.workflows.hand_in import record_beside
from datakeep.workflows.model_record import newest_of, record_of
from datakeep.workflows.proof import free_place, statement_of
from datakeep.workflows.register_entries import entry_path
from datakeep.workflows.rooms import own_room

if TYPE_CHECKING:
    from collections.abc import Callable

    from datakeep.attest.keys import Signer
    from datakeep.formats.model import ModelRecord
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.identity import Identity
    from datakeep.repository.keep_tree import KeepTree
    from datakeep.workflows.clean_room import Settings
    from datakeep.workflows.keep import Keep


#: What these find wrong, they find by what the register entry says.
_BY_THE_ENTRY = (Layer.ACCESS, Layer.BYTES, Layer.MANIFEST)


@dataclass(frozen=True, slots=True)
class Verifier:
    """Who verifies.

    Args:
        who: Their git identity.
        handle: Their handle in the keep.
        signer: Their key, which the keep knows.
    """

    who: Identity
    handle: str
    signer: Signer


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of it.

    Args:
        entry: The version.
        verdict: All stages.
        self_check: The owner's, or the registering person's, own run.
        proof: Where the proof is: a path in the keep, or a file of its own.
        handed_in: The proof is in the keep; False where it could not be pushed.
        model: The record of the model, if the run passed and left one.
        model_is_new: The record was made by this run.
        not_pushed: Why the proof could not be pushed; empty where it was.
        record_file: Where the model's record is meanwhile, if the proof could not be pushed.
    """

    entry: VersionEntry
    verdict: Verdict
    self_check: bool
    proof: str
    handed_in: bool
    model: ModelRecord | None = None
    model_is_new: bool = False
    not_pushed: str = ""
    record_file: str | None = None

    @property
    def next_step(self) -> str | None:
        """What whoever ran it does next after a failure; in the proof it is said to others."""
        failed = self.verdict.fault
        if failed is None or failed.fault is None:
            return None
        return own_step(failed.fault.next_step, self.entry) if self.self_check else failed.fault.next_step


def verifier_of(keep: Keep, who: Identity, signer: Signer) -> Verifier:
    """The person at work, if the keep knows them and their key.

    Raises:
        UnknownName: The keep does not know them.
        KeyFault: The keep does not know the key, or knows that it no longer counts.
    """
    handle = keep.require_person(who)
    person = keep.people[handle]
    keys = [key for key in person.keys if key.key == signer.public_line and key.revoked is None]
    if person.departed:
        raise KeyFault(
            f"{handle} has departed from the keep {keep.name} on {person.departed}, so no key of theirs counts",
            next_step=f"another person can bring them back: datakeep people add --email {person.email}",
        )
    if not keys:
        raise KeyFault(f"the key is not {handle}'s in the keep {keep.name}", next_step="datakeep people add")
    return Verifier(who, handle, signer)


def verify(
    keep: Keep,
    name: str,
    *,
    verifier: Verifier,
    settings: Settings,
    out: Path | None,
    watch: Callable[[Stage], None],
) -> Verified:
    """The version is taken through all layers of a handover, and the proof is in the keep.

    Args:
        keep: The keep.
        name: ``orders`` or ``orders@v3``.
        verifier: Who signs.
        settings: How the clean room is run.
        out: A new folder that keeps what the training wrote.
        watch: Is told each stage when it has ended.

    Raises:
        UnknownName: There is no such version.
        IncompleteManifest: It states no reference training.
        NetworkMissing, EnvironmentFault, NoSpace, ProgramMissing, TrainingStopped: This machine cannot do it;
            that says nothing of the dataset, and leaves no proof.
    """
    entry = keep.entry(name)
    if out is not None and out.exists() and any(out.iterdir()):
        raise AlreadyExists(f"{out} is not empty", next_step="name a new folder with --out")
    started = datetime.now(UTC)
    with own_room(keep) as folder:
        room = CleanRoom(keep, entry, folder, settings)
        verdict = _walk_here(room, watch)
        if out is not None:
            _keep_output(room, out)
        statement = statement_of(room, verdict, verifier, started, datetime.now(UTC))
        path = proof_path(statement)
        envelope = sign(statement.to_bytes(), verifier.signer)
        record = record_of(room, path, verifier.who) if verdict.passed else None
        return _hand_in(keep, room, verdict, verifier, path, envelope, record)


def follow(keep: Keep) -> None:
    """The keep is as it is published now.

    Raises:
        StoreMissing: The vault is a folder that this machine does not have, or not where keep.yaml says.
    """
    if keep.git_base.startswith(("/", "file://")):  # anything else is judged, and perhaps refused, at access
        require_base(keep.dataset_url("any"))
    keep.refresh()


def _walk_here(room: CleanRoom, watch: Callable[[Stage], None]) -> Verdict:
    try:
        return walk(room, watch)
    except IncompleteManifest:
        raise  # that is no affair of this machine
    except DatakeepError as error:
        label = f"{room.entry.dataset}@{room.entry.version}"
        what = (
            f"this machine could not try {label}, so there is no proof, and it stands as it did: {error.what}"
        )
        raise type(error)(what, next_step=error.next_step, things=error.things) from error


def walk(room: CleanRoom, watch: Callable[[Stage], None]) -> Verdict:
    """All layers in their order; none is tried after one has failed."""
    steps = {
        Layer.ACCESS: room.access,
        Layer.BYTES: room.bytes,
        Layer.MANIFEST: room.manifest,
        Layer.ENVIRONMENT: room.environment,
        Layer.TRAINING: room.training,
        Layer.METRIC: room.metric,
    }
    stages: list[Stage] = []
    failed = False
    for layer in Layer:
        stage = Stage(layer, Result.NOT_RUN) if failed else _run(layer, steps[layer], room)
        failed = failed or stage.result is Result.FAILED
        stages.append(stage)
        watch(stage)
    return Verdict(tuple(stages))


def _run(layer: Layer, step: Callable[[], str], room: CleanRoom) -> Stage:
    started, before = datetime.now(UTC), time.monotonic()
    room.warnings.clear()
    try:
        summary, fault = step(), None
    except LayerFailed as failure:
        summary, fault = "", failure.fault
        if layer in _BY_THE_ENTRY:
            fault = edited(room.keep, room.entry, fault) or fault
    if layer is Layer.ACCESS and fault is None and (edit := edited(room.keep, room.entry)):
        room.warnings.append(f"{edit.what} ({'; '.join(edit.evidence)}); {edit.next_step}")
    return Stage(
        layer,
        Result.FAILED if fault else Result.PASSED,
        summary,
        started,
        seconds(time.monotonic() - before),
        fault,
        tuple(room.warnings),
    )


def _keep_output(room: CleanRoom, out: Path) -> None:
    report = room.training_report
    if report is None or not room.out.is_dir():
        return
    try:
        hand_over(room.out, out, report.artifacts)
    except OSError as error:
        raise AccessDenied(
            f"what the training wrote cannot be kept in {out}: {error.strerror}",
            next_step="name another folder with --out",
        ) from error


def _hand_in(
    keep: Keep,
    room: CleanRoom,
    verdict: Verdict,
    verifier: Verifier,
    path: str,
    envelope: bytes,
    record: ModelRecord | None,
) -> Verified:
    made: list[tuple[ModelRecord | None, bool]] = []
    places = [path]

    def change(tree: KeepTree) -> Change:
        places[:] = [free_place(tree, path, envelope)]
        files: dict[str, bytes | None] = {places[0]: envelope}
        own = record and record.model_copy(update={"proof": places[0]})
        kept, is_new = (None, False) if own is None else newest_of(tree, own)
        if kept is not None and is_new:
            files[f"models/{kept.model}/{kept.version}.yaml"] = kept.dump().encode("utf-8")
        made[:] = [(kept, is_new)]
        return Change(files=files)

    entry = room.entry
    message = f"{entry.dataset}@{entry.version}: verification {'passed' if verdict.passed else 'failed'}"
    record_file = None
    try:
        _require_published(keep, entry)
        keep.repository.transact(change, message, verifier.who, progress=keep.progress)
        keep.look_again()
        not_pushed, where = "", places[0]
    except DatakeepError as error:  # whatever it was, hours of work must not be lost with it
        not_pushed, where = error.what, path.removeprefix("proofs/").replace("/", "-")
        if record is not None:
            record_file = str(record_beside(Path(where)))
            _write_own(record_file, record.dump().encode("utf-8"))
        _write_own(where, envelope)
    model, is_new = made[0] if made and not not_pushed else (None, False)
    owner = room.entry.manifest.get("owner") or {}
    self_check = verifier.who.email in (owner.get("email"), entry.registered_by)
    return Verified(entry, verdict, self_check, where, not not_pushed, model, is_new, not_pushed, record_file)


def _require_published(keep: Keep, entry: VersionEntry) -> None:
    """Pushing the proof must not publish, in passing, the entry that it says was never pushed."""
    path = entry_path(entry.dataset, entry.version)
    commit = keep.repository.added_in(path)
    if commit is None or not keep.repository.is_published(commit):
        raise NeverPushed(
            f"{path} was never pushed, so its proof cannot be in the keep yet",
            next_step=f"ask {entry.registered_by} to push it",
        )


def _write_own(name: str, data: bytes) -> None:
    try:
        Path(name).write_bytes(data)
    except OSError as error:
        raise AccessDenied(
            f"the keep cannot be pushed to, and what was proven cannot be written to {name}: {error.strerror}",
            next_step="run it again in a folder that you can write to",
        ) from error
