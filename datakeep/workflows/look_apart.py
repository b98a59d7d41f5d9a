"""Files are looked through in a process of their own: one that kills its reader is one that was not searched.

A footer that somebody made up can end the process that reads it (Arrow's C++ ends it, where it cannot tell Python),
or ask for any amount of memory. So a child reads, one file at a time, with a limit on its memory; when it dies, its
file has the blame and the next file gets a new child. What the child says is plain JSON.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datakeep
from datakeep.core.errors import DatakeepError, SourceMalformed
from datakeep.extract.lookup import Looked, RowGroups, look_in_parts, look_through
from datakeep.extract.typed import AskOtherwise, CannotTell

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Self

    from datakeep.core.conditions import Condition
    from datakeep.workflows.bytes_here import Copy

#: Of address space, most of which is never used; a reader that wants more is misled.
_MEMORY_BYTES = 8 << 30
_SERVE = "import sys; sys.path.append(sys.argv[1]); from datakeep.workflows.look_apart import serve; serve()"


class LooksApart:
    """Looks through files in a child, which is made when it is needed and ends with the ``with`` block.

    Args:
        condition: What rows must be.
        scratch: A folder for what is compressed.
    """

    def __init__(self, condition: Condition, scratch: Path) -> None:
        self._condition, self._scratch = condition, scratch
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def look(self, shown: str, copy: Copy, *, parts: bool, numbers: Collection[str] = ()) -> Looked:
        """What one copy of a file has.

        Args:
            shown: The file's name in messages, and its format.
            copy: Where it is.
            parts: It is Parquet.
            numbers: Columns whose texts are numbers.

        Raises:
            CannotTell: A column cannot be searched for such a value.
            SourceMalformed: It cannot be read, or whoever reads it dies.
        """
        child = self._child or self._start()
        assert child.stdin  # noqa: S101  (it was asked for)
        assert child.stdout  # noqa: S101
        try:
            pickle.dump((shown, copy, parts, frozenset(numbers)), child.stdin)
            child.stdin.flush()
            answer = child.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if not answer.endswith(b"\n"):
            self._end()
            raise SourceMalformed(
                f"{shown} kills whoever reads it (its reader ended with {child.returncode})",
                next_step="do not open it; ask its owner where it comes from",
            )
        return _told(json.loads(answer))

    def _start(self) -> subprocess.Popen[bytes]:
        # -P: nothing is imported from the folder that the user is in, which may be anybody's.
        argv = [sys.executable, "-P", "-c", _SERVE, str(Path(datakeep.__file__).parents[1])]
        self._child = child = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert child.stdin  # noqa: S101
        with suppress(BrokenPipeError):  # the answer will not come, and tells
            pickle.dump((self._condition, self._scratch), child.stdin)
        return child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()
        child.wait()


def serve() -> None:
    """The child: answers until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asks ends it
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY or most > _MEMORY_BYTES:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, most))
    asked = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    condition, scratch = pickle.load(asked)  # noqa: S301  (the parent's own words)
    stores: dict[str, Any] = {}
    with suppress(EOFError):
        while True:
            shown, copy, parts, numbers = pickle.load(asked)  # noqa: S301
            if copy.store is not None:  # one, with its open connections, for all files
                copy = replace(copy, store=stores.setdefault(copy.store.name, copy.store))
            meant = condition.of_numbers(numbers)
            answers.write(json.dumps(_answer(shown, copy, meant, scratch, parts=parts)).encode() + b"\n")
            answers.flush()


def _answer(shown: str, copy: Copy, condition: Condition, scratch: Path, *, parts: bool) -> dict[str, Any]:
    try:
        if not parts and copy.path is not None:
            return {"looked": asdict(look_through(shown, copy.path, condition, scratch))}
        with copy.open() as opened:
            return {"looked": asdict(look_in_parts(shown, opened, condition))}
    except CannotTell as error:
        return {"cannot_tell": str(error), "ask_otherwise": isinstance(error, AskOtherwise)}
    except DatakeepError as error:
        return {"error": error.what}
    except MemoryError:
        return {"error": f"{shown} needs more than {_MEMORY_BYTES >> 30} GB of memory to be read"}
    except (OSError, ValueError, OverflowError, ArithmeticError, LookupError, TypeError) as error:
        # What a made-up file makes of a reader has no bounds; whatever it is, the file was not searched.
        return {"error": f"{shown} cannot be read: {type(error).__name__}"}


def _told(answer: dict[str, Any]) -> Looked:
    if "cannot_tell" in answer:
        raise (AskOtherwise if answer["ask_otherwise"] else CannotTell)(answer["cannot_tell"])
    if "error" in answer:
        raise SourceMalformed(answer["error"], next_step="datakeep fsck tells which copies are whole")
    found = answer["looked"]
    return Looked(
        found["rows"],
        tuple(found["lacking"]),
        tuple(found["columns"]),
        tuple(found["remarks"]),
        RowGroups(**found["groups"]),
        tuple(found["impossible"]) if found["impossible"] else None,
    )
