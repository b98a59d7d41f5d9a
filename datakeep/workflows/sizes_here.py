"""How large a version's files are, from a list that is on this machine: nobody is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.workflows.inventories import INVENTORY, checked, from_pointer

if TYPE_CHECKING:
    from collections.abc import Collection

    from datakeep.formats.inventory import Inventory
    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.keep import Keep


class SizesHere:
    """Answers of one keep; the list of a version is read once, and only when it is asked for."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._known: dict[str, dict[str, int]] = {}
        self._lists: dict[str, Inventory] = {}

    def of(self, label: str, paths: Collection[str]) -> set[int] | None:
        """The sizes of ``paths`` in ``orders@v3``; None if they are not all in a list that is here."""
        if label not in self._known:
            self._known[label] = self._read(label)
        sizes = self._known[label]
        return {sizes[path] for path in paths} if all(path in sizes for path in paths) else None

    def digests(self, label: str, least_bytes: int) -> set[str] | None:
        """The sha256 of the files of ``orders@v3`` of so many bytes and more; None if its list is not here."""
        if label not in self._known:
            self._known[label] = self._read(label)
        if label not in self._lists:
            return None
        files = self._lists[label].files
        return {file.sha256.hex() for file in files if file.size_bytes >= least_bytes}

    def _read(self, label: str) -> dict[str, int]:
        try:
            entry = self._keep.entry(label, asking=False)
            data = self._list(entry)
            listed = self._lists[label] = checked(data, entry, by_digest=True)
            return {file.path: file.size_bytes for file in listed.files}
        except DatakeepError:
            return {}

    def _list(self, entry: VersionEntry) -> bytes | None:
        from datakeep.store.interface import Capability

        repository = self._keep.dataset_repository(entry.dataset)
        names = [(entry.commit, name) for name in (INVENTORY, f"{INVENTORY}.dvc")]
        found = repository.read_here(names)
        pointer = found.get(names[1])
        if names[0] in found or pointer is None:
            return found.get(names[0])
        here = [one for one in self._keep.stores_of(entry) if Capability.LOCAL in one.capabilities]
        return from_pointer(pointer, entry, here) if here else None
