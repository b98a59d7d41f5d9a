"""git: the keep's repository, the datasets' repositories, the git side of the vault, and foreign clones.

The only room that knows git. What it hands out:

- :mod:`~datakeep.repository.identity`: who is at work.
- :mod:`~datakeep.repository.vault`: bare repositories, where everything must survive.
- :mod:`~datakeep.repository.dataset`: one dataset's repository, written without a working tree.
- :mod:`~datakeep.repository.keep`: the keep, changed by transactions.
- :mod:`~datakeep.repository.submodules`: ``.gitmodules``, written fast and read with suspicion.
- :mod:`~datakeep.repository.foreign`: cloning what someone else wrote.

git is run directly; GitPython is asked only whether a URL names a program to run, and loaded only then.
"""

from __future__ import annotations

from datakeep.repository.dataset import DatasetRepository, TagInfo
from datakeep.repository.faults import NeverPushed, RepositoryMissing
from datakeep.repository.foreign import Access, Checkout, Limits, clone
from datakeep.repository.identity import Identity, identity
from datakeep.repository.keep import Change, KeepRepository, KeepTree, LogEntry
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
    "identity",
]
