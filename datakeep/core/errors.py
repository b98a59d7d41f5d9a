"""Every error that datakeep raises on purpose, as one tree.

A *family* is a direct subclass of :class:`DatakeepError`; it owns an exit code. A leaf of the tree
owns a stable ``id`` (its class name in kebab case), shown in ``--json``. Rooms may add leaves of
their own. Only ``cli/boundary.py`` turns an error into an exit code; ``docs/exit-codes.md`` is
generated from this tree, and a test asserts that codes and ids are unique.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class DatakeepError(Exception):
    """A condition that the user can understand and act on.

    Args:
        what: What happened, to which thing (a path or a name, never a bare hash). One sentence.
        next_step: What to type or do next; a command that exists.
        things: More of the same kind, one line each (all missing fields, all bad files). The
            terminal shows the first ten and a count; ``--json`` shows all.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, next_step: str, things: Sequence[str] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step
        self.things = tuple(things)

    @classmethod
    def id(cls) -> str:
        """The stable identifier of this kind of error, such as ``store-missing``."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process pools whole."""
        return (_rebuild, (type(self), self.what, self.next_step, self.things))


def _rebuild(kind: type[DatakeepError], what: str, next_step: str, things: tuple[str, ...]) -> DatakeepError:
    return kind(what, next_step=next_step, things=things)


class UsageError(DatakeepError):
    """The command line cannot be understood: options contradict each other or a value is malformed."""

    exit_code = 2


class ImpossibleValue(UsageError):
    """No row can have the value that is looked for: it is none of the column's type. Names column and type."""


class NotAKeep(DatakeepError):
    """The folder is not a keep, or not one that this version can read."""

    exit_code = 10


class UnknownName(DatakeepError):
    """No dataset, version, model or person of this name."""

    exit_code = 11


class AlreadyExists(DatakeepError):
    """The name is taken, or the destination is not empty."""

    exit_code = 12


class IncompleteManifest(DatakeepError):
    """Facts that the keep's policy requires are missing. Lists all of them, with their options."""

    exit_code = 13


class InvalidFile(DatakeepError):
    """A file of ours, or one handed in, cannot be read: not YAML, wrong type, unknown field or format."""

    exit_code = 14


class UnknownFormat(InvalidFile):
    """The file's ``format`` is of another kind, or of a major version that this datakeep does not know."""


class MisspelledField(InvalidFile):
    """A file that a user handed in has a field that does not exist."""


class UnsafePath(DatakeepError):
    """A file name that breaks, or harms, another machine."""

    exit_code = 15


class SourceFault(DatakeepError):
    """The source of a dataset cannot be taken: missing, empty, unreadable, inside the keep."""

    exit_code = 16


class SourceMissing(SourceFault):
    """The source is not there."""


class SourceEmpty(SourceFault):
    """The source holds no file."""


class SourceUnreadable(SourceFault):
    """Files of the source cannot be opened."""


class SourceChanged(SourceFault):
    """A file changed while it was read."""


class SourceMalformed(SourceFault):
    """A file is not what its name says, such as a CSV that does not parse."""


class StoreUnreachable(DatakeepError):
    """A store or the git base does not answer, or is not one."""

    exit_code = 17


class NetworkMissing(StoreUnreachable):
    """This machine has no way to a host: its name cannot be resolved, or no network leads there."""


class StoreMissing(StoreUnreachable):
    """The folder of a store is not there; an unmounted share looks like this."""


class StoreUnmarked(StoreUnreachable):
    """The place exists, but its marker file says nothing of a store, or of another keep's."""


class AccessDenied(DatakeepError):
    """A right is missing: to read, to write, or to sign in."""

    exit_code = 18


class NoSpace(DatakeepError):
    """A disk or quota is full, or would be.

    Attributes:
        errnos: How a system says that a file cannot grow.
    """

    exit_code = 19
    errnos: ClassVar[frozenset[int]] = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Locked(DatakeepError):
    """Another datakeep is at work in this keep."""

    exit_code = 20


class GitFault(DatakeepError):
    """git refused or failed, for a reason that none of the other families names."""

    exit_code = 21


class DamagedBytes(DatakeepError):
    """Bytes are missing or are not what was registered."""

    exit_code = 22


class NoIdentity(DatakeepError):
    """It is not known who is at work: git has no name or no e-mail."""

    exit_code = 23


class HostileRepository(DatakeepError):
    """A repository holds something that could harm the machine that reads it."""

    exit_code = 24


class ProgramMissing(DatakeepError):
    """A program that datakeep calls (git, bubblewrap, strace, uv) is not there or cannot run."""

    exit_code = 25


class CommandNotFound(ProgramMissing):
    """The command of `datakeep run`, or its interpreter, is not there. Its exit code is a shell's, 127."""


class CommandNotExecutable(ProgramMissing):
    """The command of `datakeep run` is there, and cannot be executed. Its exit code is a shell's, 126."""


class SecretFound(DatakeepError):
    """A password or token stands where it would be written down."""

    exit_code = 26


class EnvironmentBroken(DatakeepError):
    """The software environment of a training cannot be rebuilt."""

    exit_code = 27


class KeyFault(DatakeepError):
    """A signing key is missing, unusable, or not in the keep."""

    exit_code = 28


class Conflict(DatakeepError):
    """Someone else did the same at the same time, or the keep was changed elsewhere."""

    exit_code = 29


class TrainingFault(DatakeepError):
    """A training outside of ``verify`` failed: crashed, timed out, or left no metrics."""

    exit_code = 30


class Unsupported(DatakeepError):
    """Understood, but not something that this version can do."""

    exit_code = 31


class StillNeeded(DatakeepError):
    """What would be taken away is still needed, such as the only copy of a version."""

    exit_code = 33


def families() -> list[type[DatakeepError]]:
    """All families, by exit code."""
    return sorted(DatakeepError.__subclasses__(), key=lambda kind: kind.exit_code)
