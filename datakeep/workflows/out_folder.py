"""The folder in which a training leaves its files: new or empty, so that no old result is taken for a new one."""

from __future__ import annotations

import os
import re
import shlex
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import AccessDenied, AlreadyExists, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What stands for data in a command: ``{orders}``.
PLACE = re.compile(r"\{([a-z0-9][a-z0-9-]*)\}")
_AGAIN = "run the same command again"


def out_folder(out: Path | None) -> Path | None:
    """The folder for the training's files, made now.

    Raises:
        AlreadyExists: It is a file, or holds something that could be taken for a result.
        AccessDenied: It cannot be made.
    """
    if out is None:
        return None
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        pass  # the check says what is in the way
    except OSError as error:
        raise AccessDenied(
            f"the folder {out} cannot be made: {error.strerror}",
            next_step="name a folder that you can write to",
        ) from error
    check_out(out)
    return Path(os.path.abspath(out))  # noqa: PTH100  (the training may change its folder; a link stays one)


def check_out(out: Path | None) -> None:
    """Errors as :func:`out_folder`; nothing is made."""
    try:
        taken = out is not None and any(out.iterdir())
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise AlreadyExists(f"{out} is a file, or lies in one", next_step="name a new folder") from error
    except OSError as error:
        raise AccessDenied(
            f"the folder {out} cannot be read: {error.strerror}", next_step="name a new folder"
        ) from error
    if taken:
        raise AlreadyExists(
            f"the folder {out} is not empty, and an old result could be taken for a new one",
            next_step="name a new folder",
        )


def check_out_name(out: Path | None) -> None:
    """Nothing in braces is put in there, so a folder would be called so.

    Raises:
        UsageError: Something is.
    """
    found = PLACE.search(str(out)) if out else None
    if found:
        raise UsageError(
            f"--out {out}: {found[0]} stands for data in the command alone, and data is never written to",
            next_step="name a new folder: --out runs/1",
        )


def after_interruption(out: Path | None) -> str:
    """What to type, so that a training that was interrupted can be run again; nothing of what it left is lost."""
    if not _holds_something(out) or out is None:
        return _AGAIN
    if Path.cwd().resolve().is_relative_to(out.resolve()):
        return f"{out} has what the training left: run it again with a new folder as --out"
    names = (f"{out}.interrupted{number if number > 1 else ''}" for number in count(1))
    free = next(name for name in names if not os.path.lexists(name))
    return f"{_AGAIN}, after what the training left is set aside: mv -- {shlex.quote(str(out))} {shlex.quote(free)}"


def _holds_something(out: Path | None) -> bool:
    try:
        return out is not None and any(out.iterdir())
    except OSError:  # the training may have taken it away, or its rights
        return False


@contextmanager
def told_of(out: Path | None) -> Iterator[None]:
    """Of an interruption in the block it is said what to do with what the training left."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if stop.args or not _holds_something(out):
            raise
        raise KeyboardInterrupt("interrupted; nothing was recorded", after_interruption(out)) from stop
