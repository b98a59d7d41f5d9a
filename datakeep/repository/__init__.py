"""git: the keep's repository, the datasets' repositories, the git side of the vault, and foreign clones.

The only room that knows git. What it hands out:

- :mod:`~datakeep.repository.identity`: who is at work.
- :mod:`~datakeep.repository.vault`: bare repositories, where everything must survive.
- :mod:`~datakeep.repository.dataset`: one dataset's repository, written without a working tree.
- :mod:`~datakeep.repository.keep`: the keep, changed by transactions.
- :mod:`~datakeep.repository.submodules`: ``.gitmodules``, written fast and read with suspicion.
- :mod:`~datakeep.repository.foreign`: cloning what someone else wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datakeep.repository.dataset import DatasetRepository, TagInfo
    from datakeep.repository.faults import NeverPushed, RepositoryMissing
    from datakeep.repository.foreign import Access, Checkout, Limits, clone
    from datakeep.repository.identity import Identity
    from datakeep.repository.keep import Change, KeepRepository
    from datakeep.repository.keep_log import LogEntry
    from datakeep.repository.keep_tree import KeepTree
    from datakeep.repository.objects import TreeEntry
    from datakeep.repository.submodules import Submodule
    from datakeep.repository.writing import Blob

__all__ = [
    "Access",
    "Blob",
    "Change",
    "Checkout",
    "DatasetRepository",
    "Identity",
    "KeepRepository",
    "KeepTree",
    "Limits",
    "LogEntry",
    "NeverPushed",
    "RepositoryMissing",
    "Submodule",
    "TagInfo",
    "TreeEntry",
    "clone",
]

#: Public name → its module, loaded when it is first asked for: a command pays only for what it uses.
_LAZY = {
    "Access": "foreign",
    "Blob": "writing",
    "Change": "keep",
    "Checkout": "foreign",
    "DatasetRepository": "dataset",
    "Identity": "identity",
    "KeepRepository": "keep",
    "KeepTree": "keep_tree",
    "Limits": "foreign",
    "LogEntry": "keep_log",
    "NeverPushed": "faults",
    "RepositoryMissing": "faults",
    "Submodule": "submodules",
    "TagInfo": "dataset",
    "TreeEntry": "objects",
    "clone": "foreign",
}


def __getattr__(name: str) -> Any:
    """The public name, loaded now."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
