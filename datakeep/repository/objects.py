"""Reading commits, trees and files out of a repository's objects; no working tree is looked at."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.errors import GitFault, HostileRepository
from datakeep.repository.command import is_object_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import IO

    from datakeep.repository.command import GitRunner

SYMLINK = "120000"
GITLINK = "160000"
_CHUNK_BYTES = 1 << 20
_NAMED_AT_ONCE = 500
#: More than any file that people or datakeep write as text may have; git packs gigabytes of zeros into little.
TEXT_BYTES = 4 << 20
#: What is read in the place of what is larger than is asked for: no reader of text takes so much.
_TOO_LARGE = bytes(TEXT_BYTES + 1)


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One file, symbolic link or pinned submodule of a commit; ``size_bytes`` is None for a submodule."""

    mode: str
    object_id: str
    size_bytes: int | None
    path: str


def resolve(runner: GitRunner, name: str) -> str | None:
    """The object id that ``name`` (a ref, ``commit^{tree}`` …) stands for; None if there is none."""
    finished = runner.run("rev-parse", "--verify", "--quiet", "--end-of-options", name, allow=(0, 1, 128))
    return finished.text.splitlines()[-1] if finished.exit_code == 0 and finished.text else None


def resolve_all(runner: GitRunner, names: Sequence[str]) -> list[str | None]:
    """As :func:`resolve`, of objects that are here, by one git process."""
    stdin = "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")
    lines = runner.text("cat-file", "--batch-check=%(objectname)", stdin=stdin).splitlines()
    return [line if is_object_id(line) else None for line in lines]


def is_complete(runner: GitRunner, commit: str) -> bool:
    """Whether the repository has ``commit`` and everything that it leads to."""
    finished = runner.run("rev-list", "--objects", "--quiet", "--end-of-options", commit, allow=(0, 128))
    return finished.exit_code == 0


def is_ancestor(runner: GitRunner, older: str, newer: str) -> bool:
    """Whether ``older`` is ``newer`` or one of the commits before it.

    Raises:
        GitFault: One of them is not here, or damaged.
    """
    return older == newer or (
        runner.run("merge-base", "--is-ancestor", older, newer, allow=(0, 1)).exit_code == 0
    )


def walk_tree(
    runner: GitRunner, commit: str, prefix: str = "", *, sizes: bool = False, limit: int | None = None
) -> Iterator[TreeEntry]:
    """Every entry of ``commit`` below ``prefix``, as it is read: a hostile tree may have no end.

    Raises:
        HostileRepository: There are more than ``limit`` entries.
    """
    doing = f"cannot list the files of commit {commit[:12]}"
    options = ["-r", "-z", "--full-tree", *(["--long"] if sizes else [])]
    with runner.process(
        "ls-tree", *options, "--", commit, *([prefix] if prefix else []), doing=doing
    ) as process:
        process.stdin.close()
        rest, count = b"", 0
        while chunk := process.stdout.read1(_CHUNK_BYTES):
            *records, rest = (rest + chunk).split(b"\0")
            count += len(records)
            if limit is not None and count > limit:
                raise HostileRepository(
                    f"the repository lists more than {limit} files", next_step="do not use it; ask its owner"
                )
            yield from (_entry(record, sizes=sizes) for record in records)
        stderr = process.stderr.read().decode("utf-8", "replace")
        if process.wait() != 0:
            from datakeep.repository.faults import git_fault

            raise git_fault(stderr, doing=doing)


def changed_files(runner: GitRunner, old: str, new: str, prefixes: Sequence[str]) -> dict[str, str | None]:
    """Path to object id (None: it is gone) of what differs from ``old`` to ``new`` below ``prefixes``.

    Only the trees that differ are read.

    Raises:
        GitFault: One of the commits is not here, or damaged.
    """
    listed = runner.run(
        "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old, new, "--", *prefixes,
        doing=f"cannot compare the commits {old[:12]} and {new[:12]}",
    ).stdout  # fmt: skip
    records = iter(listed.split(b"\0"))
    found: dict[str, str | None] = {}
    for facts in records:
        if not facts:
            break
        _old_mode, _new_mode, _old_id, object_id, status = facts.decode().split()
        path = next(records).decode("utf-8", "surrogateescape")
        found[path] = None if status == "D" else object_id
    return found


def _entry(record: bytes, *, sizes: bool) -> TreeEntry:
    facts, _, path = record.partition(b"\t")
    mode, _kind, object_id, *size = facts.decode().split()
    size_bytes = int(size[0]) if sizes and size[0].isdigit() else None
    return TreeEntry(mode, object_id, size_bytes, path.decode("utf-8", "surrogateescape"))


def read_files(
    runner: GitRunner, commit: str, paths: Sequence[str], *, most: int | None = None
) -> dict[str, bytes]:
    """The bytes of those of ``paths`` that are files of ``commit``; one git process or two, however many.

    Args:
        runner: Runs in the repository.
        commit: Of which.
        paths: Within it.
        most: A larger file is zeros, more of them than :data:`TEXT_BYTES`.

    Raises:
        GitFault: An object is missing or damaged although the commit names it.
    """
    asked = [path for path in paths if path and "\n" not in path]
    if not asked:
        return {}
    names = [f"{commit}:{path}" for path in asked]
    found: dict[str, bytes] = {}
    missing = []
    read = _batch(runner, names, f"cannot read files of {commit[:12]}", most)
    for path, data in zip(asked, read, strict=True):
        if data is None:
            missing.append(path)
        elif data[0] == b"blob":
            found[path] = data[1]
    if missing:
        _refuse_damage(runner, commit, missing)
    return found


def read_blobs(runner: GitRunner, names: Sequence[str], *, most: int | None = None) -> dict[str, bytes]:
    """The bytes of those of ``names`` (object ids, or ``commit:path``) that are files; few git processes for all.

    With ``most`` as in :func:`read_files`.
    What is missing is left out, whatever the reason: this looks, and judges nothing.
    """
    asked = [name for name in names if name and "\n" not in name]
    found = zip(asked, _batch(runner, asked, "cannot read objects", most), strict=True) if asked else ()
    return {name: data[1] for name, data in found if data is not None and data[0] == b"blob"}


def _batch(
    runner: GitRunner, names: Sequence[str], doing: str, most: int | None
) -> Iterator[tuple[bytes, bytes] | None]:
    """Kind and bytes of each object; None where git finds none."""
    large = _larger(runner, names, doing, most) if most is not None else frozenset()
    read = (
        _batched(runner, [name for name in names if name not in large], doing)
        if len(large) < len(names)
        else iter(())
    )
    yield from ((b"blob", _TOO_LARGE) if name in large else next(read) for name in names)


def _larger(runner: GitRunner, names: Sequence[str], doing: str, most: int) -> frozenset[str]:
    """Those that are larger, which are not read."""
    stdin = "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")
    told = runner.run("cat-file", "--batch-check=%(objectsize)", stdin=stdin, doing=doing).stdout.splitlines()
    sizes = zip(names, told, strict=True)
    return frozenset(name for name, size in sizes if size.isdigit() and int(size) > most)


def _batched(runner: GitRunner, names: Sequence[str], doing: str) -> Iterator[tuple[bytes, bytes] | None]:
    stdin = "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")
    output = runner.run("cat-file", "--batch", stdin=stdin, doing=doing).stdout
    at = 0
    for _ in names:
        end = output.index(b"\n", at)
        header = output[at:end]
        at = end + 1
        if header.endswith((b" missing", b" ambiguous")):
            yield None
            continue
        _object_id, kind, size = header.rsplit(b" ", 2)
        yield kind, output[at : at + int(size)]
        at += int(size) + 1


def hash_files(runner: GitRunner, commit: str, prefix: str) -> dict[str, bytes]:
    """Path to sha256 of every file of ``commit`` below ``prefix``; each is read once and held in no memory.

    Raises:
        GitFault: An object is missing or damaged although the commit names it.
    """
    entries = [entry for entry in walk_tree(runner, commit, prefix) if entry.mode != GITLINK]
    digests: dict[str, bytes] = {}
    doing = f"cannot read files of {commit[:12]}"
    with runner.process("cat-file", "--batch", doing=doing) as process:
        for object_id in dict.fromkeys(entry.object_id for entry in entries):
            process.stdin.write(f"{object_id}\n".encode())
            process.stdin.flush()
            *_, size = process.stdout.readline().split() or [b"missing"]
            if not size.isdigit():
                raise GitFault(
                    f"{doing}: object {object_id} is missing or damaged", next_step="datakeep fsck"
                )
            digests[object_id] = _digest(process.stdout, int(size))
            process.stdout.read(1)
    return {entry.path: digests[entry.object_id] for entry in entries}


def copy_files(
    runner: GitRunner, commit: str, paths: Sequence[str], target: Path
) -> Iterator[tuple[str, bool]]:
    """Each of ``paths`` of ``commit`` in turn, written to the file ``target``; False where git has no such file.

    Raises:
        GitFault: git fails.
    """
    with runner.process("cat-file", "--batch", doing=f"cannot read files of {commit[:12]}") as process:
        for path in paths:
            process.stdin.write(f"{commit}:{path}\n".encode("utf-8", "surrogateescape"))
            process.stdin.flush()
            header = process.stdout.readline().split()
            found = len(header) == 3 and header[2].isdigit()
            if found:
                left = int(header[2])
                with target.open("wb") as sink:
                    while left and (chunk := process.stdout.read(min(_CHUNK_BYTES, left))):
                        sink.write(chunk)
                        left -= len(chunk)
                process.stdout.read(1)
                found = not left
            yield path, found


def _digest(stream: IO[bytes], size_bytes: int) -> bytes:
    digest = hashlib.sha256()
    while size_bytes and (chunk := stream.read(min(_CHUNK_BYTES, size_bytes))):
        digest.update(chunk)
        size_bytes -= len(chunk)
    return digest.digest()


def _refuse_damage(runner: GitRunner, commit: str, paths: Sequence[str]) -> None:
    """Refuse objects that are not here, although ``commit`` names them; it may also have no such paths at all."""
    named = paths if len(paths) <= _NAMED_AT_ONCE else ()
    listed = runner.run("ls-tree", "-r", "-t", "-z", "--full-tree", "--", commit, *named, allow=(0, 128))
    there = {one.partition(b"\t")[2] for one in listed.stdout.split(b"\0")}
    if listed.exit_code or not there.isdisjoint(path.encode("utf-8", "surrogateescape") for path in paths):
        raise GitFault(
            f"objects of commit {commit[:12]} are missing in {runner.folder}",
            next_step=f"look at it with: git -C {runner.folder} fsck",
        )
