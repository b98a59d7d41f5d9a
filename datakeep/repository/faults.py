"""What git says on its error channel, as errors that a user can act on.

git speaks to people who know git. The rules here turn its sentences (in English, which the runner
asks for) into one family of :mod:`datakeep.core.errors` each, with one sentence of evidence.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING

from datakeep.core.errors import (
    AccessDenied,
    DamagedBytes,
    DatakeepError,
    GitFault,
    HostileRepository,
    Locked,
    NetworkMissing,
    NoSpace,
    StoreUnreachable,
)
from datakeep.core.secrets import strip_url

if TYPE_CHECKING:
    from pathlib import Path


class RepositoryMissing(StoreUnreachable):
    """The git base answers, but there is no repository at this place."""


class NeverPushed(DamagedBytes):
    """The repository is there, but a commit or tag that the register names was never pushed to it."""


class VersionLost(DamagedBytes):
    """The repository no longer has the tag of a version that was pushed to it and registered."""


class HostKeyUnknown(AccessDenied):
    """This machine's ``known_hosts`` does not have the key of the git base's host."""


class RepositoryDamaged(GitFault):
    """Objects of the repository are missing, or are not what their names say."""


_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)
_Rule = tuple[str, type[DatakeepError], str, str]


def _rule(pattern: str, kind: type[DatakeepError], cause: str, next_step: str) -> _Rule:
    return pattern, kind, cause, next_step


# The first rule that fits wins: the causes come before the general sentences that git adds to them.
_RULES: tuple[_Rule, ...] = (
    _rule(
        r"no space left on device|disk quota exceeded|out of diskspace",
        NoSpace,
        "there is no space left",
        "free some space there, then run the command again",
    ),
    _rule(
        r"dubious ownership",
        AccessDenied,
        "git does not trust a repository that belongs to someone else",
        "if you trust its owner, run: git config --global --add safe.directory {url}",
    ),
    _rule(
        r"\.lock': file exists|another git process seems to be running",
        Locked,
        "another git is at work there, or one was killed and left its lock file",
        "wait for it to end, or remove the lock file that is named, then run the command again",
    ),
    _rule(
        r"fsck error|error: object [0-9a-f]+: |transport '[^']*' not allowed|invalid path '"
        r"|disallowed submodule",
        HostileRepository,
        "the repository holds something that git refuses as unsafe",
        "do not use this repository; ask its owner what it holds",
    ),
    _rule(
        r"possible repository corruption|is corrupt\b|corrupt loose object|did not receive expected object"
        r"|pack has bad object|pack is corrupted|not our ref|unable to read [0-9a-f]{40}",
        RepositoryDamaged,
        "objects of the repository are damaged or missing",
        "restore it from a backup; to see what is damaged, run git fsck in it",
    ),
    _rule(
        r"could not resolve host|name or service not known|name resolution|network is unreachable",
        NetworkMissing,
        "this machine has no way to it",
        "check this machine's network (and the address), then run the command again",
    ),
    _rule(
        r"connection refused|timed out|is unreachable"
        r"|no route to host|failed to connect|couldn't connect|connection reset|connection closed by",
        StoreUnreachable,
        "it does not answer",
        "check the address and the network, then run the command again",
    ),
    _rule(
        r"host key verification failed",
        HostKeyUnknown,
        "the host's ssh key is not in your known_hosts",
        "connect to the host once with ssh, compare its key, then run the command again",
    ),
    _rule(
        r"permission denied|authentication failed|could not read (username|password)"
        r"|terminal prompts disabled|returned error: 40[13]|access denied|insufficient permission"
        r"|read-only file system|protected branch|hook declined|not authorized|not allowed to push"
        r"|unable to create temporary|operation not permitted",
        AccessDenied,
        "a right is missing",
        "ask the administrator of the vault for access to {url}",
    ),
    _rule(
        r"does not appear to be a git repository|repository '?[^\n]*'? (not found|does not exist)"
        r"|repository not found"
        r"|returned error: 404|not a git repository",
        RepositoryMissing,
        "there is no git repository at this place",
        "check the address; if it was moved or never created, ask the administrator of the vault",
    ),
    _rule(
        r"could not read from remote repository|the remote end hung up|early eof|unexpected disconnect",
        StoreUnreachable,
        "the connection broke",
        "check the network, then run the command again",
    ),
)


def evidence(stderr: str) -> str:
    """The one line of git's output that says most, without its prefix and without secrets; may be empty."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    marked = [line for line in lines if re.match(r"(remote: )?(fatal|error|ssh|ERROR)\b", line)]
    line = next(iter(marked or lines), "")
    line = re.sub(r"^(remote: )?(fatal|error|ERROR): ", "", line)
    return _URL.sub(lambda found: strip_url(found[0]), line)[:300]


def git_fault(stderr: str, *, doing: str, url: str | None = None) -> DatakeepError:
    """The error for what git wrote when it failed.

    Args:
        stderr: git's error channel, in English.
        doing: What was tried, to which thing: ``cannot fetch from /mnt/nas/git/datasets/orders.git``.
        url: The repository, for the next step; its password is taken out.
    """
    said = evidence(stderr)
    shown = strip_url(url) if url else "this repository"
    for pattern, kind, cause, next_step in _RULES:
        if re.search(pattern, stderr, re.IGNORECASE):
            why = "" if kind is NoSpace else f" ({said})"  # git's words for it are about its own files
            return kind(f"{doing}: {cause}{why}", next_step=next_step.replace("{url}", shown))
    return GitFault(
        f"{doing}: git failed ({said or 'it gave no reason'})",
        next_step="run the command again; if it fails again, look at the repository with: git fsck",
    )


def os_fault(error: OSError, what: str, path: Path) -> DatakeepError:
    """The error for a system call that failed on ``path``; ``what`` says what was tried."""
    reason = f"{what}: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(reason, next_step=f"free some space for {path}, then run the command again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return AccessDenied(reason, next_step=f"ask who owns {path} for the right to write there")
    return GitFault(reason, next_step=f"look at {path}, then run the command again")
