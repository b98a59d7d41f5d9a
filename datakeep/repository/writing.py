"""Making commits without a working tree, through ``git fast-import``.

Each byte is read once and goes straight into git's objects: no filter, ignore rule or line-end setting
of anyone can change it. One process makes the whole commit, however large the tree around it is.
"""

from __future__ import annotations

import re
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from datakeep.core.errors import Locked, SourceChanged
from datakeep.repository.command import check_object_id
from datakeep.repository.faults import git_fault
from datakeep.repository.objects import GITLINK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from datakeep.repository.command import GitRunner
    from datakeep.repository.identity import Identity

_WRITING = "refs/datakeep/writing/"
#: Larger blobs are streamed into the pack instead of being held in memory to look for a delta.
_STREAM_FROM = "16m"


@dataclass(frozen=True, slots=True)
class Blob:
    """A file to be committed, read only once, when its turn comes.

    Args:
        path: Where it goes in the dataset repository (``data/a.csv``).
        size_bytes: Its size, which git wants to know first.
        chunks: Opens it and yields its bytes.
    """

    path: str
    size_bytes: int
    chunks: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a commit differs in from its parent.

    Args:
        files: Small files by path; None deletes one.
        gitlinks: Pinned submodules by path; None deletes one.
        blobs: Files that are streamed, in the order in which they come.
        cleared: Folders that are emptied first; ``""`` is everything.
        kept: ``(mode, object id, path)`` of the parent's, put back after the clearing.
    """

    files: Mapping[str, bytes | None] = field(default_factory=dict)
    gitlinks: Mapping[str, str | None] = field(default_factory=dict)
    blobs: Iterable[Blob] = ()
    cleared: tuple[str, ...] = ()
    kept: tuple[tuple[str, str, str], ...] = ()


def write_commit(
    runner: GitRunner,
    parent: str | None,
    plan: Plan,
    *,
    message: str,
    identity: Identity,
    when: datetime,
    git_folder: Path,
    alone: bool = False,
) -> str:
    """The id of a new commit on ``parent``; no ref points to it. A failure leaves nothing behind.

    Args:
        runner: Runs in the repository.
        parent: The commit before, or None for the first.
        plan: What differs from it.
        message: The commit message.
        identity: Author and committer.
        when: The time of both, with its zone.
        git_folder: The bare repository, or the ``.git`` of a clone.
        alone: Nobody else writes to this repository, so that every half-written pack in it may be removed.

    Raises:
        SourceChanged: A blob has more or fewer bytes than it was said to have.
        DatakeepError: git failed; the family says why.
    """
    ref = f"{_WRITING}{uuid.uuid4().hex}"
    doing = f"cannot write a commit in {runner.folder}"
    _remove_leftovers(runner, git_folder, packs=alone)
    finished = False
    try:
        with runner.process(
            "fast-import", "--quiet", "--done", f"--big-file-threshold={_STREAM_FROM}", doing=doing
        ) as process:
            with suppress(BrokenPipeError):  # then git ended first, and says why on its error channel
                _write_stream(
                    process.stdin, ref, parent, plan, message=message, signature=identity.signature(when)
                )
                process.stdin.close()
            # Neither output is longer than a pipe holds, so they can be read one after the other.
            stdout, stderr = process.stdout.read(), process.stderr.read()
            exit_code = process.wait()
        if exit_code != 0:
            raise git_fault(stderr.decode("utf-8", "replace"), doing=doing)
        finished = True
        return check_object_id(stdout.decode().strip())
    finally:
        if not finished:
            with suppress(Locked):  # of another ref; what led here counts, and the next run removes the rest
                _remove_leftovers(runner, git_folder, packs=alone)


def _write_stream(
    out: IO[bytes], ref: str, parent: str | None, plan: Plan, *, message: str, signature: str
) -> None:
    text = message.encode("utf-8")
    who = signature.encode("utf-8")
    out.write(b"feature done\ncommit %b\nmark :1\nauthor %b\ncommitter %b\n" % (ref.encode(), who, who))
    out.write(b"data %d\n%b\n" % (len(text), text))
    if parent:
        out.write(b"from %b\n" % check_object_id(parent).encode())
    for folder in plan.cleared:
        out.write(b"D %b\n" % _quoted(folder) if folder else b"deleteall\n")
    for mode, object_id, path in plan.kept:
        out.write(b"M %b %b %b\n" % (mode.encode(), object_id.encode(), _quoted(path)))
    for path, commit in plan.gitlinks.items():
        if commit is None:
            out.write(b"D %b\n" % _quoted(path))
        else:
            out.write(b"M %b %b %b\n" % (GITLINK.encode(), check_object_id(commit).encode(), _quoted(path)))
    for path, data in plan.files.items():
        if data is None:
            out.write(b"D %b\n" % _quoted(path))
        else:
            out.write(b"M 100644 inline %b\ndata %d\n%b\n" % (_quoted(path), len(data), data))
    for blob in plan.blobs:
        _write_blob(out, blob)
    # Without its branch again, so that no ref is ever written.
    out.write(b"\nget-mark :1\nreset %b\nfrom %b\n\ndone\n" % (ref.encode(), b"0" * 40))


def _write_blob(out: IO[bytes], blob: Blob) -> None:
    out.write(b"M 100644 inline %b\ndata %d\n" % (_quoted(blob.path), blob.size_bytes))
    left = blob.size_bytes
    for chunk in blob.chunks():
        left -= len(chunk)
        if left < 0:
            break
        out.write(chunk)
    if left != 0:
        raise SourceChanged(
            f"{blob.path} changed while it was read: it is {'longer' if left < 0 else 'shorter'} than"
            f" {blob.size_bytes} bytes",
            next_step="run the command again when whatever writes the file has finished",
        )
    out.write(b"\n")


def _quoted(path: str) -> bytes:
    """``path`` as fast-import reads it back unchanged, whatever characters it holds."""
    return b'"' + re.sub(rb'([\\"])', rb"\\\1", path.encode("utf-8")).replace(b"\n", b"\\n") + b'"'


def _remove_leftovers(runner: GitRunner, git_folder: Path, *, packs: bool) -> None:
    """What an import that failed or was killed left: its report, half a pack, its ref."""
    # A git of ours that was interrupted leaves the lock of its ref, which nobody else ever takes.
    locks = f"{_WRITING}*.lock"
    for pattern in ("fast_import_crash_*", locks, *(["objects/pack/tmp_pack_*"] if packs else [])):
        for left in git_folder.glob(pattern):
            left.unlink(missing_ok=True)
    if _has_refs(git_folder):
        for ref in runner.text("for-each-ref", "--format=%(refname)", _WRITING).split():
            runner.run("update-ref", "-d", ref)


def _has_refs(git_folder: Path) -> bool:
    """Whether there may be refs of an import that was killed; git is asked for them only then."""
    if (git_folder / "reftable").is_dir() or any(git_folder.glob(f"{_WRITING}*")):
        return True
    try:
        return _WRITING.encode() in (git_folder / "packed-refs").read_bytes()
    except OSError as error:
        return not isinstance(error, FileNotFoundError)
