"""The files of a keep at one commit, as its repository has them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from datakeep.repository.command import GitRunner, check_object_id
from datakeep.repository.objects import (
    TEXT_BYTES,
    changed_files,
    read_blobs,
    read_files,
    resolve,
    walk_tree,
)
from datakeep.repository.reading import Doubt, ObjectReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Files that are read one by one through a process that is there already.
_FEW = 100
#: What is read as YAML or JSON; all else are lists, which may be long.
_TEXTS = (".yaml", ".json")
LIST_BYTES = 256 << 20


class KeepTree:
    """The files of a keep at one commit; no files at all before the first."""

    def __init__(self, git: GitRunner, commit: str | None, reader: ObjectReader | None = None) -> None:
        self._git = git
        self._reader = reader or ObjectReader(git)
        self.commit = commit

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None if there is none."""
        return self.read_many([path]).get(path)

    def read_many(self, paths: Iterable[str]) -> dict[str, bytes]:
        """The bytes of those of ``paths`` that exist, at the cost of one git process at most."""
        if not self.commit:
            return {}
        named = {path: name for path in paths if (name := self._object_at(path))}
        most = LIST_BYTES if any(not path.endswith(_TEXTS) for path in named) else TEXT_BYTES
        if len(named) > _FEW:
            # By their ids: to find a file by its path, git reads through the folder of ten thousand each time.
            texts = read_blobs(self._git, list(dict.fromkeys(named.values())), most=most)
        else:
            texts = {
                name: one[1]
                for name in named.values()
                if (one := self._reader.read(name, most=most)) and one[0] == b"blob"
            }
        found = {path: texts[name] for path, name in named.items() if name in texts}
        rest = [path for path in named if path not in found]
        # Something is no file, or is damaged: which of these, is told here.
        return found | read_files(self._git, self.commit, rest, most=most) if rest else found

    def _object_at(self, path: str) -> str | None:
        """A name for the object at ``path``; None if there certainly is none."""
        try:
            entry = self._reader.find(self.commit or "", path)
        except Doubt:
            return f"{self.commit}:{path}"
        return entry.object_id if entry else None

    def list(self, prefix: str = "") -> list[str]:
        """The paths of all files below ``prefix`` (``register/orders/``), without submodules' contents."""
        if self.commit and prefix.endswith("/"):
            tree, id_bytes = self._object_at(prefix), len(self.commit) // 2
            if tree is None:
                return []
            # Of one dataset or model, or of few of them: git alone is faster for the folders of thousands.
            if prefix.count("/") > 1 or self._reader.has_few(tree, _FEW, id_bytes=id_bytes):
                found = self._reader.files(tree, prefix, id_bytes=id_bytes)
                if found is not None:
                    return found
        return [entry.path for entry in walk_tree(self._git, self.commit, prefix)] if self.commit else []

    def object_ids(self, prefixes: Sequence[str]) -> dict[str, str]:
        """Path to object id of all files below ``prefixes``: equal ids are equal bytes."""
        commit = self.commit
        listed = (entry for one in prefixes for entry in walk_tree(self._git, commit, one)) if commit else ()
        return {entry.path: entry.object_id for entry in listed}

    def object_id(self, path: str) -> str | None:
        """The id of the file at ``path``; None if there is none."""
        name = self._object_at(path) if self.commit else None
        return self.object_ids([path]).get(path) if name and ":" in name else name

    def changed_since(self, commit: str, prefixes: Sequence[str]) -> dict[str, str | None] | None:
        """Path to object id (None: it is gone) of what changed since ``commit``; None if that is not here."""
        known = resolve(self._git, f"{check_object_id(commit)}^{{commit}}")
        return changed_files(self._git, commit, self.commit, prefixes) if known and self.commit else None

    def read_objects(self, object_ids: Sequence[str], *, most: int = TEXT_BYTES) -> dict[str, bytes]:
        """The bytes of those objects that are here; a larger one than ``most`` is zeros, too many for any reader."""
        if len(object_ids) > _FEW:
            return read_blobs(self._git, object_ids, most=most)
        found = {
            one: read[1]
            for one in object_ids
            if (read := self._reader.read(one, most=most)) and read[0] == b"blob"
        }
        rest = [one for one in object_ids if one not in found]
        return found | read_blobs(self._git, rest, most=most) if rest else found

    def named_like(self, name: str) -> str | None:
        """What lies topmost as ``name``, in any capitals: on many disks that is the same; None if nothing does."""
        if not self.commit:
            return None
        try:
            names = self._reader.names(self.commit)
        except Doubt:
            names = self._git.text("ls-tree", "-z", "--name-only", "--full-tree", self.commit).split("\0")
        return next((one for one in names if one.casefold() == name), None)

    def gitlink(self, path: str) -> str | None:
        """The commit that the submodule at ``path`` is pinned to; None if there is none."""
        if not self.commit:
            return None
        with suppress(Doubt):
            found = self._reader.find(self.commit, path)
            return found.object_id if found and found.mode == b"160000" else None
        listed = self._git.text("ls-tree", "-z", "--full-tree", "--", self.commit, path)
        mode, _, rest = listed.partition(" ")
        return rest.split()[1] if mode == "160000" else None
