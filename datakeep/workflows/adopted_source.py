"""The repository that is to be adopted: where it is, and its files and history once they are here.

It is somebody else's: cloned by the hardened function, and nothing of it runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datakeep.core.errors import HostileRepository, SecretFound, SourceEmpty, SourceFault, SourceMissing
from datakeep.core.secrets import find_secret, strip_url
from datakeep.repository import foreign
from datakeep.repository.command import check_url, local_path
from datakeep.repository.faults import RepositoryMissing
from datakeep.store.faults import folder_faults
from datakeep.workflows.adopted_tree import Tip

if TYPE_CHECKING:
    from pathlib import Path

    from datakeep.core.progress import Progress
    from datakeep.repository.adopting import AdoptedRepository
    from datakeep.repository.foreign import Access


_TAKE_OUT = "take that out of the repository (for a link, put its file there), commit, and adopt again"
_REWRITE = (
    "rewrite its history in a clone (`git filter-repo`) and adopt that, or take its files without their "
    "history: datakeep register NAME FOLDER"
)


@dataclass(frozen=True, slots=True)
class Source:
    """The repository as it was found.

    Args:
        url: Its address, or its absolute folder.
        folder: The folder, if it is one of this machine with a working tree: its DVC cache counts too.
        access: What of this machine the clone may use.
        commit: The newest commit of its default branch.
        branch: That branch; None where HEAD is on none.
    """

    url: str
    folder: Path | None
    access: Access
    commit: str
    branch: str | None

    @property
    def said(self) -> str:
        """What of it is adopted, in words."""
        on = f" (branch {self.branch})" if self.branch else ""
        return f"{strip_url(self.url)} at {self.commit[:12]}{on}"


def find(address: str, access: Access) -> Source:
    """The repository at ``address``, a folder or a URL, and its newest commit; nothing is fetched yet.

    Raises:
        SourceFault: There is none, or it has no commit, or is a shallow clone.
        HostileRepository: The address could be read as something else.
        SecretFound: It holds a password or token.
        StoreUnreachable, AccessDenied: It does not answer, or may not be read.
    """
    path = local_path(check_url(address))
    if path is None and (secret := find_secret(address)):
        raise SecretFound(
            f"the address {strip_url(address)} holds {secret}, which would be written down on this machine",
            next_step="leave it out: an ssh address, or --credential-helper NAME for https",
        )
    url, folder = address, None
    if path is not None:
        path = path.expanduser().resolve()
        if not path.is_dir():
            raise SourceMissing(f"there is no folder {path}", next_step="check the path or the URL")
        if any((path / place).exists() for place in (".git/shallow", "shallow")):
            raise SourceFault(
                f"{path} is a shallow clone: its history is cut off",
                next_step=f"git -C {path} fetch --unshallow; then adopt again",
            )
        url, folder = str(path), path if (path / ".git").exists() else None
        access = replace(access, allow_file=path)
    try:
        newest = foreign.default_branch(url, access)
    except RepositoryMissing as error:
        raise SourceMissing(
            f"there is no git repository at {strip_url(url)}",
            next_step="give the top folder of a repository, or its URL; a folder without git is registered: "
            "datakeep register NAME FOLDER",
        ) from error
    if newest is None:
        raise SourceEmpty(
            f"{strip_url(url)} has no commit on its default branch",
            next_step="commit and push something to it",
        )
    return Source(url, folder, access, *newest)


def taken_over(source: Source, folder: Path, repository: AdoptedRepository, progress: Progress) -> Tip:
    """The files of the newest commit are in ``folder``, the history in the cache of the dataset's repository.

    Raises:
        HostileRepository: It holds what could harm this machine, or another one; lists all such files.
        DatakeepError: As :func:`datakeep.repository.foreign.clone`.
    """
    progress.stage(f"cloning {strip_url(source.url)}", unit="steps")
    with folder_faults(folder.parent, "clone into it"):
        try:
            foreign.clone(source.url, folder, commit=source.commit, access=source.access)
        except HostileRepository as error:
            out = (
                _TAKE_OUT if error.things else _REWRITE
            )  # nothing is listed where an object of git is malformed
            raise HostileRepository(
                error.what, next_step=f"if you know it: {out}; else do not use it", things=error.things
            ) from error
    odd = repository.take_history(folder)
    if odd:
        progress.warn(f"tags of no commit are left out: {', '.join(odd)}")
    entries = repository.entries(source.commit, sizes=True)
    return Tip(folder, {entry.path: entry.size_bytes or 0 for entry in entries})
