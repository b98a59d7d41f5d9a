"""Stores lie apart from the keep, from the git base and from each other.

Copies that lie in one another die together, and what tidies one of them up would reach into the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.core.errors import UsageError
from datakeep.repository.command import local_path
from datakeep.store.folder import folder_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from datakeep.store.interface import Store


def require_apart(store: Store, root: Path, git_base: str, others: Sequence[Store]) -> None:
    """``store`` lies neither inside nor around the keep, its git base, or one of ``others``.

    Symbolic links are resolved first; a bucket is compared by its server, name and prefix.

    Args:
        store: The new one; nothing of it need exist.
        root: The folder of the keep.
        git_base: The vault's git base, a folder or an address.
        others: The other stores of the keep, as this machine has them.

    Raises:
        UsageError: It does.
    """
    base = local_path(git_base)
    taken = [(f"the keep {root}", folder_words(root))]
    taken += [(f"the git base {base}", folder_words(base))] if base else []
    taken += [(str(other), other.where()) for other in others]
    own = store.where()
    for what, words in taken:
        length = min(len(own), len(words))
        if own[:length] == words[:length]:
            how = "is the same place as" if own == words else "lies inside"
            how = "lies around" if len(own) < len(words) else how
            raise UsageError(
                f"{store} {how} {what}: copies that lie in one another are lost together",
                next_step="choose a place of its own for it, on another disk or machine if there is one",
            )
