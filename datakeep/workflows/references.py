"""What anything still refers to: the register, and every branch and tag of every dataset's repository.

Whatever looks like the name of an object, in a pointer file or in a list of files, counts as a reference: one too
many keeps an object too long, one too few would lose it.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import closing
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datakeep.core.errors import DatakeepError
from datakeep.repository.pointers import all_refs, pointer_files
from datakeep.store.dvc_format import MAX_TREE_BYTES, object_key
from datakeep.workflows.bundles import FOLDER, bundle_key, is_bundled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.store.interface import Store
    from datakeep.workflows.keep import Keep

_NAME = re.compile(rb"[0-9a-fA-F]{32}(?:\.dir)?")
_TIP = 12


@dataclass(slots=True)
class References:
    """All that is referred to.

    Attributes:
        names: Of objects, in any dataset: one may have been taken over from another.
        bundles: Keys of bundles, of registered versions.
        refs: Each dataset's refs, as of the walk.
        unread: Keys of the lists of files, by dataset, that it refers to and no store has whole: whatever else lies
            under the dataset's prefix may be in one of them.
    """

    names: set[str] = field(default_factory=set)
    bundles: set[str] = field(default_factory=set)
    refs: dict[str, dict[str, str]] = field(default_factory=dict)
    unread: dict[str, list[str]] = field(default_factory=dict)

    def has_object(self, name: str) -> bool:
        """Whether something refers to the object ``name``, or to one that differs in being a list of files only."""
        return name in self.names

    def has_bundle(self, dataset: str, key: str) -> bool:
        """Whether the bundle is a registered version's, or of a commit that a branch or tag names."""
        tip = key.rpartition("-")[2].removesuffix(".bundle")
        pushed = {object_id[:_TIP] for object_id in self.refs[dataset].values()}
        return key in self.bundles or tip in pushed or not key.startswith(f"{dataset}/{FOLDER}/")


def references(keep: Keep) -> References:
    """What the register and all refs of all registered datasets refer to.

    Raises:
        InvalidFile, GitFault, StoreUnreachable, AccessDenied: An entry or a repository cannot be read.
    """
    found = References()
    stores = keep.stores()
    keep.progress.stage("walking all branches and tags", total=len(keep.datasets), unit="datasets")
    for dataset in keep.datasets:
        url = keep.dataset_url(dataset)
        found.refs[dataset] = all_refs(url)
        found.bundles |= {bundle_key(entry) for entry in keep.entries(dataset) if is_bundled(entry)}
        named = {name for text in pointer_files(url) for name in _names(text)}
        found.names |= named
        for name in sorted(named):
            if not name.endswith(".dir"):
                continue
            if (listed := _list_of_files(name, dataset, stores)) is None:
                found.unread.setdefault(dataset, []).append(object_key(dataset, name))
            else:
                found.names.update(_names(listed))
        keep.progress.advance()
    return found


def _names(text: bytes) -> Iterator[str]:
    return (match.decode("ascii").lower() for match in _NAME.findall(text))


def _list_of_files(name: str, dataset: str, stores: list[Store]) -> bytes | None:
    """The list, hashed; None if no store has it whole."""
    key = object_key(dataset, name)
    for store in stores:
        try:
            with closing(copy(store)) as own:
                size_bytes = own.size_of(key)
                if size_bytes is None or size_bytes > MAX_TREE_BYTES:
                    continue
                with own.open_read(key) as chunks:
                    data = b"".join(chunks)
        except DatakeepError:
            continue
        if hashlib.md5(data, usedforsecurity=False).hexdigest() == name.removesuffix(".dir"):
            return data
    return None
