"""``show``: all that is known of a version, from the register; its profile is in its repository.

No store is asked. The vault is, for the repository of a version with tables that this keep has not fetched yet; where
it cannot be had, the answer says so, and has all the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError, InvalidFile
from datakeep.workflows.alike import proven_alike
from datakeep.workflows.profiling import read_profile
from datakeep.workflows.standings import Judge
from datakeep.workflows.stated import stated

if TYPE_CHECKING:
    from datetime import date, datetime

    from datakeep.formats.manifest import Column
    from datakeep.formats.profile import Profile
    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.alike import Alike
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.standings import Proofs
    from datakeep.workflows.stated import Stated


@dataclass(frozen=True, slots=True)
class Shown:
    """All that is known of a version.

    Attributes:
        entry: The register entry.
        facts: The manifest's fields, gaps included; none if the manifest cannot be read.
        fault: Why the manifest cannot be read; None if it can.
        columns: Each column's entry of the data dictionary.
        places: Each store that the entry names, with its URL, or None if the keep has it no more.
        copies: In how many places the version's bytes are, as far as the register knows.
        versions: All versions of the dataset, oldest first.
        proofs: What proves it.
        alike: A proven version that differs from it in stated facts only, if there is one.
        owner_departed: The owner's last day, if the keep knows one.
        profile: What the values of its tables are like; None if there is none.
        no_profile: Why its profile cannot be told, though there may be one; None if it can.
    """

    entry: VersionEntry
    facts: tuple[Stated, ...]
    fault: str | None
    columns: tuple[Column, ...]
    places: tuple[tuple[str, str | None], ...]
    versions: tuple[str, ...]
    proofs: Proofs
    alike: Alike | None
    owner_departed: date | None
    profile: Profile | None = None
    no_profile: str | None = None


def show(keep: Keep, reference: str, *, now: datetime) -> Shown:
    """All that is known of ``NAME`` (its newest version) or ``NAME@V``.

    Raises:
        UnknownName: There is no such dataset or version.
        InvalidFile, DamagedBytes: Its entry cannot be read.
    """
    keep.warn_if_behind()
    entry = keep.readable_entry(reference)
    facts: tuple[Stated, ...] = ()
    columns: tuple[Column, ...] = ()
    fault = None
    try:
        manifest = entry.manifest_model()
        for line in manifest.contradictions():
            keep.progress.warn(f"{entry.dataset}@{entry.version}: {line}")
        facts = tuple(stated(manifest))
        columns = tuple(manifest.columns)
    except InvalidFile as error:
        fault = error.what
    profile, no_profile = _profile(keep, entry)
    judge = Judge(keep, now)
    urls = {store.name: store.url for store in keep.file.vault.stores}
    return Shown(
        entry,
        facts,
        fault,
        columns,
        tuple((name, urls.get(name)) for name in keep.holding(entry)),
        tuple(keep.versions(entry.dataset)),
        judge.proofs(entry),
        proven_alike(keep, entry, judge),
        keep.roster.departed_on(str(entry.owner.get("email"))),
        profile,
        no_profile,
    )


def _profile(keep: Keep, entry: VersionEntry) -> tuple[Profile | None, str | None]:
    try:
        return read_profile(keep, entry), None
    except DatakeepError as error:
        return None, error.what
