"""Repositories as people work in them: a checkout with its files, and how a clone stands to its origin.

A checkout may be a folder of its own or the keep's submodule; both are what plain git makes of them, so
that ``git status`` and ``git submodule status`` know them.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import GitFault
from datakeep.core.secrets import strip_url
from datakeep.repository.command import GitRunner, check_object_id, check_url
from datakeep.repository.faults import os_fault
from datakeep.repository.objects import resolve
from datakeep.repository.refs import position
from datakeep.repository.vault import transport_options

if TYPE_CHECKING:
    from collections.abc import Iterable

_ORIGIN_MAIN = "refs/remotes/origin/main"


@dataclass(frozen=True, slots=True)
class Divergence:
    """How many commits a clone has that its origin has not, and the other way round."""

    ahead: int
    behind: int


@dataclass(frozen=True, slots=True)
class Addition:
    """The commit that added a file (the last time), and when."""

    commit: str
    when: datetime


def divergence(root: Path) -> Divergence | None:
    """How the clone at ``root`` stands to its origin, which is asked now; None if nothing is published.

    Raises:
        StoreUnreachable, AccessDenied: The origin cannot be asked.
    """
    git = GitRunner(root)
    url = check_url(git.text("remote", "get-url", "--", "origin"))
    git.run(
        "fetch", "--quiet", "--prune", "--no-write-fetch-head", "--no-recurse-submodules",
        *transport_options(url, "upload-pack"), "--", "origin",
        doing=f"cannot fetch from {strip_url(url)}", url=url,
    )  # fmt: skip
    if resolve(git, _ORIGIN_MAIN) is None or resolve(git, "HEAD") is None:
        return None
    ahead, behind = git.text("rev-list", "--count", "--left-right", f"HEAD...{_ORIGIN_MAIN}").split()
    return Divergence(int(ahead), int(behind))


def known_behind(root: Path) -> int:
    """How many commits the clone at ``root`` has fetched from its origin and does not show; nobody is asked."""
    if position(root, "HEAD") == position(root, _ORIGIN_MAIN):
        return 0
    listed = GitRunner(root).run("rev-list", "--count", f"HEAD..{_ORIGIN_MAIN}", "--", allow=(0, 128))
    return int(listed.text) if listed.exit_code == 0 else 0


def changed_files(root: Path, *below: str) -> list[str]:
    """The committed files below these folders that are changed or deleted in the working tree at ``root``."""
    return _status(root, "--untracked-files=no", "--", *below)


def uncommitted(root: Path, *, ignored: bool = False) -> list[str]:
    """The paths below ``root`` that are changed, new or deleted, and not committed; submodules apart.

    Args:
        root: The top folder of a working tree.
        ignored: Also those that git was told to ignore; a whole folder of them ends in ``/``.
    """
    return _status(root, "--untracked-files=all", *(["--ignored=traditional"] if ignored else []))


def _status(root: Path, *options: str) -> list[str]:
    """The paths that ``git status`` names with these options."""
    fixed = ("-z", "--porcelain", "--no-renames", "--ignore-submodules=all")
    listed = GitRunner(root).run("status", *fixed, *options).stdout.decode("utf-8", "surrogateescape")
    return [record[3:] for record in listed.split("\0") if record]


def head_of(folder: Path) -> str | None:
    """The commit that the checkout at ``folder`` shows; None if ``folder`` is not the top of one."""
    if not (folder / ".git").exists():
        return None
    return resolve(GitRunner(folder), "HEAD")


def additions(root: Path, prefix: str) -> dict[str, Addition]:
    """When each file below ``prefix`` came into the history of ``root``; one git process, however many."""
    git = GitRunner(root)
    if resolve(git, "HEAD") is None:
        return {}
    listed = git.text(
        "log", "-z", "--no-show-signature", "--no-renames", "--diff-filter=A", "--name-only",
        "--format=%x01%H %ct", "HEAD", "--", prefix,
    )  # fmt: skip
    found: dict[str, Addition] = {}
    for record in listed.split("\x01")[1:]:
        header, _, rest = record.replace("\n", "\0").partition("\0")
        commit, seconds = header.split()
        addition = Addition(commit, datetime.fromtimestamp(int(seconds), UTC))
        for path in filter(None, rest.split("\0")):
            found.setdefault(path, addition)
    return found


def folder_ids(root: Path, commits: Iterable[str], folder: str) -> dict[str, str]:
    """The id of ``folder`` in each of ``commits``: equal ids mean equal files. Without it, an empty text."""
    asked = [check_object_id(commit) for commit in dict.fromkeys(commits)]
    stdin = "".join(f"{commit}:{folder}\n" for commit in asked).encode()
    lines = GitRunner(root).text("cat-file", "--batch-check=%(objectname)", stdin=stdin).splitlines()
    return {
        commit: "" if line.endswith(" missing") else line for commit, line in zip(asked, lines, strict=True)
    }


def set_origin(checkout: Path, url: str) -> None:
    """``git fetch`` in the checkout asks ``url``."""
    GitRunner(checkout).run("remote", "set-url", "--", "origin", check_url(url))


def settle(checkout: Path) -> None:
    """Git has looked at the files of the checkout, so that later looks need not read them."""
    GitRunner(checkout).run("update-index", "-q", "--refresh", allow=(0, 1))


def become_submodule(root: Path, path: str, staged: Path) -> None:
    """The checkout ``staged`` becomes the submodule at ``path`` of the repository at ``root``, as git has it.

    Its git folder goes where git keeps those of submodules (``.git/modules/``). If one is there from
    before, its branches and objects stay, and its HEAD and index follow.

    Args:
        root: The superproject; its ``.gitmodules`` names the submodule by its path.
        path: Of the submodule; nothing or an empty folder is there.
        staged: A checkout of its own, on the same file system.
    """
    git, place = GitRunner(root), root / path
    modules = Path(git.text("rev-parse", "--path-format=absolute", "--git-common-dir")) / "modules" / path
    try:
        modules.parent.mkdir(parents=True, exist_ok=True)
        if (modules / "HEAD").is_file():
            _adopt(modules, staged)
        else:
            shutil.rmtree(modules, ignore_errors=True)
            (staged / ".git").rename(modules)
        (staged / ".git").write_text(f"gitdir: {os.path.relpath(modules, place)}\n", "utf-8")
        git.run("config", "--file", str(modules / "config"), "core.worktree", os.path.relpath(place, modules))
        place.parent.mkdir(parents=True, exist_ok=True)
        staged.rename(place)
    except OSError as error:
        raise os_fault(error, f"cannot check out into {place}", place) from error
    activate(root, path)


def activate(root: Path, path: str) -> None:
    """Git treats the submodule at ``path`` as one that is wanted here."""
    GitRunner(root).run("submodule", "--quiet", "init", "--", path)


def _adopt(modules: Path, staged: Path) -> None:
    """An earlier git folder of the submodule knows the staged checkout's commits and shows what it shows."""
    commit = GitRunner(staged).text("rev-parse", "--verify", "HEAD")
    # The folder's core.worktree may point to a place that is not there (yet).
    git = GitRunner(modules, {"GIT_DIR": str(modules), "GIT_WORK_TREE": str(staged)})
    git.run(
        "fetch", "--quiet", "--no-write-fetch-head", "--no-recurse-submodules", "--", str(staged),
        "+refs/tags/*:refs/tags/*", "+refs/remotes/origin/*:refs/remotes/origin/*",
    )  # fmt: skip
    if resolve(git, f"{commit}^{{commit}}") is None:
        raise GitFault(
            f"{modules} does not take the commit {commit[:12]}",
            next_step=f"look at it: git -C {modules} fsck",
        )
    git.run("update-ref", "--no-deref", "-m", "datakeep: checkout", "HEAD", commit)
    shutil.copyfile(staged / ".git" / "index", modules / "index")
    attributes = staged / ".git" / "info" / "attributes"
    if attributes.is_file():
        (modules / "info").mkdir(exist_ok=True)
        shutil.copyfile(attributes, modules / "info" / "attributes")
    shutil.rmtree(staged / ".git")
