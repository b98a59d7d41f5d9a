"""A few of the keep's files, read as :mod:`datakeep.lineage.records` wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datakeep.repository.keep_tree import KeepTree


class SomeFiles:
    """A few of the keep's files, read at its head."""

    def __init__(self, tree: KeepTree, paths: Iterable[str]) -> None:
        self._tree, self._paths = tree, sorted(set(paths))

    def list(self, prefix: str = "", /) -> list[str]:
        """Those below ``prefix``."""
        return [path for path in self._paths if path.startswith(prefix)]

    def read_many(self, paths: Iterable[str], /) -> dict[str, bytes]:
        """Their bytes."""
        return self._tree.read_many(paths)
