"""Stores lie apart from the keep, from the git base and from each other.

Copies that lie in one another die together, and what tidies one of them up would reach into the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import UsageError
from datakeep.repository.command import local_path
from datakeep.store.folder import folder_words
from datakeep.workflows.keep import KEEP_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        UsageError: It does; or it lies in another keep or git working tree.
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
    if found := _working_tree(store):
        raise UsageError(
            f"{store} lies inside {found}: what tidies that up deletes bytes that must survive",
            next_step="choose a folder outside of it, as an absolute path (init: --vault-data NAME=/PATH)",
        )


def _working_tree(store: Store) -> str | None:
    """The keep, or another git working tree, that a folder store would lie in."""
    place = local_path(store.url)
    for folder in (Path(*folder_words(place)), *Path(*folder_words(place)).parents) if place else ():
        if (folder / ".git").exists():
            return f"the keep {folder}" if (folder / KEEP_FILE).is_file() else f"the git repository {folder}"
    return None
