"""The git side of ``fsck``: the vault's repositories are whole, and each tag is the commit that was registered.

Repair pushes what the register knows and the vault lost, from this clone's cache or a store's bundles. A tag
that someone moved is kept beside the right one.
"""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.repository import vault
from datakeep.repository.command import local_path
from datakeep.repository.faults import RepositoryMissing
from datakeep.repository.identity import Identity
from datakeep.workflows.bundles import unbundled
from datakeep.workflows.fsck_report import Complaint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.fsck_report import Fsck
    from datakeep.workflows.keep import Keep


def check_git(keep: Keep, entries: Sequence[VersionEntry], found: Fsck, *, repair: bool) -> None:
    """Complain of the keep's repository and those of the datasets; with ``repair``, restore lost tags."""
    url = keep.repository.url
    push = (
        f"push it from a whole clone: git -C {shlex.quote(str(keep.root))} push --mirror {shlex.quote(url)}"
    )
    found.complaints += [Complaint("the keep", f"{url}: {line}", push) for line in _complaints(url)]
    for name in dict.fromkeys(entry.dataset for entry in entries):
        _Dataset(keep, name, [entry for entry in entries if entry.dataset == name], found).check(
            repair=repair
        )


def unregistered(keep: Keep) -> list[str]:
    """The repositories of datasets in a folder git base that no register entry names."""
    try:
        names = vault.dataset_names(keep.git_base)
    except DatakeepError:
        return []  # the base does not answer, which the keep's own repository has said
    return [keep.dataset_url(name) for name in names if name not in keep.datasets]


def _complaints(url: str) -> list[str]:
    try:
        return vault.fsck(url)
    except DatakeepError as error:
        return [error.what]


class _Dataset:
    """One dataset's repository in the vault, and the versions that it must have."""

    def __init__(self, keep: Keep, name: str, entries: Sequence[VersionEntry], found: Fsck) -> None:
        self._keep, self._name, self._entries, self._found = keep, name, entries, found
        self._url = keep.dataset_url(name)
        self._repository = keep.dataset_repository(name)

    def check(self, *, repair: bool) -> None:
        """Whole, and every tag in its place, afterwards if it can be repaired."""
        try:
            tags = self._tags(repair=repair)
            if complaints := _complaints(self._url):
                self._found.complaints += [
                    Complaint(self._name, f"{self._url}: {line}", self._rebuild()) for line in complaints
                ]
                return
        except DatakeepError as error:
            self._found.complaints.append(Complaint(self._name, error.what, error.next_step))
            return
        for entry in self._entries:
            if tags.get(entry.version) != entry.commit and not (repair and self._restore(entry)):
                said = "is not there" if entry.version not in tags else "is another commit than registered"
                self._complain(
                    entry, f"its tag in {self._url} {said}", "datakeep fsck --repair brings it back"
                )

    def _tags(self, *, repair: bool) -> dict[str, str]:
        try:
            return self._repository.remote_tags()
        except RepositoryMissing:
            if not repair:
                raise RepositoryMissing(
                    f"its repository {self._url} is not there",
                    next_step="datakeep fsck --repair makes it anew from the stores' bundles and this clone",
                ) from None
        vault.create_bare(self._url, self._keep.file.vault.create_command, name=self._name)
        self._found.restored.append(f"the repository {self._url}")
        return {}

    def _rebuild(self) -> str:
        path = local_path(self._url)
        away = f"move it away (mv {path} {path}.damaged)" if path else "move it away there"
        return f"{away}, then datakeep fsck --repair makes it anew from the stores' bundles and this clone"

    def _restore(self, entry: VersionEntry) -> bool:
        try:
            with self._spare(entry) as spare:
                tagger = Identity(entry.registered_by, entry.registered_by)
                self._repository.restore(
                    entry.version, entry.commit, entry.message, tagger, entry.registered_at, spare=spare
                )
        except DatakeepError as error:
            self._complain(entry, f"its tag was not restored: {error.what}", error.next_step)
            return True  # said already
        self._found.restored.append(f"the tag of {entry.dataset}@{entry.version}")
        return True

    @contextmanager
    def _spare(self, entry: VersionEntry) -> Iterator[Path | None]:
        """A repository made of a store's bundles, where nothing nearer has the version."""
        if self._repository.has(entry.commit):
            yield None
            return
        with unbundled(self._keep, entry) as folder:
            yield folder

    def _complain(self, entry: VersionEntry, what: str, next_step: str | None) -> None:
        self._found.complaints.append(Complaint(f"{entry.dataset}@{entry.version}", what, next_step))
