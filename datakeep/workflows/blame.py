"""Whose a fault is that stops a clean room: somebody's, who must act, or this machine's, which is no verdict."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from datakeep.core.errors import (
    AccessDenied,
    DatakeepError,
    HostileRepository,
    IncompleteManifest,
    NetworkMissing,
    TrainingFault,
)
from datakeep.core.verdict import Actor, Fault
from datakeep.repository.faults import HostKeyUnknown, NeverPushed, RepositoryMissing, VersionLost
from datakeep.rerun.environment_faults import EnvironmentFault
from datakeep.workflows.register_entries import entry_path
from datakeep.workflows.written_once import ever_changed, tampered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakeep.formats.version import VersionEntry
    from datakeep.rerun.diagnosis import Problem
    from datakeep.workflows.keep import Keep


class LayerFailed(Exception):
    """A layer's answer is no; ``fault`` says why, and who must act."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.what)
        self.fault = fault


class TrainingStopped(TrainingFault):
    """Something of this machine ended a training: a full disk, too little memory, somebody, or a limit."""


def is_of_this_machine(error: DatakeepError) -> bool:
    """Whether another machine may well succeed, so that ``error`` says nothing of the dataset."""
    own = isinstance(error, EnvironmentFault) and error.acts == "receiver"
    return own or isinstance(error, NetworkMissing | HostKeyUnknown)


def access_fault(entry: VersionEntry, error: DatakeepError) -> Fault:
    """Who must act where a version cannot be reached."""
    giver = isinstance(error, NeverPushed | HostileRepository)
    manifest = entry.manifest.get("access") or {}
    granted_by = manifest.get("granted_by") if isinstance(manifest, dict) else None
    next_step = error.next_step
    if isinstance(error, AccessDenied) and granted_by:
        next_step = f"ask {granted_by} for access ({manifest.get('how')})"
    return Fault(error.what, Actor.GIVER if giver else Actor.ADMINISTRATOR, next_step, error.things)


def lost_version(kind: type[RepositoryMissing | VersionLost], entry: VersionEntry, url: str) -> DatakeepError:
    """What is gone from the vault, with who can bring it back: the register has the version, so it was pushed."""
    gone = (
        f"the repository {url} is gone"
        if kind is RepositoryMissing
        else f"{url} has lost the tag {entry.version}"
    )
    what = f"{gone}; {entry.dataset}@{entry.version} was pushed there, as the register tells"
    return kind(what, next_step="whoever may write to the vault brings it back: datakeep fsck --repair")


def bytes_fault(entry: VersionEntry, error: DatakeepError, sources: str) -> Fault:
    """Who must act where bytes are missing, or are not the registered ones."""
    if isinstance(error, HostileRepository):
        step = (
            f"do not use this version; ask {entry.registered_by}, who registered it, what was changed and why"
        )
        return Fault(_named(entry, error.what), Actor.GIVER, step, error.things)
    return damage(entry, error.what, error.things, sources)


def damage(entry: VersionEntry, what: str, evidence: Sequence[str], sources: str) -> Fault:
    """What the vault's administrator is told of bytes that ``sources`` does not have whole."""
    owner = (entry.manifest.get("owner") or {}).get("email", "its owner")
    elsewhere = f"ask {owner} (giver) whether the files exist elsewhere"
    next_step = f"restore {sources} from its backup; without one, {elsewhere}"
    return Fault(_named(entry, what), Actor.ADMINISTRATOR, next_step, tuple(evidence))


def edited(keep: Keep, entry: VersionEntry, fault: Fault | None = None) -> Fault | None:
    """That the register entry was edited after it was recorded, so that it has the blame of ``fault``; else None."""
    path = entry_path(entry.dataset, entry.version)
    found = tampered(keep, [path]) if path in ever_changed(keep, path) else ()
    if not found:
        return None
    own_clone = f" -C {quote(str(keep.root))}"  # what is said is signed, and read by others
    evidence = (*([fault.what] if fault else ()), *found[0].evidence, *(fault.evidence if fault else ()))
    return Fault(found[0].what, Actor.GIVER, (found[0].next_step or "").replace(own_clone, ""), evidence)


def _named(entry: VersionEntry, what: str) -> str:
    name = f"{entry.dataset}@{entry.version}"
    return what if name in what else f"{name}: {what}"


def no_reference(keep: Keep, entry: VersionEntry) -> IncompleteManifest:
    """A version that states no training cannot be tried; where another one states one, it is named."""
    name, what = (
        entry.dataset,
        f"{entry.dataset}@{entry.version} states no reference training, so it cannot be tried",
    )
    found = keep.entries_or_faults(name).items()
    stating = [v for v, one in found if not isinstance(one, DatakeepError) and one.manifest.get("reference")]
    if not stating:
        command = "--command 'python train.py --data {data} --out {out}'"
        step = f"state one: datakeep reference {name} --code DIR {command} --measure 3"
        return IncompleteManifest(what, next_step=step)
    newest = stating[-1]
    label = name if newest == keep.versions(name)[-1] else f"{name}@{newest}"
    return IncompleteManifest(f"{what}; {newest} does", next_step=f"datakeep verify {label}")


def training_fault(problem: Problem) -> Exception:
    """What a training's problem is: a layer's no, or this machine's affair."""
    if problem.acts == "receiver":
        return TrainingStopped(problem.what, next_step=problem.next_step, things=problem.evidence)
    return LayerFailed(Fault(problem.what, Actor(problem.acts), problem.next_step, problem.evidence))


def own_step(step: str, entry: VersionEntry) -> str:
    """``step`` for the giver: what he does himself, where others are told to ask him."""
    name, owner = entry.dataset, (entry.manifest.get("owner") or {}).get("email", "its owner")
    update = f"datakeep update {name} SOURCE --deep -m WHY"
    own_words = {
        "have the owner ": "",
        "the owner can ": "you can ",
        f"ask {entry.registered_by} to push it": "push it",
        "do not trust this training; ask the owner what it wants with it": (
            f"find out what in it asks for that, and take it out: datakeep reference {name} --code DIR"
        ),
        f"ask {owner} (giver) whether the files exist elsewhere": f"take them from elsewhere: {update}",
        f"compare data, code and environment with the giver's: datakeep show {name}@{entry.version}": (
            f"if this result is right, measure what to expect: datakeep reference {name} --measure 3; if not, "
            f"mend the training (datakeep reference {name} --code DIR) or the data ({update})"
        ),
    }
    for theirs, own in own_words.items():
        step = step.replace(theirs, own)
    return step
