"""What the next version of a dataset starts from, and what it changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datakeep.core.changes import FieldChange, field_changes
from datakeep.core.errors import InvalidFile
from datakeep.formats.inventory import FileChanges, differences
from datakeep.formats.manifest import Manifest
from datakeep.workflows.prepare import MANIFEST
from datakeep.workflows.profile_changes import profile_changes
from datakeep.workflows.profiling import PROFILE, profile_in

if TYPE_CHECKING:
    from datakeep.formats.inventory import Inventory
    from datakeep.formats.profile import Profile
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.dataset import DatasetRepository
    from datakeep.workflows.prepare import Prepared

#: What every version writes anew; a difference there says nothing of its own.
_GENERATED = frozenset(
    {"README.md", MANIFEST, "data.dvc", "inventory.parquet.dvc", "inventory.parquet", ".dvc/config", PROFILE}
)


@dataclass(frozen=True, slots=True)
class Base:
    """The newest version, taken as the start of the next."""

    entry: VersionEntry
    document: dict[str, Any]
    inventory: Inventory
    repository: DatasetRepository


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different between the newest version and the draft of the next.

    Args:
        before: The version that is there.
        after: The version that is about to be made.
        files: Data files.
        fields: Fields of the manifest, columns included.
        documents: Documents and code of the repository that were added, changed or removed.
        profile: What differs in the profile, in short.
        profiled: Whether a profile came or went, which was asked for.
    """

    before: str
    after: str
    files: FileChanges
    fields: tuple[FieldChange, ...]
    documents: tuple[str, ...]
    profile: tuple[str, ...] = ()
    profiled: bool = False

    def __bool__(self) -> bool:
        return bool(self.files or self.fields or self.documents or self.profiled)

    def only_in(self, fields: tuple[str, ...]) -> bool:
        """Whether nothing but these fields of the manifest, and what lies below them, is different."""
        other = self.files or self.documents or self.profiled
        return not other and all(f"{one.path}.".startswith(fields) for one in self.fields)


def _profiles(base: Base, prepared: Prepared) -> tuple[Profile | None, Profile | None]:
    """The profiles of both commits; none where one cannot be read, which nobody who updates can help."""
    try:
        old, new = (profile_in(base.repository, one) for one in (base.entry.commit, prepared.commit))
    except InvalidFile:
        return None, None
    return old, new


def changes_of(base: Base, prepared: Prepared, *, wanted: bool | None) -> Changes:
    """What the prepared version changes; ``wanted`` says whether a profile was asked for, or that there be none."""
    before = Manifest.of(base.entry.manifest, what="the registered manifest").to_dict()
    after = prepared.draft.manifest.to_dict()
    old, new = _profiles(base, prepared)
    return Changes(
        before=base.entry.version,
        after=prepared.draft.version,
        files=differences(base.inventory, prepared.inventory),
        fields=tuple(field_changes(before, after)),
        documents=tuple(_documents(base, prepared)),
        profile=profile_changes(old, new),
        profiled=(old is None) is not (new is None) and wanted is (new is not None),
    )


def _documents(base: Base, prepared: Prepared) -> list[str]:
    """Files of the repository, data and generated ones apart, that differ between the two commits."""
    differing = base.repository.changed(base.entry.commit, prepared.commit)
    return [path for path in differing if path not in _GENERATED and not path.startswith("data/")]
