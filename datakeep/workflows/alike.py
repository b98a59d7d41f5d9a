"""A proof is of one commit; but a version that only states other facts is no less usable than the one before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.formats.version import VersionEntry

if TYPE_CHECKING:
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.standings import Judge


@dataclass(frozen=True, slots=True)
class Alike:
    """A proven version with the same content id, whose manifest states the same reference training, or the first one.

    Attributes:
        version: Its name.
        same_code: Whether the training's code is the same too; None where this clone cannot tell.
        is_first: The other version states none, and so could never be proven itself.
    """

    version: str
    same_code: bool | None
    is_first: bool = False

    def __str__(self) -> str:
        if self.is_first:
            return f"{self.version}, with the same bytes and the reference that is missing here, is proven"
        known = "" if self.same_code else "; its training's code is not here to compare"
        return f"{self.version}, with the same bytes and reference, is proven{known}"


def proven_alike(keep: Keep, entry: VersionEntry, judge: Judge) -> Alike | None:
    """The newest proven version that differs from the unproven ``entry`` in stated facts only, if there is one.

    Nobody is asked: code is compared only where this clone has fetched both commits.
    """
    if judge.proofs(entry).state != "unproven" or not judge.has_proofs(entry.dataset):
        return None
    for other in reversed(keep.entries_or_faults(entry.dataset).values()):
        if not isinstance(other, VersionEntry) or other.version == entry.version:
            continue
        if other.content != entry.content or judge.proofs(other).state != "proven":
            continue
        reference = entry.manifest.get("reference")
        if reference is None and other.manifest.get("reference") is not None:
            return Alike(other.version, None, is_first=True)
        same_code = _same_code(keep, entry, other)
        if other.manifest.get("reference") == reference and same_code is not False:
            return Alike(other.version, same_code)
    return None


def _same_code(keep: Keep, one: VersionEntry, other: VersionEntry) -> bool | None:
    """Whether all files that the reference names are the same; None where they are not here."""
    reference = one.manifest.get("reference")
    if not isinstance(reference, dict):
        return True
    environment = reference.get("environment")
    named = [reference.get("code"), *(environment.values() if isinstance(environment, dict) else ())]
    paths = tuple(text.rstrip("/") for text in named if isinstance(text, str))
    repository = keep.dataset_repository(one.dataset)
    if not {one.commit, other.commit} <= set(repository.tags().values()):
        return None if isinstance(reference.get("code"), str) else True
    first, second = (
        {
            found.path: found.object_id
            for found in repository.entries(entry.commit)
            if found.path.startswith(tuple(f"{path}/" for path in paths)) or found.path in paths
        }
        for entry in (one, other)
    )
    return first == second
