"""What becomes of the files of an adopted repository: which are data, which stay, which make room for ours.

It only decides; :mod:`datakeep.workflows.adopt` acts. docs/adopt.md says the same in words.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datakeep.core import paths
from datakeep.core.counts import counted
from datakeep.core.errors import HostileRepository, UnsafePath, Unsupported, UsageError
from datakeep.core.names import nearest
from datakeep.store.dvc_repository import is_pointer
from datakeep.store.faults import show_size
from datakeep.workflows.attachments import MAX_TOTAL_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

#: Files that datakeep writes at the top of every dataset's repository, by backend.
_OURS = {
    "git": ("README.md", "dataset.yaml", "inventory.parquet", ".gitattributes"),
    "dvc": (
        "README.md", "dataset.yaml", "inventory.parquet", ".gitattributes", ".gitignore", ".dvcignore",
        "inventory.parquet.dvc", "data.dvc",
    ),
}  # fmt: skip
#: Of those, what is in git as a file of that name; the rest must not be in git at all.
_WRITTEN = {"git": set(_OURS["git"]), "dvc": {*_OURS["dvc"]} - {"inventory.parquet"}}
_LFS = b"version https://git-lfs.github.com/spec/"
_LFS_MAX_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Tip:
    """The files of the newest commit: path to size in bytes; and the folder in which they lie, untouched."""

    folder: Path
    sizes: Mapping[str, int]

    def read(self, path: str) -> bytes:
        """The bytes of one of the files."""
        return (self.folder / path).read_bytes()

    def folders(self) -> set[str]:
        """Every folder of the commit."""
        return {path[:at] for path in self.sizes for at, mark in enumerate(path) if mark == "/"}


@dataclass(slots=True)
class Layout:
    """What the new commit changes beside the data.

    Attributes:
        files: Path to bytes of what is written; None deletes a file or folder.
        readme: Where their README.md lies now, if there was one.
        notes: What a person should know of it, one sentence each.
    """

    files: dict[str, bytes | None] = field(default_factory=dict)
    readme: str | None = None
    notes: list[str] = field(default_factory=list)


def roots_of(tip: Tip, given: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """The paths that ``--data`` names, as git writes them.

    Args:
        tip: The newest commit.
        given: What was typed.
        known: Paths of outputs, which may be named too.

    Raises:
        UsageError: There is no such file, folder or output.
    """
    there = {*tip.sizes, *tip.folders(), *known}
    there |= {path[:at] for path in known for at, mark in enumerate(path) if mark == "/"}
    roots = []
    for text in given:
        root = text.strip("/").removeprefix("./")
        if root not in there and not any(root.startswith(f"{path}/") for path in known):
            near = nearest(root, there)
            hint = f"; did you mean {near!r}?" if near else ""
            raise UsageError(
                f"the repository has no {text!r}{hint}",
                next_step=f"name a folder or file of it with --data: {_some(there)}",
            )
        roots.append(root)
    return tuple(dict.fromkeys(roots))


def top_level(tip: Tip) -> list[str]:
    """What lies at the top of the repository, for the question which of it is data."""
    counts: dict[str, list[int]] = {}
    for path, size_bytes in tip.sizes.items():
        head, slash, _ = path.partition("/")
        counts.setdefault(f"{head}{slash}", []).append(size_bytes)
    return [
        f"{name}: {counted(len(sizes), 'file')}, {show_size(sum(sizes))}"
        for name, sizes in sorted(counts.items())
        if not name.startswith(".")
    ]


def place_in_data(path: str, roots: Sequence[str]) -> str | None:
    """What the file ``path`` of the repository is called in ``data/``; None if it is not chosen.

    The contents of one chosen folder are the data; else each file keeps its path, of which a leading
    ``data/`` is the folder itself.
    """
    if roots:
        root = next((root for root in roots if path == root or path.startswith(f"{root}/")), None)
        if root is None:
            return None
        if len(roots) == 1 and path != root:
            return path[len(root) + 1 :]
    return path.removeprefix("data/")


def names_of(placed: Iterable[tuple[str, str]], *, normalise: bool) -> dict[str, str]:
    """Path in ``data/`` to path in the repository, all of which are fit for any machine.

    Args:
        placed: The two paths of each file.
        normalise: Bring names into Unicode's NFC form.

    Raises:
        HostileRepository: A path could harm this machine.
        UnsafePath: A name means something else, or nothing, on another machine; lists all of them.
    """
    found: dict[str, str] = {}
    twins: list[str] = []
    for place, path in placed:
        name = unicodedata.normalize("NFC", place) if normalise else place
        if found.setdefault(name, path) != path:
            twins.append(f"{path!r}: it would become data/{name}, as {found[name]!r} does; rename one")
    if harm := [refusal for name in found if (refusal := paths.refuse(unicodedata.normalize("NFC", name)))]:
        raise HostileRepository(
            f"the repository names a file that could harm this machine: {harm[0]}",
            next_step="do not use this repository; ask its owner what it holds",
            things=[str(refusal) for refusal in harm],
        )
    if refused := [*twins, *map(str, paths.refusals(found))]:
        raise UnsafePath(
            refused[0] if len(refused) == 1 else f"{len(refused)} names of the data are unsafe elsewhere",
            next_step="rename them in the repository, commit, and adopt again; --normalise-names does so for "
            "names that are only not NFC. Older commits stay as they are",
            things=refused,
        )
    return found


def refuse_lfs(tip: Tip, chosen: Iterable[str]) -> None:
    """Refuse files of which git holds a pointer of git-lfs, not the bytes.

    Raises:
        Unsupported: Lists all of them.
    """
    bad = [path for path in chosen if tip.sizes[path] <= _LFS_MAX_BYTES and tip.read(path).startswith(_LFS)]
    if bad:
        raise Unsupported(
            f"git has only a pointer of git-lfs for {counted(len(bad), 'data file')}, such as {bad[0]}",
            next_step="in a clone: `git lfs migrate export --everything --include='*'`, then adopt that clone; or, "
            "without the history: `git lfs pull`, then datakeep register NAME FOLDER --backend dvc",
            things=sorted(bad),
        )


def layout(tip: Tip, backend: str, chosen: Collection[str]) -> Layout:
    """What makes room for datakeep's own files; nothing of theirs is lost, and no data stays where it was.

    Args:
        tip: The newest commit.
        backend: ``git`` or ``dvc``.
        chosen: Files of git that become data.

    Raises:
        UsageError: Files in ``data/`` are not chosen, and would be lost.
        Unsupported: What stays is larger than a clone of a dataset may be.
    """
    done, taken = Layout(), set(chosen)
    pointers = {path for path in tip.sizes if backend == "dvc" and is_pointer(path)}
    below = {path for path in tip.sizes if path.casefold().startswith("data/") or path.casefold() == "data"}
    lost = sorted(path for path in below - taken - pointers if not path.endswith("/.gitignore"))
    if lost:
        raise UsageError(
            f"the repository has files in {lost[0].partition('/')[0]}/, which is to be the data, that are not chosen",
            next_step="choose that folder too (--data twice), or move its files in the repository and commit",
            things=lost,
        )
    stays = sum(size for path, size in tip.sizes.items() if path not in taken)
    if stays > MAX_TOTAL_BYTES:
        raise Unsupported(
            f"{show_size(stays)} of the repository would stay beside the data; {show_size(MAX_TOTAL_BYTES)} may",
            next_step="name more of its folders as data with --data",
        )
    done.files |= dict.fromkeys({path.partition("/")[0] for path in below})
    done.files |= dict.fromkeys((taken | pointers) - below - _WRITTEN[backend])
    _save_originals(tip, backend, taken, done)
    if pointers:
        done.notes.append(
            f"{counted(len(pointers), 'file')} of DVC gave way to one data.dvc; the history has them"
        )
    return done


def _save_originals(tip: Tip, backend: str, taken: Collection[str], done: Layout) -> None:
    home, saved = _free_folder(tip), []
    ours = {name.casefold(): name for name in _OURS[backend]}
    for path in sorted(set(tip.sizes) - set(taken)):
        name = path.rpartition("/")[2]
        pipeline = backend == "dvc" and name in ("dvc.yaml", "dvc.lock")
        if not pipeline and path.casefold() not in ours:
            continue
        if name.endswith(".dvc") or not tip.sizes[path] or name == ".dvcignore":
            continue
        # Without its dot, or with another end, it is a document and no longer in force.
        kept = f"{home}/{path}.txt" if pipeline else f"{home}/{path.removeprefix('.')}"
        done.files[kept] = tip.read(path)
        if path not in _WRITTEN[backend]:
            done.files[path] = None
        if path.casefold() == "readme.md":
            done.readme = kept
        saved.append(path)
    if saved:
        done.notes.append(f"kept in {home}/, to make room for datakeep's own files: {', '.join(saved)}")


def _free_folder(tip: Tip) -> str:
    """A folder for documents that the repository does not have."""
    start = "original" if "docs" in tip.sizes else "docs/original"
    taken = {*tip.sizes, *tip.folders()}
    number = 1
    while (name := start if number == 1 else f"{start}-{number}") in taken:
        number += 1
    return name


def _some(names: Collection[str]) -> str:
    shown = sorted(name for name in names if "/" not in name and not name.startswith("."))
    return ", ".join(shown[:8]) + (" …" if len(shown) > 8 else "")
