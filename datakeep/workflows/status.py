"""``status``: what needs attention in the keep."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.errors import (
    AccessDenied,
    DatakeepError,
    GitFault,
    StoreUnreachable,
)
from datakeep.formats.version import VersionEntry
from datakeep.repository import working
from datakeep.repository.command import local_path
from datakeep.workflows.alike import proven_alike
from datakeep.workflows.last_fsck import recall
from datakeep.workflows.parsed import Brief, briefs_at, entries_at, unreadable_records
from datakeep.workflows.register_entries import BUNDLED, entry_path
from datakeep.workflows.roster import same_email
from datakeep.workflows.standings import Judge
from datakeep.workflows.takers import fill_command

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from datakeep.workflows.keep import Keep
    from datakeep.workflows.last_fsck import BadInStore

#: Files of a keep that are its contents; what else lies in it is the user's own.
_CONTENTS = ("keep.yaml", "people/", "register/", "proofs/", "models/", ".gitmodules")


_ADD = "datakeep vault add NAME URL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that needs attention: what, and what to type."""

    kind: str
    thing: str
    what: str
    next_step: str


@dataclass(frozen=True, slots=True)
class KeepStatus:
    """What needs attention in a keep; nothing, if there are no findings."""

    name: str
    datasets: int
    findings: tuple[Finding, ...]


def keep_status(keep: Keep, *, now: datetime) -> KeepStatus:
    """What needs attention in the keep, in the order in which to mend it."""
    readable: list[Brief] = []
    findings = [*_clone(keep), *_vault(keep), *_entries(keep, readable), *_people(keep), *_records(keep)]
    findings += _last_fsck(keep, {(found.kind, found.thing) for found in findings})
    judge = Judge(keep, now)
    for entry in _newest(keep, readable):
        findings += [*_ownership(keep, entry), *_proofs(keep, entry, judge)]
    findings += _copies(keep, readable)
    return KeepStatus(keep.name, len(keep.datasets), tuple(findings))


def _clone(keep: Keep) -> Iterator[Finding]:
    root = keep.root
    try:
        found = working.divergence(root)
    except (StoreUnreachable, AccessDenied, GitFault) as error:
        yield Finding(
            "unreachable", "origin", f"not compared with what is published: {error.what}", error.next_step
        )
        found = None
    if found and found.behind:
        what = f"{counted(found.behind, 'published commit')} missing here"
        yield Finding("behind", "origin", what, f"git -C {root} pull --rebase")
    if found and found.ahead:
        what = f"{counted(found.ahead, 'commit')} here that nobody else can see"
        yield Finding("ahead", "origin", what, f"git -C {root} push")
    for path in working.uncommitted(root):
        if path.startswith(_CONTENTS):
            what = "changed here and not committed; datakeep reads what is committed"
            yield Finding("uncommitted", path, what, f"git -C {root} diff -- {path}; then commit or undo it")


def _vault(keep: Keep) -> Iterator[Finding]:
    """Stores that cannot be used, and repositories that a folder git base lacks; no dataset costs a request."""
    for store in keep.stores():
        try:
            store.check(keep=keep.name)
        except DatakeepError as error:
            yield Finding("store", f"store {store.name}", error.what, error.next_step)
    base = local_path(keep.git_base)
    if base is None or not base.is_dir():
        return  # of the whole base the comparison with origin tells
    for name in keep.datasets:
        url = keep.dataset_url(name)
        if not (path := local_path(url)) or not path.is_dir():
            what = f"its repository {url} is not there"
            yield Finding("missing-repository", name, what, "datakeep fsck --repair")


def _last_fsck(keep: Keep, told: Collection[tuple[str, str]]) -> Iterator[Finding]:
    """What fsck found wrong and did not find right since; ``told`` is what was seen now."""
    known, versions = recall(keep), _versions(keep)
    names = {store.name for store in keep.file.vault.stores}
    bad = [one for one in known.bad if one.store in names and one.version in versions]
    by_store: dict[tuple[str, str], list[BadInStore]] = {}
    lost: dict[str, BadInStore] = {}
    for one in bad:
        if one.lost:
            lost[one.version] = one
        else:
            by_store.setdefault((one.store, _day(one.at)), []).append(one)
    for (store, day), ones in by_store.items():
        objects = counted(sum(one.objects for one in ones), "object")
        shown = ", ".join(one.version for one in ones[:3]) + (", …" if len(ones) > 3 else "")
        what = f"fsck of {day} found {objects} missing or wrong, of {shown}"
        yield Finding("fsck", f"store {store}", what, "datakeep fsck --deep --repair")
    for one in lost.values():
        what = f"fsck of {_day(one.at)} found {counted(one.lost, 'file')} whole in no store"
        yield Finding("lost", one.version, what, one.next_step or "datakeep fsck --deep")
    abouts = {"the keep", *keep.datasets, *versions}
    for said in known.said:
        if said.about in abouts and ("missing-repository", said.about) not in told:
            what = f"fsck of {_day(said.at)}: {said.what}"
            yield Finding("fsck", said.about, what, said.next_step or "datakeep fsck")


def _versions(keep: Keep) -> set[str]:
    return {f"{name}@{version}" for name in keep.datasets for version in keep.versions(name)}


def _day(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().date().isoformat()


def _people(keep: Keep) -> Iterator[Finding]:
    """People whose files cannot be read."""
    for one in keep.roster.unreadable:
        what = f"{one.reason}; no key of {one.handle} counts until it can be, and nobody can be added"
        yield Finding("broken-person", one.path, what, one.next_step)


def _entries(keep: Keep, readable: list[Brief]) -> Iterator[Finding]:
    """Register entries that cannot be read; the others are added to ``readable``."""
    paths = [entry_path(name, version) for name in keep.datasets for version in keep.versions(name)]
    for one in briefs_at(keep, paths):
        if one.fault:
            yield Finding(
                "broken-entry", one.path, one.fault, f"restore it from history: git log -- {one.path}"
            )
        else:
            readable.append(one)


def _newest(keep: Keep, readable: Sequence[Brief]) -> Iterator[VersionEntry]:
    """The newest entry of each dataset that can be read; :func:`_entries` reports the others."""
    newest = {one.dataset: one.path for one in readable}
    for entry in entries_at(keep, list(newest.values())).values():
        if isinstance(entry, VersionEntry):
            yield entry


def _records(keep: Keep) -> Iterator[Finding]:
    for broken in unreadable_records(keep):
        yield Finding(
            "broken-record", broken.path, broken.reason, f"restore it from history: git log -- {broken.path}"
        )


def _ownership(keep: Keep, entry: VersionEntry) -> Iterator[Finding]:
    email = str(entry.owner.get("email"))
    departed = [
        person.departed
        for person in keep.people.values()
        if same_email(person.email, email) and person.departed is not None
    ]
    if departed:
        yield Finding(
            "departed-owner",
            entry.dataset,
            f"its owner {email} departed on {departed[0]}",
            f"datakeep update {entry.dataset} --owner 'NAME <MAIL>' -m 'new owner'",
        )


def _proofs(keep: Keep, entry: VersionEntry, judge: Judge) -> Iterator[Finding]:
    name, proofs = f"{entry.dataset}@{entry.version}", judge.proofs(entry)
    invalid = [proof for proof in proofs.proofs if proof.standing.status == "invalid"]
    if invalid:
        reason = invalid[0].standing.reason
        more = f" (and {len(invalid) - 1} more)" if len(invalid) > 1 else ""
        yield Finding(
            "invalid-proof", invalid[0].path, f"proves nothing: {reason}{more}", f"datakeep show {name}"
        )
    if proofs.state == "proven":
        for failed in proofs.failed_since[:1]:
            what = f"proven by {', '.join(proofs.proven_by)}; since then {failed.reason}"
            yield Finding("failed-since", name, what, f"datakeep verify {name}")
        return
    alike = proven_alike(keep, entry, judge)
    also = f" ({alike})" if alike else ""
    if not entry.manifest.get("reference"):
        what = f"unproven{also}, and there is no reference training to prove it with"
        yield Finding("unproven", name, what, f"datakeep reference {entry.dataset} --help")
        return
    newest = proofs.newest
    what = {
        "unproven": f"nobody has proven that it can be carried on{also}",
        "self-checked": "its owner has checked it; nobody else has proven that they can carry it on",
        "expired": f"its proof has expired: {newest.reason if newest else ''}",
        "failed": f"{newest.reason if newest else ''}",
    }[proofs.state]
    # Who asks may be the owner, who has done what they can.
    step = f"have somebody else run: datakeep verify {name}" if proofs.state == "self-checked" else None
    yield Finding(proofs.state, name, what, step or f"datakeep verify {name}")


def _copies(keep: Keep, entries: Sequence[Brief]) -> Iterator[Finding]:
    """Versions with too few copies, those of a dataset that lack the same as one finding."""
    wanted, stores = keep.file.policy.copies, [store.name for store in keep.file.vault.stores]
    short: dict[tuple[str, int, str | None], list[str]] = {}
    for entry in entries:
        holding = keep.holding_at(entry.path, entry.stores)
        count = len(holding) + (entry.backend == BUNDLED)  # of the git backend the git base is one
        if count < wanted:
            lacking = next((name for name in stores if name not in holding), None)
            short.setdefault((entry.dataset, count, lacking), []).append(entry.version)
    for (dataset, count, lacking), versions in short.items():
        thing = f"{dataset}@{versions[-1]}"
        others = f" (and of {', '.join(versions[:-1][-3:])})" if len(versions) > 1 else ""
        missing = f", none in store {lacking}" if lacking else ""
        what = (
            f"{counted(count, 'copy', 'copies')} of its bytes{others}{missing}; the policy asks for {wanted}"
        )
        yield Finding("copies", thing, what, fill_command(keep, lacking) if lacking else _ADD)
