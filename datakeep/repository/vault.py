"""The git side of a vault: bare repositories in a folder, behind ssh, or on a hosted service.

A folder vault may lie on a share that many machines mount and that belongs to someone else; it is
written under a lock, trusted by exactly its path, and none of its hooks runs on our machine.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

from datakeep.core.errors import (
    AccessDenied,
    Conflict,
    DatakeepError,
    GitFault,
    Locked,
    ProgramMissing,
    StoreMissing,
    StoreUnreachable,
    Unsupported,
)
from datakeep.core.secrets import strip_url
from datakeep.repository.command import GitRunner, SshPlace, check_url, local_path, ssh_place
from datakeep.repository.faults import RepositoryMissing, evidence, git_fault, os_fault
from datakeep.repository.locking import exclusive, remove_stale_locks
from datakeep.repository.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

#: What a bare repository of a folder vault is set to: what was pushed survives a power cut, nothing that
#: was registered can be rewritten, and a push that git finds malformed is refused.
_BARE_SETTINGS = {
    "core.fsync": "committed,reference",
    "core.fsyncMethod": "batch",
    "receive.denyNonFastForwards": "true",
    "receive.denyDeletes": "true",
    "receive.fsckObjects": "true",
    "receive.autogc": "false",
}
#: git's settings protect branches only; whoever pushes with plain git runs this hook of the repository.
_UPDATE_HOOK = """\
#!/bin/sh
# Made by datakeep: the tag of a registered version is neither moved nor deleted.
case $1 in refs/tags/v*) ;; *) exit 0 ;; esac
case $2 in *[!0]*) ;; *) exit 0 ;; esac
test "$2" = "$3" && exit 0
echo "$1 is a registered version: it is neither moved nor deleted" >&2
exit 1
"""
_REJECTED = ("[rejected]", "non-fast-forward", "fetch first", "but expected", "stale info", "already exists")
_SSH_MISSING_BASE = 44
_SSH_TIMEOUT_S = 120


def keep_url(base: str, name: str) -> str:
    """Where a git base has the repository of a keep."""
    return f"{base.rstrip('/')}/keeps/{name}.git"


def dataset_url(base: str, name: str) -> str:
    """Where a git base has the repository of a dataset."""
    return f"{base.rstrip('/')}/datasets/{name}.git"


def dataset_names(base: str) -> list[str]:
    """The datasets whose repositories a folder git base has; none of any other base, which cannot be listed.

    Raises:
        AccessDenied: It may not be listed.
    """
    path = local_path(base)
    folder = path / "datasets" if path else None
    if folder is None or not folder.is_dir():
        return []
    try:
        return sorted(one.name.removesuffix(".git") for one in folder.glob("[!.]*.git"))
    except OSError as error:
        raise os_fault(error, f"cannot list {folder}", folder) from error


def transport_options(url: str, service: Literal["upload-pack", "receive-pack"]) -> list[str]:
    """Options for fetch, push and ls-remote that make the other side of a folder vault safe and usable.

    The folder may belong to someone else (a share does), which git refuses unless told of exactly this
    path; and its hooks, which anyone who can write there can change, must not run as this user.
    """
    path = local_path(url)
    if path is None:
        return []
    settings = f"-c safe.directory={shlex.quote(str(path))} -c core.hooksPath=/dev/null"
    return [f"--{service}=git {settings} {service}"]


def exists(url: str) -> bool:
    """Whether there is a repository at ``url``.

    Raises:
        StoreMissing: The folder of the whole git base is not there; an unmounted share looks like this.
        StoreUnreachable: The host does not answer.
        AccessDenied: It may not be read.
    """
    check_url(url)
    if path := local_path(url):
        require_base(url)
        if not path.exists():
            return False
    try:
        GitRunner(None).run(
            "ls-remote", *transport_options(url, "upload-pack"), "--quiet", "--", url, "HEAD",
            doing=f"cannot look at {strip_url(url)}", url=url,
        )  # fmt: skip
    except RepositoryMissing:
        if path:
            raise StoreUnreachable(
                f"{path} exists, but is not a git repository",
                next_step=f"look at it (ls -la {path}), move it away, then run the command again",
            ) from None
        return False
    return True


def create_bare(
    url: str, create_command: Sequence[str] | None = None, *, name: str, make_base: bool = False
) -> bool:
    """There is a bare repository at ``url`` afterwards; True if it was made now.

    Args:
        url: A folder or ``file://``, an ssh address, or the https address of a hosted service.
        create_command: The command that makes a repository on a hosted service; ``{name}`` is its name.
        name: The name of the dataset or keep.
        make_base: Make the folder of the git base too. Only ``init`` does: elsewhere a missing base is an
            unmounted share.

    Raises:
        StoreMissing: The git base is not there.
        AccessDenied: It may not be written.
        Unsupported: A hosted service, and no command to create a repository there.
    """
    check_url(url)
    if path := local_path(url):
        return _create_folder(path, make_base=make_base)
    if exists(url):
        return False
    if create_command:
        _run_create_command(create_command, name, url)
    elif place := ssh_place(url):
        _create_ssh(place, url, make_base=make_base)
    else:
        raise Unsupported(
            f"{strip_url(url)} does not exist, and datakeep cannot make repositories there by itself",
            next_step="create it there, empty, or put its command in keep.yaml (vault.create_command: "
            '[gh, repo, create, "{name}", --private]); then run the command again',
        )
    if not exists(url):
        raise GitFault(
            f"the repository {strip_url(url)} was created, but is not at this address",
            next_step="compare vault.git in keep.yaml with where vault.create_command puts repositories",
        )
    return True


def drop_empty(url: str) -> None:
    """Take away a bare repository that was made for a version that then could not be; one with a ref stays.

    Nothing is done on a host, where nobody but its service takes repositories away, nor where it cannot be.
    """
    path = local_path(url)
    if path is None:
        return
    with suppress(OSError), exclusive(path):
        if not has_refs(path):
            gone = path.with_name(
                f".{path.name}.{os.getpid()}.new"
            )  # a kill leaves what the next one removes
            path.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)


def has_refs(path: Path) -> bool:
    """Whether a bare repository in a folder has any branch or tag."""
    packed = path / "packed-refs"
    return packed.exists() or any(one.is_file() for one in (path / "refs").rglob("*"))


@contextmanager
def base_first(url: str) -> Iterator[None]:
    """Where there is no repository at ``url``, a git base that is missing or not mounted is said instead."""
    try:
        yield
    except RepositoryMissing:
        require_base(url)
        raise


def require_base(url: str) -> None:
    """The git base of the repository ``url`` is there, if it is a folder: the mount point alone is empty.

    Raises:
        StoreMissing: It is not.
    """
    path = local_path(url)
    if path is None:
        return
    base = path.parent.parent
    try:
        if next(base.iterdir(), None):
            return
        fault = "empty"
    except PermissionError:
        return  # it may be that it can be entered, but not listed
    except (FileNotFoundError, NotADirectoryError):
        fault = "missing"
    raise StoreMissing(
        f"the git base {base} is {fault} on this machine; is the share mounted?",
        next_step="mount it; where it is mounted at another path: git config datakeep.vault.git PATH "
        "(and for its stores: git config datakeep.store.NAME.url PATH)",
    )


def _create_folder(path: Path, *, make_base: bool) -> bool:
    if not make_base:
        require_base(str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(path):
            if path.exists():
                exists(str(path))  # something else that lies there is an error of its own
                return False
            _make_bare(path)
    except OSError as error:
        raise os_fault(error, f"cannot create the repository {path}", path.parent) from error
    return True


def _make_bare(path: Path) -> None:
    """A whole bare repository appears at ``path`` at once, or none."""
    for left in path.parent.glob(f".{path.name}.*.new"):
        shutil.rmtree(left, ignore_errors=True)
    staging = path.with_name(f".{path.name}.{os.getpid()}.new")
    shared = ["--shared=group"] if path.parent.stat().st_mode & 0o020 else []
    try:
        GitRunner(None).run(
            "init", "--quiet", "--bare", "--initial-branch=main", "--template=", *shared, "--", str(staging),
            doing=f"cannot create the repository {path}",
        )  # fmt: skip
        # As `git config` would, which takes one setting at a time: a process for each.
        lines = ("[{}]\n\t{} = {}\n".format(*key.split("."), value) for key, value in _BARE_SETTINGS.items())
        with (staging / "config").open("a", encoding="utf-8") as config:
            config.writelines(lines)
        hook = staging / "hooks" / "update"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(_UPDATE_HOOK, encoding="utf-8")
        hook.chmod(0o755)
        staging.rename(path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _run_create_command(command: Sequence[str], name: str, url: str) -> None:
    argv = [part.replace("{name}", name) for part in command]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise ProgramMissing(
            f"vault.create_command cannot run {argv[0]!r}: {error.strerror}",
            next_step=f"install {argv[0]}, or create {strip_url(url)} by hand, then run the command again",
        ) from error
    if done.returncode != 0:
        said = evidence(done.stderr.decode("utf-8", "replace"))
        raise GitFault(
            f"vault.create_command failed with exit code {done.returncode} for {name}: {said}",
            next_step=f"create {strip_url(url)} by hand, or repair the command in keep.yaml",
        )


def _ssh_argv(place: SshPlace) -> list[str]:
    """The ssh that git itself would use for ``place``, as a list."""
    configured = GitRunner(None).run("config", "--get", "core.sshCommand", allow=(0, 1)).text
    command = (
        os.environ.get("GIT_SSH_COMMAND") or configured or shlex.quote(os.environ.get("GIT_SSH") or "ssh")
    )
    port = ["-p", str(place.port)] if place.port else []
    return [*shlex.split(command), *port, place.destination]


def _create_ssh(place: SshPlace, url: str, *, make_base: bool) -> None:
    path = place.path.rstrip("/")
    parent = path.rpartition("/")[0] or "."
    base = parent.rpartition("/")[0] or "."
    new = f"{parent}/.{path.rpartition('/')[2]}.new"
    named = (("p", path), ("d", parent), ("b", base), ("n", new), ("h", _UPDATE_HOOK))
    quoted = {key: shlex.quote(value) for key, value in named}
    settings = " && ".join(
        f"git --git-dir={{n}} config {key} {shlex.quote(value)}" for key, value in _BARE_SETTINGS.items()
    )
    # The far side of ssh is a shell by nature; every word of ours is quoted for it.
    script = (
        ("" if make_base else f"test -d {{b}} || exit {_SSH_MISSING_BASE}; ")
        + "mkdir -p {d} && rm -rf {n} && git init -q --bare {n}"
        + " && git --git-dir={n} symbolic-ref HEAD refs/heads/main && "
        + settings
        + " && mkdir -p {n}/hooks && printf %s {h} > {n}/hooks/update && chmod 755 {n}/hooks/update"
        + " && if test -e {p}; then rm -rf {n}; else mv {n} {p}; fi"
    ).format(**quoted)
    try:
        done = subprocess.run(
            [*_ssh_argv(place), script], stdin=subprocess.DEVNULL, capture_output=True, check=False,
            timeout=_SSH_TIMEOUT_S, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except FileNotFoundError as error:
        raise ProgramMissing("ssh cannot be run", next_step="install openssh-client") from error
    except subprocess.TimeoutExpired as error:
        raise StoreUnreachable(
            f"cannot create {strip_url(url)}: no answer in {_SSH_TIMEOUT_S} s", next_step="check the network"
        ) from error
    if done.returncode == _SSH_MISSING_BASE:
        raise StoreMissing(
            f"the git base {base} is missing on {place.destination}; is the share mounted there?",
            next_step=f"ssh {place.destination} ls {base}",
        )
    if done.returncode != 0:
        stderr = done.stderr.decode("utf-8", "replace")
        fault = git_fault(stderr, doing=f"cannot create {strip_url(url)} over ssh", url=url)
        if isinstance(fault, GitFault):
            raise Unsupported(
                f"{place.destination} does not let datakeep create repositories: {evidence(stderr)}",
                next_step=f"create {strip_url(url)} there by hand, empty, then run the command again",
            )
        raise fault


@contextmanager
def writing(url: str) -> Iterator[None]:
    """Alone in the repository at ``url``, where it is a folder; elsewhere its server sees to that."""
    path = local_path(url)
    if path is None:
        yield
        return
    require_base(url)
    if not path.is_dir():
        raise RepositoryMissing(
            f"there is no repository at {path}", next_step="was it moved? ask the administrator of the vault"
        )
    with exclusive(path):
        remove_stale_locks(path)
        yield


def push(
    runner: GitRunner,
    url: str,
    updates: Sequence[str],
    *,
    remote: str | None = None,
    dry_run: bool = False,
) -> Literal["done", "already there", "taken"]:
    """All of ``updates`` (``object:ref``) are at ``url``, or none, where someone else was there first.

    Args:
        runner: Runs in the repository that has the objects.
        url: Where to.
        updates: Refspecs, none of them forced.
        remote: The name of the remote with this URL, whose tracking refs follow.
        dry_run: Only ask whether it could be done.

    Raises:
        AccessDenied: The right to push is missing, or the folder is read-only.
        DatakeepError: The place cannot be reached, is full, or refused for another reason.
    """
    check_url(url)
    for attempt in (0, 1):
        with writing(url):
            finished = runner.run(
                "push", "--porcelain", "--atomic", "--no-verify", "--no-signed", "--recurse-submodules=no",
                *(["--dry-run"] if dry_run else []),
                *transport_options(url, "receive-pack"), "--", remote or url, *updates, allow=(0, 1, 128),
                doing=f"cannot push to {strip_url(url)}", url=url,
            )  # fmt: skip
            said = finished.stderr + finished.text
            if finished.exit_code == 0:
                changed = [line for line in finished.text.splitlines() if "\t" in line and line[0] != "="]
                return "done" if changed else "already there"
            fault = git_fault(said, doing=f"cannot push to {strip_url(url)}", url=url)
            locked = isinstance(fault, Locked) or "cannot lock ref" in said
            if attempt == 0 and locked and (path := local_path(url)):
                remove_stale_locks(path, young=True)
                continue
        if locked and not local_path(url) and "but expected" not in said:
            time.sleep(1)
            continue
        if any(mark in said for mark in _REJECTED) and not isinstance(fault, AccessDenied):
            return "taken"
        raise fault
    raise Conflict(
        f"cannot push to {strip_url(url)}: a ref is locked there",
        next_step="run the command again in a while",
    )


def fsck(url: str) -> list[str]:
    """What ``git fsck`` finds wrong with the repository at ``url``, which is cloned if it is remote."""
    path = local_path(url)
    if path is not None:
        return _complaints(GitRunner(path, settings=(f"safe.directory={path}",)))
    with scratch() as folder:
        runner = GitRunner(None)
        try:
            runner.run(
                "clone",
                "--quiet",
                "--mirror",
                "--",
                check_url(url),
                str(folder),
                doing=f"cannot clone {url}",
                url=url,
            )
        except (StoreUnreachable, AccessDenied):
            raise
        except DatakeepError as error:
            return [error.what]
        return _complaints(GitRunner(folder))


def _complaints(runner: GitRunner) -> list[str]:
    finished = runner.run(
        "fsck", "--full", "--strict", "--no-dangling", "--no-progress", allow=tuple(range(256))
    )
    lines = (finished.text + "\n" + finished.stderr).splitlines()
    # A repository that nothing was pushed to yet is whole.
    quiet = ("notice: HEAD points to an unborn branch", "notice: No default references")
    complaints = [line for line in lines if line.strip() and not line.startswith(quiet)]
    return (
        complaints if complaints or finished.exit_code == 0 else [f"git fsck ended with {finished.exit_code}"]
    )
