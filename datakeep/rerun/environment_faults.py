"""Why an environment cannot be rebuilt, and who can change that: the layer that a verdict names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from datakeep.core.errors import DatakeepError, EnvironmentBroken, NoSpace
from datakeep.rerun.printed import shortened, without_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Who must act: who made the dataset, who verifies it, or who runs the vault.
Acts = Literal["giver", "receiver", "administrator"]


class EnvironmentFault(EnvironmentBroken):
    """The environment cannot be rebuilt; ``acts`` says who must act, ``things`` holds the evidence."""

    acts: ClassVar[Acts] = "giver"


class InterpreterMissing(EnvironmentFault):
    """This machine lacks the Python version, or uv itself."""

    acts: ClassVar[Acts] = "receiver"


class NetworkNeeded(EnvironmentFault):
    """Packages are not in the cache, and the package index cannot be reached from here."""

    acts: ClassVar[Acts] = "receiver"


class IndexDenied(EnvironmentFault):
    """The package index wants to know who asks."""

    acts: ClassVar[Acts] = "receiver"


class RebuildTimedOut(EnvironmentFault):
    """Rebuilding took too long."""

    acts: ClassVar[Acts] = "receiver"


class PackageGone(EnvironmentFault):
    """A locked package is no longer in its index."""


class PackageChanged(EnvironmentFault):
    """A package is not, byte for byte, the one that was locked."""


class WheelMissing(EnvironmentFault):
    """A locked package exists as source only for this platform; building it would run its code."""


class LockInvalid(EnvironmentFault):
    """The lock is missing, unreadable, without hashes, or does not fit its project or Python."""


class RebuildFailed(EnvironmentFault):
    """uv failed for a reason that none of the others names."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """What uv says, in any of these words, is this fault."""

    says: tuple[str, ...]
    kind: type[EnvironmentFault]
    what: str
    next_step: str


#: In the order in which they are tried: what stands in the way first is named first.
_RULES = (
    _Rule(
        (
            r"dns error|tcp connect|client error \(Connect\)|failed to lookup|tunnel error|timed out",
            r"Connection (refused|reset)|invalid peer certificate|HTTP status server error",
        ),
        NetworkNeeded,
        "the package index cannot be reached from this machine",
        "check the network, or set HTTPS_PROXY, SSL_CERT_FILE or UV_DEFAULT_INDEX, then run this again",
    ),
    _Rule(
        (r"\b(401|403) (Unauthorized|Forbidden)|authentication|credentials",),
        IndexDenied,
        "the package index refuses access",
        "set UV_DEFAULT_INDEX or UV_INDEX with your own right to read it, then run this again",
    ),
    _Rule(
        (r"Hash mismatch",),
        PackageChanged,
        "a package of the index is not the one that was locked",
        "have the owner check the package and lock again (uv lock), then: datakeep reference NAME --code DIR",
    ),
    _Rule(
        (
            r"no binary distribution|no usable wheels|no wheels|[Bb]uilding .* is disabled|compatible wheel",
            r"source distribution or wheel for the current platform|wheels are not compatible",
        ),
        WheelMissing,
        "a locked package has no wheel for this platform and Python",
        "have the owner lock a version that has one, or use --allow-build, which runs the package's code",
    ),
    _Rule(
        (r"404 Not Found|410 Gone|not found in the package registry|yanked|There is no version of",),
        PackageGone,
        "a locked package is no longer in its index",
        "have the owner lock again with packages that exist (uv lock), then: datakeep reference NAME --code DIR",
    ),
    _Rule(
        (
            r"Failed to parse|Couldn't parse|Unable to find lockfile|needs to be updated|require-hashes",
            r"must have a hash|incompatible with the project|No `pyproject.toml` found|No solution found",
        ),
        LockInvalid,
        "the lock cannot be used",
        "have the owner lock again (uv lock, uv pip compile --generate-hashes): datakeep reference NAME --code DIR",
    ),
)
_EVIDENCE_LINES = 12


def classify(output: str, *, secrets: Sequence[str] = ()) -> DatakeepError:
    """The error that uv's output tells of; the output's last lines, without secrets, are its evidence."""
    lines = [line.rstrip() for line in without_secrets(output, secrets).splitlines() if line.strip()]
    evidence = [shortened(line) for line in lines[-_EVIDENCE_LINES:]]
    named = shortened(
        next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), "")
    )
    if re.search(r"No space left on device|os error 28|[Qq]uota exceeded", output):
        return NoSpace(
            "no space is left for the environment",
            next_step="free space on this disk, then run again",
            things=evidence,
        )
    for rule in _RULES:
        if any(re.search(says, output) for says in rule.says):
            what = f"{rule.what}: {named}" if named else rule.what
            return rule.kind(what, next_step=rule.next_step, things=evidence)
    return RebuildFailed(
        f"uv could not rebuild the environment: {named or 'it gave no reason'}",
        next_step="read the evidence; the owner can lock again (uv lock), then: datakeep reference NAME --code DIR",
        things=evidence,
    )
