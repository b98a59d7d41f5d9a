"""Cloning a repository that someone else wrote, with nothing of this host but credentials.

Decision 4 of the design. git runs with an empty home and a configuration of our own making; what was
fetched is looked at as objects, and only then are files written. No hook, filter, helper, rewrite rule
or submodule of the repository, or of the host, takes part.
"""

from __future__ import annotations

import os
import posixpath
import shlex
import shutil
import unicodedata
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import AccessDenied, AlreadyExists, DatakeepError, HostileRepository, NoSpace
from datakeep.core.paths import Refusal, refuse, refuse_file_as_folder, refuse_twins
from datakeep.core.secrets import strip_url
from datakeep.repository.command import GitRunner, check_object_id, check_url, local_path, ssh_place
from datakeep.repository.damage import damaged_files
from datakeep.repository.faults import NeverPushed, RepositoryDamaged, VersionLost, os_fault
from datakeep.repository.objects import GITLINK, SYMLINK, TreeEntry, read_files, resolve, walk_tree
from datakeep.repository.scratch import scratch
from datakeep.repository.submodules import check, parse, resolve_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_ENTRIES = 5_000_000
_MAX_SUBMODULES = 100
_MAX_DEPTH = 5
_REMOTE = "refs/remotes/origin/"
#: What the checkout is told over any .gitattributes: a file's bytes are those of its object.
_ATTRIBUTES = "* -text -filter -ident -working-tree-encoding -export-subst\n"
_CONFIG = {
    "core": {
        "autocrlf": "false",
        "eol": "lf",
        "attributesFile": "/dev/null",
        "excludesFile": "/dev/null",
        "protectNTFS": "true",
        "protectHFS": "true",
        "sparseCheckout": "false",
        "askPass": "",
    },
    "transfer": {"fsckObjects": "true"},
    "init": {"defaultBranch": "main", "templateDir": ""},
    # For the other end of a clone from the vault's folder, should damage have to be looked for.
    "uploadpack": {"allowFilter": "true"},
}
_ALL = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")


@dataclass(frozen=True, slots=True)
class Access:
    """What of this host a clone may use. Nothing else is let in.

    Args:
        ssh_key: A private key for ssh; without it, only the ssh agent is asked.
        credential_helper: The host's git credential helper for https (``store``, ``libsecret``, a path).
        allow_file: The folder of the vault's git base: the only one that may be cloned from on this machine.
        home: The user's home, for ``known_hosts`` and the credential helper.
        transport: Variables about the way to the host (proxy, certificates), by name.
    """

    ssh_key: Path | None = None
    credential_helper: str | None = None
    allow_file: Path | None = None
    home: Path | None = None
    transport: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkout:
    """A clone: its folder, the commit that its files are of, and the kinds of credentials let in."""

    path: Path
    commit: str
    let_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a foreign repository may be.

    Args:
        timeout_s: For each git call.
        size_bytes: For all files of the commit together; None means what the disk can hold.
        allow_symlinks: Links that stay inside the repository are checked out (training code), else refused.
        submodules: Submodules are checked and cloned at their pinned commits, else refused.
    """

    timeout_s: float = 3600
    size_bytes: int | None = None
    allow_symlinks: bool = False
    submodules: bool = False


def clone(
    url: str,
    destination: Path,
    *,
    commit: str | None = None,
    tag: str | None = None,
    access: Access,
    limits: Limits | None = None,
) -> Checkout:
    """The files of ``commit``, or of ``tag``, of a foreign repository are in ``destination``, byte for byte.

    Args:
        url: The repository.
        destination: Must not exist, or be an empty folder. Until all is well nothing appears there.
        commit: A full commit id. With ``tag`` too, the tag must be of this commit.
        tag: The name of a tag.
        access: What of this host may be used.
        limits: How much it may be, and of what kind.

    Raises:
        RepositoryMissing: There is no such repository.
        VersionLost: It has no such tag.
        NeverPushed: It has no such commit.
        StoreUnreachable: It does not answer, or not in time.
        AccessDenied: It may not be read with what was let in.
        HostileRepository: It holds something that could harm this machine. Nothing of it was run.
        RepositoryDamaged: Objects of it cannot be had as they were; lists the files, as far as they are known.
    """
    if commit is None and tag is None:
        raise ValueError("a commit or a tag is needed")
    limits = limits or Limits()
    check_place(url, access)
    try:
        if os.path.lexists(destination) and (destination.is_symlink() or any(destination.iterdir())):
            raise AlreadyExists(f"{destination} exists and is not empty", next_step="name another folder")
        destination.parent.mkdir(parents=True, exist_ok=True)
        staging = destination.with_name(f".{destination.name[:100]}.{uuid.uuid4().hex[:8]}.partial")
        try:
            done = _Clone(url, access, limits).into(staging, commit=commit, tag=tag)
            staging.rename(destination)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise os_fault(error, f"cannot clone into {destination}", destination.parent) from error
    return replace(done, path=destination)


def published_main(url: str, access: Access, *, timeout_s: float = 120) -> str | None:
    """The commit of the branch main at ``url``, asked with nothing of this host; None if it has none.

    Raises:
        RepositoryMissing, StoreUnreachable, AccessDenied: As :func:`clone`.
    """
    return _listed(url, access, "refs/heads/main", timeout_s=timeout_s).split("\t")[0] or None


def default_branch(url: str, access: Access, *, timeout_s: float = 120) -> tuple[str, str | None] | None:
    """The newest commit at ``url`` and the branch that it is on, if any; None if there is no commit.

    Raises:
        RepositoryMissing, StoreUnreachable, AccessDenied: As :func:`clone`.
    """
    branch = None
    for line in _listed(url, access, "HEAD", options=("--symref",), timeout_s=timeout_s).splitlines():
        value, _, name = line.partition("\t")
        if name == "HEAD" and value.startswith("ref: refs/heads/"):
            branch = value.removeprefix("ref: refs/heads/")
        elif name == "HEAD":
            return check_object_id(value), branch
    return None


def _listed(url: str, access: Access, ref: str, *, options: tuple[str, ...] = (), timeout_s: float) -> str:
    check_place(url, access)
    with _room(url, access) as environment:
        git = GitRunner(None, environment, isolated=True, timeout_s=timeout_s)
        doing = f"cannot look at {strip_url(url)}"
        return git.run("ls-remote", "--quiet", *options, "--", url, ref, doing=doing, url=url).text


def check_place(url: str, access: Access) -> None:
    """Whether ``url`` may be cloned from at all; it is not asked for anything yet.

    Raises:
        HostileRepository: It could be read as something other than an address.
        AccessDenied: It is a folder of this machine that is not in the vault's git base.
    """
    path = local_path(check_url(url))
    if path is None:
        return
    allowed = access.allow_file
    if allowed is None or not path.resolve().is_relative_to(allowed.resolve()):
        raise AccessDenied(
            f"{path} is a folder of this machine, and not in the git base that keep.yaml names",
            next_step="push the repository to a place that others can reach, and name that",
        )


@dataclass(frozen=True, slots=True)
class _Clone:
    url: str
    access: Access
    limits: Limits
    depth: int = 0

    def into(self, folder: Path, *, commit: str | None, tag: str | None) -> Checkout:
        with _room(self.url, self.access) as environment:
            home = GitRunner(None, environment, isolated=True, timeout_s=self.limits.timeout_s)
            home.run("init", "--quiet", "--template=", "--", str(folder))
            git = replace(home, folder=folder)
            git.run("remote", "add", "origin", "--", self.url)
            found = self._fetch(git, commit=commit, tag=tag)
            entries = self._inspect(git, folder, found)
            info = folder / ".git" / "info"
            info.mkdir(exist_ok=True)
            (info / "attributes").write_text(_ATTRIBUTES, "utf-8")
            git.run("checkout", "--quiet", "--detach", "--no-recurse-submodules", found)
        links = [entry for entry in entries if entry.mode == GITLINK]
        if links:
            self._clone_submodules(folder, found, links)
        return Checkout(folder, found, _let_in(self.url, self.access))

    def _fetch(self, git: GitRunner, *, commit: str | None, tag: str | None) -> str:
        shown = strip_url(self.url)

        def fetch(*refspecs: str) -> None:
            git.run(
                "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--",
                "origin", *refspecs, doing=f"cannot clone {shown}", url=self.url,
            )  # fmt: skip

        try:
            fetch(*_ALL)
        except RepositoryDamaged as error:
            raise self._damage(git, commit or f"refs/tags/{tag}", error) from error
        if tag is not None:
            tagged = resolve(git, f"refs/tags/{tag}^{{commit}}")
            if tagged is None:
                raise VersionLost(f"{shown} has no tag {tag}", next_step="datakeep fsck --repair")
            if commit is not None and tagged != commit:
                raise HostileRepository(
                    f"the tag {tag} of {shown} is commit {tagged[:12]} now, not {commit[:12]} as registered",
                    next_step="ask the dataset's owner who moved the tag; git tags of versions never move",
                )
            return tagged
        wanted = check_object_id(commit or "")
        if resolve(git, f"{wanted}^{{commit}}") is None:
            try:
                fetch(wanted)  # some hosts give a commit that no branch leads to
            except DatakeepError as error:
                raise NeverPushed(
                    f"{shown} does not have commit {wanted[:12]}: it was never pushed there",
                    next_step="ask its author to push the commit to a branch of this repository",
                ) from error
        return wanted

    def _damage(self, git: GitRunner, commit: str, error: RepositoryDamaged) -> RepositoryDamaged:
        files = damaged_files(git, commit, _ALL, limit=_MAX_ENTRIES)
        if files is None:
            return error
        more = f" and {len(files) - 1} more files" if len(files) > 1 else ""
        lost = f"{files[0]}{more}" if files else "files of other versions (those of this one are whole)"
        return RepositoryDamaged(
            f"{strip_url(self.url)} is damaged: it cannot give {lost}",
            next_step=error.next_step,
            things=[f"{path}: damaged or missing in {strip_url(self.url)}" for path in files],
        )

    def _inspect(self, git: GitRunner, folder: Path, commit: str) -> list[TreeEntry]:
        """All entries of ``commit``, none of which can harm this machine when it is written."""
        entries = list(walk_tree(git, commit, sizes=True, limit=_MAX_ENTRIES))
        faults = [str(found) for entry in entries if (found := _refuse(entry.path))]
        links = [entry for entry in entries if entry.mode == SYMLINK]
        if links and not self.limits.allow_symlinks:
            faults += [f"{entry.path!r} is a symbolic link" for entry in links]
        elif links:
            faults += _escaping(git, commit, links)
            faults += [str(twin) for twin in refuse_twins(entry.path for entry in entries)]
        faults += [str(found) for found in refuse_file_as_folder(entry.path for entry in entries)]
        pinned = [entry for entry in entries if entry.mode == GITLINK]
        if pinned and not self.limits.submodules:
            faults += [f"{entry.path!r} is a submodule, which is not expected here" for entry in pinned]
        if faults:
            raise HostileRepository(
                f"{strip_url(self.url)} holds what could harm this machine: {faults[0]}",
                next_step="do not use this repository; ask its owner what it holds",
                things=faults,
            )
        self._check_size(folder, sum(entry.size_bytes or 0 for entry in entries))
        return entries

    def _check_size(self, folder: Path, size_bytes: int) -> None:
        shown = strip_url(self.url)
        if self.limits.size_bytes is not None and size_bytes > self.limits.size_bytes:
            raise HostileRepository(
                f"the files of {shown} are {size_bytes} bytes; {self.limits.size_bytes} are allowed",
                next_step="ask its owner; a large dataset belongs in a store",
            )
        free_bytes = shutil.disk_usage(folder).free
        if size_bytes > free_bytes:
            raise NoSpace(
                f"the files of {shown} need {size_bytes} bytes; {folder.parent} has {free_bytes}",
                next_step=f"free {size_bytes - free_bytes} bytes there, then run the command again",
            )

    def _clone_submodules(self, folder: Path, commit: str, links: list[TreeEntry]) -> None:
        git = GitRunner(folder)
        text = read_files(git, commit, [".gitmodules"]).get(".gitmodules", b"").decode("utf-8", "replace")
        listed = parse(text)
        check(listed)
        by_path = {submodule.path: submodule for submodule in listed}
        if len(links) > _MAX_SUBMODULES or self.depth >= _MAX_DEPTH:
            raise HostileRepository(
                f"{strip_url(self.url)} has more submodules, or deeper ones, than any training needs",
                next_step="ask its owner",
            )
        for entry in links:
            submodule = by_path.get(entry.path)
            if submodule is None:
                raise NeverPushed(
                    f"{strip_url(self.url)} pins a submodule at {entry.path} that .gitmodules does not name",
                    next_step="ask its author to commit the .gitmodules",
                )
            url = resolve_url(self.url, submodule.url)
            check_place(url, self.access)
            inner = _Clone(url, self.access, self.limits, self.depth + 1)
            inner.into(folder / entry.path, commit=entry.object_id, tag=None)


def _refuse(path: str) -> Refusal | None:
    """Why ``path`` could do harm. What is only not portable (NFD, a control file of DVC) is no harm."""
    plain = unicodedata.normalize("NFC", path)
    parts = ["dvc" if part in (".dvc", ".dvcignore") else part for part in plain.split("/")]
    found = refuse("/".join(parts))
    return replace(found, path=path.encode("utf-8", "backslashreplace").decode()) if found else None


def _escaping(git: GitRunner, commit: str, links: list[TreeEntry]) -> list[str]:
    """Symbolic links that lead out of the repository, or into git's own folder."""
    targets = read_files(git, commit, [entry.path for entry in links])
    faults = []
    for entry in links:
        target = targets.get(entry.path, b"").decode("utf-8", "surrogateescape")
        reached = posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), target))
        if (
            not target
            or target.startswith("/")
            or reached.split("/")[0] == ".."
            or (reached != "." and _refuse(reached))
        ):
            faults.append(f"{entry.path!r} is a symbolic link that leads to {target!r}")
    return faults


def _let_in(url: str, access: Access) -> tuple[str, ...]:
    """The kinds of credentials that a clone of ``url`` could use."""
    if ssh_place(url):
        return ("ssh key",) if access.ssh_key else ("ssh agent",) if os.environ.get("SSH_AUTH_SOCK") else ()
    if access.credential_helper and local_path(url) is None:
        return ("git credential helper",)
    return ()


@contextmanager
def _room(url: str, access: Access) -> Iterator[dict[str, str]]:
    """The whole environment of git, while a clone lasts: an empty home, and a configuration of our own."""
    with scratch() as home:
        config = home / "gitconfig"
        empty = home / "home"
        try:
            config.write_text(_config_text(url, access), "utf-8")
            empty.mkdir()
        except OSError as error:
            raise os_fault(error, f"cannot write temporary files to {home.parent}", home.parent) from error
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(empty),
            "XDG_CONFIG_HOME": str(empty),
            "TMPDIR": str(home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(config),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": "https:http:ssh" + (":file" if local_path(url) else ""),
            "GIT_SSH_COMMAND": _ssh_command(access),
            "GIT_SSH_VARIANT": "ssh",
            **access.transport,
        }
        if ssh_place(url) and not access.ssh_key and (agent := os.environ.get("SSH_AUTH_SOCK")):
            environment["SSH_AUTH_SOCK"] = agent
        yield environment


def _config_text(url: str, access: Access) -> str:
    sections = {name: dict(values) for name, values in _CONFIG.items()}
    if path := local_path(url):
        # A share belongs to someone else; trusted is this one path, in both of its spellings.
        trusted = {str(path), str(path.resolve())}
        lines = [f"[safe]\n{''.join(f'	directory = {_quoted(one)}{chr(10)}' for one in sorted(trusted))}"]
    elif access.credential_helper:
        lines = [f"[credential]\n\thelper = {_quoted(_helper(access.credential_helper, access.home))}\n"]
    else:
        lines = []
    for name, values in sections.items():
        lines.append(
            f"[{name}]\n" + "".join(f"\t{key} = {_quoted(value)}\n" for key, value in values.items())
        )
    return "".join(lines)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _helper(helper: str, home: Path | None) -> str:
    """The credential helper, which alone sees the user's home: that is where credentials are kept."""
    if helper.startswith("!"):
        return helper
    command = shlex.quote(helper) if helper.startswith("/") else f"git credential-{helper}"
    return f"!HOME={shlex.quote(str(home))} {command}" if home else f"!{command}"


def _ssh_command(access: Access) -> str:
    """The ssh that git calls: no configuration of the user or the host, no questions, known hosts only."""
    known_hosts = (access.home or Path.home()) / ".ssh" / "known_hosts"
    key = str(access.ssh_key) if access.ssh_key else "none"
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(known_hosts),
        "IdentityFile": key,
        "ConnectTimeout": "30",
        "ForwardAgent": "no",
    }
    if access.ssh_key:
        options |= {"IdentitiesOnly": "yes", "IdentityAgent": "none"}
    return shlex.join(["ssh", "-F", "/dev/null", *(f"-o{key}={value}" for key, value in options.items())])
